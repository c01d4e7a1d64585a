package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/vfs"

	"github.com/cofferdb/coffer/sqlitevfs"
)

const sqliteVFS = "coffer-bench"

// register makes the VFS of the run reachable; what it returns takes it away.
func (r *sqliteRun) register() (func(), error) {
	if err := sqlitevfs.Register(sqliteVFS, r.keys, nil); err != nil {
		return nil, err
	}
	return func() { vfs.Unregister(sqliteVFS) }, nil
}

// commits measures single-row commits on two open databases, a few of one and then of the other, many times.
func (r *sqliteRun) commits(ctx context.Context) (note string, err error) {
	unregister, err := r.register()
	if err != nil {
		return "", err
	}
	defer unregister()
	coffer, err := openCommits("file:" + r.file("commit.coffer") + "?vfs=" + sqliteVFS)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, coffer.close()) }()
	plain, err := openCommits("file:"+r.file("commit.db"), "PRAGMA journal_mode=wal", "PRAGMA synchronous=full")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, plain.close()) }()
	n := max(5, r.o.Size/4) // so few that both sides meet the same moments of the disk
	r.progress("commit/wal-full: until both logs have gone round")
	for _, c := range []*committer{coffer, plain} {
		if _, err := c.run(60 * r.o.Size); err != nil {
			return "", err
		}
	}
	each := func(c *committer) func() (time.Duration, error) {
		return func() (time.Duration, error) {
			took, err := c.run(n)
			return took / time.Duration(n), err
		}
	}
	rounds := r.o.Rounds
	defer func() { r.o.Rounds = rounds }()
	r.o.Rounds = 60 * rounds // they are short
	return fmt.Sprintf("a durable commit of one row, %d in a row / on a plain file, journal_mode=wal, synchronous=full", n),
		r.inTurn(ctx, "commit/wal-full", true, each(coffer), each(plain))
}

// committer inserts rows into a database of its own.
type committer struct {
	conn   *sqlite3.Conn
	insert *sqlite3.Stmt
	rows   int64
}

func openCommits(uri string, pragmas ...string) (*committer, error) {
	conn, err := sqlite3.Open(uri)
	if err != nil {
		return nil, err
	}
	for _, sql := range append(pragmas, "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER, x TEXT)") {
		if err := conn.Exec(sql); err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", sql, err), conn.Close())
		}
	}
	insert, _, err := conn.Prepare("INSERT INTO t (n, x) VALUES (?, 'what an order, a reading or a message comes to, in some hundred bytes of text, no more than that')")
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return &committer{conn: conn, insert: insert}, nil
}

// run inserts n rows, a transaction each.
func (c *committer) run(n int) (time.Duration, error) {
	start := time.Now()
	for range n {
		c.rows++
		if err := c.insert.BindInt64(1, c.rows); err != nil {
			return 0, err
		}
		if err := c.insert.Exec(); err != nil {
			return 0, err
		}
	}
	return time.Since(start), nil
}

func (c *committer) close() error { return errors.Join(c.insert.Close(), c.conn.Close()) }
