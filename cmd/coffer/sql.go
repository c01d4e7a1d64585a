package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/vfs"
	"github.com/spf13/cobra"

	"github.com/cofferdb/coffer/blockstore"
	"github.com/cofferdb/coffer/sqlitevfs"
)

// sqlFlags are those of coffer sql.
type sqlFlags struct {
	volume   volumeFlags
	readOnly bool
	json     bool
	csv      bool
}

func (p *program) sqlCmd() *cobra.Command {
	var f sqlFlags
	c := p.verb("sql VOLUME [STATEMENT] [--read-only] [--json|--csv]", "Run SQL on an encrypted SQLite database", cobra.RangeArgs(1, 2), nil)
	c.Long = `Run SQL on a SQLite database in a volume: STATEMENT, or what standard input has,
one or several statements with semicolons between; the first error ends it. On a
terminal without STATEMENT it asks for them; .tables, .schema and .quit work there.

Results are a table, CSV with a line of names, or JSON: one array of objects for each
statement that has columns, a line each. Blobs are printed in hexadecimal.

PRAGMA coffer_info, coffer_verify and coffer_anchor say what the volume is;
coffer_rekey='KEY-ID' re-keys it to another key of the sources given, and
coffer_rekey=wait waits for that. With --read-only nothing in the volume changes,
even after a crash, and other readers may have it open too.`
	c.RunE = func(cmd *cobra.Command, args []string) error {
		p.began = true
		if f.json && f.csv {
			return usagef("--json and --csv at once")
		}
		return p.sql(cmd.Context(), args, &f)
	}
	f.volume.register(c)
	c.Flags().BoolVar(&f.readOnly, "read-only", false, "refuse to change anything")
	c.Flags().BoolVar(&f.json, "json", false, "print results as JSON")
	c.Flags().BoolVar(&f.csv, "csv", false, "print results as CSV")
	return c
}

const sqlVFS = "coffer"

// sql opens the database and runs what there is to run.
func (p *program) sql(ctx context.Context, args []string, f *sqlFlags) (err error) {
	var text string
	if len(args) == 2 {
		text = args[1]
	} else if _, people := terminal(p.stdin); !people {
		b, err := io.ReadAll(p.stdin)
		if err != nil {
			return fmt.Errorf("standard input: %w", err)
		}
		text, p.data = string(b), true
	}
	o, ks, err := p.ready(ctx, args[0], &f.volume, f.readOnly)
	if err != nil {
		return err
	}
	defer ks.close()
	v, err := sqlitevfs.New(ks.ring, &sqlitevfs.Options{Volume: blockstore.CreateOptions{Options: o}})
	if err != nil {
		return err
	}
	s, release, err := v.Store(args[0])
	if err != nil {
		return explainOpen(err, ks.sources)
	}
	defer func() { err = errors.Join(err, release()) }()
	if err := f.volume.acceptsOpen(args[0], s); err != nil {
		return err
	}
	vfs.Register(sqlVFS, v)
	defer vfs.Unregister(sqlVFS)
	conn, err := openSQL(ctx, args[0], s.ReadOnly())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	r := &sqlRun{p: p, conn: conn, flags: f}
	if len(args) == 2 || p.data {
		return r.all(ctx, text)
	}
	return r.ask(ctx)
}

// openSQL opens a connection that an interrupt stops.
func openSQL(ctx context.Context, path string, readOnly bool) (*sqlite3.Conn, error) {
	full, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	mode := "rw"
	if readOnly {
		mode = "ro"
	}
	u := url.URL{Scheme: "file", OmitHost: true, Path: filepath.ToSlash(full), RawQuery: "vfs=" + sqlVFS + "&mode=" + mode}
	conn, err := sqlite3.Open(u.String())
	if err != nil {
		return nil, err
	}
	conn.SetInterrupt(ctx)
	return conn, nil
}

// sqlRun is one run of coffer sql.
type sqlRun struct {
	p     *program
	conn  *sqlite3.Conn
	flags *sqlFlags
}

// all runs every statement of a text.
func (r *sqlRun) all(ctx context.Context, text string) error {
	for strings.TrimSpace(text) != "" {
		s, tail, err := r.conn.Prepare(text)
		if err != nil {
			return r.explain(ctx, err)
		}
		if tail == text {
			return nil // nothing but comments
		}
		text = tail
		if s == nil {
			continue
		}
		if err := errors.Join(r.one(s), s.Close()); err != nil {
			return r.explain(ctx, err)
		}
	}
	return nil
}

// one runs a statement and prints what it returns.
func (r *sqlRun) one(s *sqlite3.Stmt) error {
	if s.ColumnCount() == 0 {
		return s.Exec()
	}
	out := r.printer(s)
	for s.Step() {
		if err := out.row(s); err != nil {
			return err
		}
	}
	return errors.Join(s.Err(), out.end())
}

// explain says of SQLite's errors what the program's exit codes go by.
func (r *sqlRun) explain(ctx context.Context, err error) error {
	switch {
	case errors.Is(err, sqlite3.INTERRUPT) && ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, sqlite3.READONLY):
		return statef("%w", err)
	case errors.Is(err, sqlite3.NOTADB):
		return usagef("what the volume holds is no SQLite database: %w", err)
	}
	return err
}
