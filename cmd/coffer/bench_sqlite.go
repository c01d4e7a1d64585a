package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cofferdb/coffer/bench"
)

func (p *program) benchSQLiteCmd() *cobra.Command {
	var o bench.SQLiteOptions
	var asJSON bool
	c := p.verb("sqlite [--json] [--only NAME]…", "Measure encrypted SQLite beside SQLite on a plain file", cobra.NoArgs,
		func(ctx context.Context, _ []string) error { return p.benchSQLite(ctx, o, asJSON) })
	c.Long = `Measure SQLite on encrypted volumes beside the same SQLite on plain files, in
turn, in one run:

  speedtest1/delete-full  SQLite's speedtest1, beside journal_mode=delete, synchronous=full
  speedtest1/wal-full     the same, beside journal_mode=wal, synchronous=full
  commit/wal-full         durable commits of one row, beside journal_mode=wal, synchronous=full
  scan/cold               a sum over a table whose file is not in the page cache

RATIO is Coffer's time over that of the plain side, the median of the rounds: below 1 is
faster. TARGET is what it may be. speedtest1 is that of go-sqlite3, built once
in a temporary folder: it takes the Go toolchain and Coffer's source. The run
takes less than 8 minutes and up to 2 GB in --dir. Stop everything else.`
	jsonFlag(c, &asJSON)
	f := c.Flags()
	f.StringVar(&o.Dir, "dir", "", "make the databases in this `FOLDER`; else in the system's for temporary files")
	f.StringSliceVar(&o.Only, "only", nil, "scenarios to measure: "+strings.Join(bench.SQLiteScenarios(), ", "))
	f.IntVar(&o.Rounds, "rounds", 0, "how often both sides are measured; 0 is 5, or what there is time for")
	f.IntVar(&o.Size, "size", 0, "size of speedtest1, with which the others grow; 0 is 100")
	f.StringVar(&o.Source, "source", "", "`FOLDER` with Coffer's source; else where this runs, or was built")
	return c
}

func (p *program) benchSQLite(ctx context.Context, o bench.SQLiteOptions, asJSON bool) error {
	if _, people := terminal(p.stderr); people {
		o.Progress = func(what string) { p.note("%s", what) }
	}
	r, err := bench.SQLite(ctx, o)
	if err != nil {
		return err
	}
	if asJSON {
		return p.printJSON(r)
	}
	return p.printBench(r)
}

// printBench prints what was measured beside a baseline, and then what was what.
func (p *program) printBench(r *bench.EngineReport) error {
	t := p.table()
	t.row("NAME", "FIRST", "SECOND", "UNIT", "RATIO", "LOW", "HIGH", "TARGET")
	for _, e := range r.Results {
		t.row(e.Name, fmt.Sprintf("%.4g", e.Coffer), fmt.Sprintf("%.4g", e.Plain), e.Unit, fmt.Sprintf("%.2f", e.Ratio),
			fmt.Sprintf("%.2f", e.Low), fmt.Sprintf("%.2f", e.High), fmt.Sprintf("%.2f", e.Target))
	}
	if err := t.flush(); err != nil {
		return err
	}
	for _, e := range r.Results {
		if err := p.print("%s: %s", e.Name, e.Note); err != nil {
			return err
		}
	}
	return nil
}
