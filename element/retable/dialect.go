package retable

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cofferdb/coffer/internal/fault"
)

// Dialect is a kind of database. The zero value is invalid.
type Dialect uint8

// The dialects.
const (
	SQLite     Dialect = 1 // SQLite 3.35 or newer, encoding UTF-8, through any driver
	PostgreSQL Dialect = 2 // PostgreSQL 12 or newer, through any driver
)

// Valid reports whether d is one of the dialects.
func (d Dialect) Valid() bool { return d == SQLite || d == PostgreSQL }

// String returns "SQLite" or "PostgreSQL".
func (d Dialect) String() string {
	switch d {
	case SQLite:
		return "SQLite"
	case PostgreSQL:
		return "PostgreSQL"
	}
	return fmt.Sprintf("Dialect(%d)", uint8(d))
}

// querier is a *sql.DB, *sql.Conn or *sql.Tx.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// statements are what one job says to its database. Every name in them is
// quoted, every value an argument.
type statements struct {
	keys     []string // names of the key columns
	hexKeys  []bool   // the value is bytes in the database's hexadecimal text form
	total    string   // how many values there are
	nullKeys string   // whether a row has a null in its key
	first    string   // key and value of the first rows; args: how many
	next     string   // of the rows behind a key; args: key, how many
	update   string   // args: new value, key, old value
	all      string   // every value, in one statement
	scan     func(rows *sql.Rows, keys int) (Key, any, error)
	value    func(rows *sql.Rows) (any, error) // a row of all
}

// describe finds out what the table is and how to talk about it.
func describe(ctx context.Context, db querier, d Dialect, j *Job) (*statements, error) {
	switch d {
	case SQLite:
		return sqliteStatements(ctx, db, j)
	case PostgreSQL:
		return postgresStatements(ctx, db, j)
	}
	return nil, fmt.Errorf("retable: %w: no such dialect: %s", fault.Usage, d)
}

// column is what a catalogue says of a column.
type column struct {
	name    string
	typ     string // as SQL writes it
	primary int    // place in the primary key, from 1; 0: none
	made    bool   // generated from other columns
	text    bool   // PostgreSQL: holds text
	bytes   bool   // PostgreSQL: holds bytes
}

func find(columns []column, name string) *column {
	i := slices.IndexFunc(columns, func(c column) bool { return c.name == name })
	if i < 0 {
		return nil
	}
	return &columns[i]
}

// target returns the column that the job is about.
func target(columns []column, j *Job) (*column, error) {
	c := find(columns, j.Column)
	switch {
	case c == nil:
		return nil, fault.Hint(fmt.Errorf("retable: %w: table %s has no column %s", fault.Usage, j.Table, show(j.Column)),
			"It has "+namesOf(columns)+"; the case counts.")
	case c.made:
		return nil, fmt.Errorf("retable: %w: column %s of table %s is generated from others", fault.Usage, show(j.Column), j.Table)
	}
	return c, nil
}

func namesOf(columns []column) string {
	var names []string
	for _, c := range columns {
		names = append(names, show(c.name))
	}
	return strings.Join(names, ", ")
}

// keyColumns returns the columns that identify a row: those that the job names,
// else the primary key.
func keyColumns(columns []column, j *Job) ([]*column, error) {
	var keys []*column
	for _, name := range j.Key {
		c := find(columns, name)
		if c == nil {
			return nil, fmt.Errorf("retable: %w: table %s has no column %s", fault.Usage, j.Table, show(name))
		}
		keys = append(keys, c)
	}
	if len(j.Key) == 0 {
		for i := range columns {
			if columns[i].primary > 0 {
				keys = append(keys, &columns[i])
			}
		}
		slices.SortFunc(keys, func(a, b *column) int { return a.primary - b.primary })
	}
	for _, c := range keys {
		if c.name == j.Column {
			return nil, fmt.Errorf("retable: %w: column %s identifies the rows of table %s, so that it cannot be changed", fault.Usage, show(c.name), j.Table)
		}
	}
	return keys, nil
}

func noKey(j *Job) error {
	return fault.Hint(fmt.Errorf("retable: %w: table %s has no primary key", fault.Unsupported, j.Table),
		"Name columns that are unique together and never null.")
}

// tuple writes (a, b) or a.
func tuple(parts []string) string {
	if len(parts) == 1 {
		return parts[0]
	}
	return "(" + strings.Join(parts, ", ") + ")"
}

// isNull writes a IS NULL OR b IS NULL.
func isNull(parts []string) string { return strings.Join(parts, " IS NULL OR ") + " IS NULL" }

// again reports whether an error says that the same may succeed when tried once
// more: serialization failures, deadlocks, locks (SQLSTATE 40001, 40P01, 55P03;
// drivers tell it by a method), and what a driver calls temporary.
func again(err error) bool {
	var state interface{ SQLState() string }
	if errors.As(err, &state) {
		return slices.Contains([]string{"40001", "40P01", "55P03"}, state.SQLState())
	}
	var temporary interface{ Temporary() bool }
	return errors.As(err, &temporary) && temporary.Temporary()
}
