package sqlitevfs

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	_ "github.com/ncruces/go-sqlite3/driver"
	"github.com/ncruces/go-sqlite3/vfs"
	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/blockstore"
	"github.com/cofferdb/coffer/dek"
)

// ring returns a keyring with n keys, the first the default.
func ring(t testing.TB, n int) (*dek.Keyring, []dek.ID) {
	t.Helper()
	r := dek.NewKeyring()
	var ids []dek.ID
	for range n {
		k, err := dek.Generate(256)
		require.NoError(t, err)
		require.NoError(t, r.Activate(k, dek.Database, dek.Active))
		ids = append(ids, k.ID())
		k.Destroy()
	}
	return r, ids
}

var names atomic.Int64

// setting is a VFS with a folder of databases.
type setting struct {
	t    testing.TB
	name string
	v    *VFS
	keys *dek.Keyring
	ids  []dek.ID
	dir  string
	done map[*sql.DB]bool
}

func set(t testing.TB, o *Options) *setting {
	t.Helper()
	keys, ids := ring(t, 2)
	s := &setting{t: t, keys: keys, ids: ids, dir: t.TempDir(), done: map[*sql.DB]bool{}, name: fmt.Sprintf("coffer-test-%d", names.Add(1))}
	require.NoError(t, Register(s.name, keys, o))
	s.v = vfs.Find(s.name).(*VFS)
	t.Cleanup(func() {
		vfs.Unregister(s.name)
		s.v.mu.Lock()
		defer s.v.mu.Unlock()
		require.Empty(t, s.v.dbs, "every volume was closed")
	})
	return s
}

func (s *setting) path(name string) string { return filepath.Join(s.dir, name) }

func (s *setting) uri(name string, params ...string) string {
	return "file:" + s.path(name) + "?" + strings.Join(append([]string{"vfs=" + s.name}, params...), "&")
}

// open opens a pool of connections that is closed, and whose volume is verified, when the test ends.
func (s *setting) open(name string, params ...string) *sql.DB {
	s.t.Helper()
	db, err := sql.Open("sqlite3", s.uri(name, params...))
	require.NoError(s.t, err)
	s.t.Cleanup(func() { s.close(db, name) })
	return db
}

// close closes the pool and verifies the volume.
func (s *setting) close(db *sql.DB, name string) {
	s.t.Helper()
	if s.done[db] {
		return
	}
	s.done[db] = true
	require.NoError(s.t, db.Close())
	s.verify(name)
}

func (s *setting) verify(name string) {
	s.t.Helper()
	o := s.v.opts.Volume.Options
	r, err := blockstore.VerifyFile(context.Background(), s.path(name), s.keys, &o, blockstore.VerifyOptions{})
	require.NoError(s.t, err)
	require.NoError(s.t, r.Err())
	require.Zero(s.t, r.Unsettled)
}

type runner interface {
	Exec(string, ...any) (sql.Result, error)
	Query(string, ...any) (*sql.Rows, error)
}

func do(t testing.TB, db runner, query string, args ...any) {
	t.Helper()
	_, err := db.Exec(query, args...)
	require.NoError(t, err, query)
}

// rows returns a result, columns joined by a bar.
func rows(t testing.TB, db runner, query string, args ...any) []string {
	t.Helper()
	out, err := ask(db, query, args...)
	require.NoError(t, err, query)
	return out
}

func ask(db runner, query string, args ...any) (out []string, err error) {
	r, err := db.Query(query, args...)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	cols, err := r.Columns()
	if err != nil {
		return nil, err
	}
	vals, ptrs := make([]any, len(cols)), make([]any, len(cols))
	for i := range vals {
		ptrs[i] = &vals[i]
	}
	for r.Next() {
		if err := r.Scan(ptrs...); err != nil {
			return nil, err
		}
		var line []string
		for _, v := range vals {
			if b, ok := v.([]byte); ok {
				v = fmt.Sprintf("%x", b)
			}
			line = append(line, fmt.Sprint(v))
		}
		out = append(out, strings.Join(line, "|"))
	}
	return out, r.Err()
}

func one(t testing.TB, db runner, query string, args ...any) string {
	t.Helper()
	out := rows(t, db, query, args...)
	require.Len(t, out, 1, query)
	return out[0]
}

// sound runs SQLite's own check.
func sound(t testing.TB, db runner) {
	t.Helper()
	require.Equal(t, "ok", one(t, db, "PRAGMA integrity_check"))
}
