package main

import (
	"context"
	"database/sql"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/element"
	"github.com/cofferdb/coffer/element/retable"
)

// tableFlags say which table, and how fast.
type tableFlags struct {
	dsn             string
	table           string
	primaryKey      []string
	batch           int
	rate            float64
	checkpoint      string
	checkpointTable string
	dryRun          bool
	progress        progressStyle
	json            bool
}

func (t *tableFlags) register(c *cobra.Command) {
	t.registerTable(c)
	f := c.Flags()
	f.IntVar(&t.batch, "batch", 500, "rows of the table to read and write at a time")
	f.Float64Var(&t.rate, "rate", 0, "write no more than this many values a second; 0 is no limit")
	f.StringVar(&t.checkpoint, "checkpoint", "", "`FILE` that keeps the place for the next run; it holds values of the primary key")
	f.StringVar(&t.checkpointTable, "checkpoint-table", "", "`TABLE` of the database that keeps the place; it is made if it is not there")
	f.BoolVar(&t.dryRun, "dry-run", false, "read and convert all values of the table, and write none")
	t.progress.register(c)
	jsonFlag(c, &t.json)
	c.MarkFlagsMutuallyExclusive("checkpoint", "checkpoint-table")
}

func (t *tableFlags) registerTable(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&t.dsn, "dsn", "", "`DATABASE`: postgres://…, host=… dbname=…, or a SQLite file; no passwords ("+envDSN+")")
	f.StringVar(&t.table, "table", "", "`NAME` of the table, or schema.name; the case counts")
	f.StringArrayVar(&t.primaryKey, "primary-key", nil, "`COLUMN` that identifies a row, where there is no primary key; may be repeated")
}

func (t *tableFlags) given() bool { return t.dsn != "" || t.table != "" }

// unused refuses flags for tables where there is none.
func (t *tableFlags) unused() error {
	if len(t.primaryKey) > 0 || t.rate != 0 || t.checkpoint != "" || t.checkpointTable != "" || t.dryRun || t.json {
		return usagef("--primary-key, --rate, --checkpoint, --dry-run and --json belong to a table: --dsn and --table")
	}
	return nil
}

// job is what the flags say about the table.
func (t *tableFlags) job(column string) (retable.Job, error) {
	name, err := retable.ParseName(t.table)
	return retable.Job{Table: name, Column: column, Key: t.primaryKey}, err
}

// table does a column of a table.
func (r *elementRun) table(ctx context.Context) error {
	t := &r.o.table
	job, err := t.job(r.o.source.column)
	if err != nil {
		return err
	}
	job.Do, job.From, job.To, job.Suite, job.SkipEmpty = r.op, r.from, r.key, r.suite, r.o.empty
	if job.Context, err = element.ParseTemplate(r.o.context); err != nil {
		return err
	}
	db, dialect, err := r.p.database(t.dsn)
	if err != nil {
		return err
	}
	m := r.p.meter(t.progress)
	o := &retable.Options{Batch: t.batch, Rate: t.rate, DryRun: t.dryRun, Bad: r.p.warnBad(m),
		Progress: func(s retable.Progress) {
			m.set(retabling[r.op], min(s.Done, s.Total), s.Total, "values")
		}}
	if o.Checkpoint, err = t.checkpoints(); err != nil {
		return errors.Join(err, db.Close())
	}
	report, err := retable.Run(ctx, db, dialect, r.keys, job, o)
	m.finish()
	err = errors.Join(err, db.Close())
	if report == nil {
		return err
	}
	return errors.Join(err, r.print(report, err))
}

var retabling = map[retable.Operation]string{retable.Encrypt: "encrypting", retable.Decrypt: "decrypting", retable.Rekey: "re-keying"}

func (t *tableFlags) checkpoints() (retable.Checkpoint, error) {
	switch {
	case t.checkpoint != "":
		return retable.InFile(t.checkpoint), nil
	case t.checkpointTable != "":
		name, err := retable.ParseName(t.checkpointTable)
		return retable.InTable(name), err
	}
	return nil, nil
}

// maxWarned is how many values that stay as they are get a line of their own.
const maxWarned = 100

// warnBad tells of values that stay as they are.
func (p *program) warnBad(m *meter) func(retable.BadRow) {
	n := 0
	return func(b retable.BadRow) {
		if n++; n > maxWarned {
			return
		}
		m.finish()
		p.warn("row %s stays as it is: %s", b.Row, oneLine(b.Err.Error()))
		if n == maxWarned {
			p.warn("more rows that stay as they are get no line")
		}
	}
}

// tableReport is what --json prints.
type tableReport struct {
	*retable.Report
	Complete bool     `json:"complete"` // nothing left, and nothing stayed as it was
	Seconds  float64  `json:"seconds"`
	BadRows  []badRow `json:"bad_rows,omitempty"`
	Error    string   `json:"error,omitempty"`
}

type badRow struct {
	Row   string `json:"row"`
	Error string `json:"error"`
}

// print prints what a run did; err is how it ended.
func (r *elementRun) print(report *retable.Report, err error) error {
	if r.o.table.json {
		out := tableReport{Report: report, Complete: err == nil && !report.DryRun, Seconds: report.Elapsed.Seconds()}
		if err != nil {
			out.Error = oneLine(err.Error())
		}
		var left *retable.IncompleteError
		if errors.As(err, &left) {
			for _, b := range left.Rows {
				out.BadRows = append(out.BadRows, badRow{b.Row, oneLine(b.Err.Error())})
			}
		}
		return r.p.printJSON(out)
	}
	if report.Count == nil {
		return r.p.print("%s.%s: %s looked at, %d %s", report.Table, report.Column, count(report.Seen, "value"), report.Changed, r.done(report))
	}
	return r.p.print("%s.%s: %s, %d %s, %d left", report.Table, report.Column, count(report.Count.Values, "value"), report.Changed, r.done(report), report.Left)
}

var retabled = map[retable.Operation]string{retable.Encrypt: "encrypted", retable.Decrypt: "decrypted", retable.Rekey: "re-keyed"}

func (r *elementRun) done(report *retable.Report) string {
	if report.DryRun {
		return "would be " + retabled[r.op]
	}
	return retabled[r.op]
}

// tableInfo counts the values of a column by key.
func (p *program) tableInfo(ctx context.Context, t *tableFlags, column string) (*retable.Census, error) {
	job, err := t.job(column)
	if err != nil {
		return nil, err
	}
	db, dialect, err := p.database(t.dsn)
	if err != nil {
		return nil, err
	}
	c, err := retable.Count(ctx, db, dialect, job)
	return c, errors.Join(err, db.Close())
}

// database opens the database that a DSN names.
func (p *program) database(dsn string) (*sql.DB, retable.Dialect, error) {
	named := dsn != ""
	if !named {
		if dsn = p.getenv(envDSN); dsn == "" {
			return nil, 0, usagef("which database? Give --dsn, or set %s", envDSN)
		}
	}
	if isPostgres(dsn) {
		if named && hasPassword(dsn) {
			return nil, 0, errPasswordInDSN
		}
		return openPostgres(dsn)
	}
	return openSQLite(dsn)
}

// ids returns the keys of a census in order.
func ids(c *retable.Census) []dek.ID {
	var list []dek.ID
	for id := range c.Keys {
		list = append(list, id)
	}
	sortIDs(list)
	return list
}

func isPostgres(dsn string) bool {
	return strings.HasPrefix(dsn, "postgres://") || strings.HasPrefix(dsn, "postgresql://") || keywordDSN.MatchString(dsn)
}
