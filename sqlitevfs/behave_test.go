package sqlitevfs

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/driver"
	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/blockstore"
	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
)

// fill makes a table whose rows take up several pages of any size.
func fill(t testing.TB, db runner, rows int) {
	do(t, db, "CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY, x TEXT, y BLOB)")
	do(t, db, `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < ?)
		INSERT INTO t (x, y) SELECT 'row '||i, randomblob(i*37%3000) FROM n`, rows)
	do(t, db, "CREATE INDEX IF NOT EXISTS tx ON t(x)")
}

const digest = "SELECT count(*), sum(length(x)+length(y)), (SELECT hex(y) FROM t WHERE id=3) FROM t"

// TestPageSizes: any page size, with blocks as large as the pages where volumes have such; and VACUUM to another.
func TestPageSizes(t *testing.T) {
	for _, size := range []int{512, 1024, 4096, 8192, 65536} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			s := set(t, nil)
			db := s.open("p.db", fmt.Sprintf("_pragma=page_size(%d)", size))
			fill(t, db, 200)
			want := one(t, db, digest)
			require.Equal(t, fmt.Sprint(size), one(t, db, "PRAGMA page_size"))
			info, err := blockstore.Inspect(s.path("p.db"), nil)
			require.NoError(t, err)
			require.Equal(t, max(size, 4096), info.BlockSize)
			other := 4096
			if size == other {
				other = 1024
			}
			c, err := db.Conn(context.Background())
			require.NoError(t, err)
			_, err = c.ExecContext(context.Background(), fmt.Sprintf("PRAGMA page_size=%d; VACUUM", other))
			require.NoError(t, err)
			require.NoError(t, c.Close())
			require.Equal(t, fmt.Sprint(other), one(t, db, "PRAGMA page_size"))
			require.Equal(t, want, one(t, db, digest))
			do(t, db, "DELETE FROM t WHERE id%3=0")
			do(t, db, "VACUUM")
			sound(t, db)
		})
	}
}

// TestJournalModes: every mode but wal is taken, commits, rolls back, and goes back to a savepoint, in both locking modes.
func TestJournalModes(t *testing.T) {
	modes, syncs := []string{"delete", "truncate", "persist", "memory"}, []string{"off", "normal", "full", "extra"}
	if testing.Short() {
		modes, syncs = []string{"delete", "persist"}, []string{"off", "full"}
	}
	for _, mode := range modes {
		for _, locking := range []string{"normal", "exclusive"} {
			for _, sync := range syncs {
				t.Run(mode+" "+locking+" "+sync, func(t *testing.T) {
					s := set(t, nil)
					db := s.open("j.db", "_pragma=locking_mode("+locking+")", "_pragma=journal_mode("+mode+")", "_pragma=synchronous("+sync+")", "_pragma=cache_size(10)")
					db.SetMaxOpenConns(1)
					require.Equal(t, mode, one(t, db, "PRAGMA journal_mode"))
					fill(t, db, 100)
					want := one(t, db, digest)
					tx, err := db.Begin()
					require.NoError(t, err)
					fill(t, tx, 300)
					do(t, tx, "UPDATE t SET x=x||'!'")
					require.NoError(t, tx.Rollback())
					require.Equal(t, want, one(t, db, digest))

					tx, err = db.Begin()
					require.NoError(t, err)
					do(t, tx, "SAVEPOINT a")
					do(t, tx, "UPDATE t SET y=randomblob(2000)")
					do(t, tx, "ROLLBACK TO a")
					_, err = tx.Exec("UPDATE t SET id=CASE WHEN id<50 THEN id+1000 ELSE 1001 END")
					require.ErrorIs(t, err, sqlite3.CONSTRAINT, "undone statement by statement")
					do(t, tx, "INSERT INTO t (id, x) VALUES (7000, 'kept')")
					require.NoError(t, tx.Commit())
					do(t, db, "DELETE FROM t WHERE id=7000")
					require.Equal(t, want, one(t, db, digest))
					sound(t, db)
				})
			}
		}
	}
}

// TestNoWAL: WAL mode is not taken up, and the answer is the mode that stays, as SQLite has it.
func TestNoWAL(t *testing.T) {
	s := set(t, nil)
	for _, locking := range []string{"normal", "exclusive"} {
		db := s.open("w.db", "_pragma=locking_mode("+locking+")")
		db.SetMaxOpenConns(1)
		fill(t, db, 5)
		require.Equal(t, "delete", one(t, db, "PRAGMA journal_mode=WAL"))
		fill(t, db, 5)
		require.Equal(t, "delete", one(t, db, "PRAGMA journal_mode"))
		s.close(db, "w.db")
	}
	_, err := os.Stat(s.path("w.db-wal"))
	require.ErrorIs(t, err, fs.ErrNotExist)
}

// TestReadersAndWriter: a reader's transaction is a snapshot, whatever is committed meanwhile; it cannot write on top of an older state.
func TestReadersAndWriter(t *testing.T) {
	s := set(t, nil)
	db := s.open("r.db", "_pragma=busy_timeout(0)")
	fill(t, db, 10)
	reader, err := db.Begin()
	require.NoError(t, err)
	require.Equal(t, "10", one(t, reader, "SELECT count(*) FROM t"))
	writer, err := db.Begin()
	require.NoError(t, err)
	do(t, writer, "DELETE FROM t WHERE id>5")
	require.Equal(t, "10", one(t, reader, "SELECT count(*) FROM t"))
	require.Equal(t, "10", one(t, db, "SELECT count(*) FROM t"), "a third one, while there is a writer")
	_, err = db.Exec("INSERT INTO t (x) VALUES ('busy')")
	require.ErrorIs(t, err, sqlite3.BUSY)
	require.NoError(t, writer.Commit())
	require.Equal(t, "5", one(t, db, "SELECT count(*) FROM t"))
	require.Equal(t, "10", one(t, reader, "SELECT count(*) FROM t"))
	_, err = reader.Exec("INSERT INTO t (x) VALUES ('stale')")
	require.ErrorIs(t, err, sqlite3.BUSY_SNAPSHOT)
	require.NoError(t, reader.Rollback())
	do(t, db, "INSERT INTO t (x) VALUES ('new')")
	sound(t, db)
}

// TestExclusive: who asks for the database alone has it against writers, and gives it back.
func TestExclusive(t *testing.T) {
	s := set(t, nil)
	db := s.open("x.db", "_pragma=busy_timeout(0)")
	fill(t, db, 10)
	ctx := context.Background()
	c, err := db.Conn(ctx)
	require.NoError(t, err)
	_, err = c.ExecContext(ctx, "PRAGMA locking_mode=EXCLUSIVE; SELECT count(*) FROM t")
	require.NoError(t, err)
	_, err = db.Exec("INSERT INTO t (x) VALUES ('other')")
	require.ErrorIs(t, err, sqlite3.BUSY)
	for range 3 {
		_, err = c.ExecContext(ctx, "INSERT INTO t (x) VALUES ('mine')")
		require.NoError(t, err)
	}
	require.Equal(t, "13", one(t, db, "SELECT count(*) FROM t"), "readers see what is committed")
	_, err = c.ExecContext(ctx, "PRAGMA locking_mode=NORMAL; SELECT count(*) FROM t")
	require.NoError(t, err)
	do(t, db, "INSERT INTO t (x) VALUES ('other')")
	require.NoError(t, c.Close())
	require.Equal(t, "14", one(t, db, "SELECT count(*) FROM t"))
}

// TestAttach: transactions over databases of volumes and plain ones, which end the same way in all of them.
func TestAttach(t *testing.T) {
	for _, main := range []string{"coffer", "plain"} {
		t.Run(main, func(t *testing.T) {
			s := set(t, nil)
			uris := []string{s.uri("a.db"), "file:" + s.path("plain.db") + "?vfs=os", s.uri("b.db")}
			if main == "plain" {
				uris[0], uris[1] = uris[1], uris[0]
			}
			db, err := sql.Open("sqlite3", uris[0])
			require.NoError(t, err)
			db.SetMaxOpenConns(1)
			do(t, db, "ATTACH ? AS two", uris[1])
			do(t, db, "ATTACH ? AS three", uris[2])
			for _, d := range []string{"main", "two", "three"} {
				do(t, db, "CREATE TABLE "+d+".t (x)")
			}
			all := "SELECT (SELECT count(*) FROM main.t), (SELECT count(*) FROM two.t), (SELECT count(*) FROM three.t)"
			insert := func(q runner) {
				for _, d := range []string{"main", "two", "three"} {
					do(t, q, "INSERT INTO "+d+".t VALUES (randomblob(9000))")
				}
				do(t, q, "CREATE TEMP TABLE IF NOT EXISTS tt AS SELECT 1")
			}
			tx, err := db.Begin()
			require.NoError(t, err)
			insert(tx)
			require.NoError(t, tx.Commit())
			require.Equal(t, "1|1|1", one(t, db, all))
			tx, err = db.Begin()
			require.NoError(t, err)
			insert(tx)
			require.NoError(t, tx.Rollback())
			require.Equal(t, "1|1|1", one(t, db, all))
			tx, err = db.Begin()
			require.NoError(t, err)
			insert(tx)
			do(t, tx, "DELETE FROM three.t") // leaves pages, so that the file is cut after the commit
			require.NoError(t, tx.Commit())
			do(t, db, "VACUUM three")
			require.Equal(t, "2|2|0", one(t, db, all))
			require.NoError(t, db.Close())
			left, err := os.ReadDir(s.dir)
			require.NoError(t, err)
			require.Len(t, left, 3, "no super-journal is left")
			s.verify("a.db")
			s.verify("b.db")
		})
	}
}

// TestTemporary: temporary tables and sorts larger than memory spill, and no file of theirs has a name or plaintext.
func TestTemporary(t *testing.T) {
	n := 3000
	if testing.Short() {
		n = 400
	}
	s := set(t, &Options{SpillBytes: 64 << 10})
	db := s.open("t.db", "_pragma=temp_store(file)", "_pragma=cache_size(10)")
	db.SetMaxOpenConns(1)
	do(t, db, "PRAGMA temp.cache_size=10")
	do(t, db, fmt.Sprintf("CREATE TEMP TABLE big AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<%d) SELECT i, hex(randomblob(500)) AS x FROM n", n))
	want := one(t, db, "SELECT sum(length(x)) FROM big")
	do(t, db, "CREATE INDEX temp.bigx ON big(x)")
	require.Len(t, rows(t, db, "SELECT x FROM big ORDER BY x||x DESC"), n)
	tx, err := db.Begin()
	require.NoError(t, err)
	do(t, tx, "UPDATE big SET x=lower(x)")
	require.NoError(t, tx.Rollback())
	require.Equal(t, want, one(t, db, "SELECT sum(length(x)) FROM big"))
	require.Equal(t, "0", one(t, db, "SELECT count(*) FROM big WHERE x<>upper(x)"))
	fill(t, db, n) // the journal of a rollback spills too
	want = one(t, db, digest)
	tx, err = db.Begin()
	require.NoError(t, err)
	do(t, tx, "UPDATE t SET y=randomblob(2000)")
	require.NoError(t, tx.Rollback())
	require.Equal(t, want, one(t, db, digest))
	sound(t, db)
}

// TestLargeTransaction: one beyond the engine's memory, committed and rolled back.
func TestLargeTransaction(t *testing.T) {
	o := &Options{}
	o.Volume.Tune.TxMemory = 256 << 10
	s := set(t, o)
	db := s.open("l.db", "_pragma=cache_size(10)")
	fill(t, db, 800)
	want := one(t, db, digest)
	tx, err := db.Begin()
	require.NoError(t, err)
	fill(t, tx, 800)
	require.NoError(t, tx.Rollback())
	require.Equal(t, want, one(t, db, digest))
	sound(t, db)
}

// TestBackup: SQLite's backup API from and to plain databases, one in WAL mode too, whose mark the copy has.
func TestBackup(t *testing.T) {
	for _, mode := range []string{"delete", "wal"} {
		t.Run(mode, func(t *testing.T) {
			s := set(t, nil)
			plain, err := sql.Open("sqlite3", "file:"+s.path("plain.db")+"?_pragma=journal_mode("+mode+")")
			require.NoError(t, err)
			fill(t, plain, 300)
			want := one(t, plain, digest)
			db := s.open("b.db")
			do(t, db, "CREATE TABLE old (x)")
			raw(t, db, func(c *sqlite3.Conn) error { return c.Restore("main", "file:"+s.path("plain.db")) })
			require.Equal(t, want, one(t, db, digest))
			do(t, db, "INSERT INTO t (x, y) VALUES ('after', x'00')")
			sound(t, db)
			require.NoError(t, plain.Close())
			raw(t, db, func(c *sqlite3.Conn) error { return c.Backup("main", "file:"+s.path("copy.db")) })
			do(t, db, "VACUUM INTO '"+s.uri("into.db")+"'")
			into := s.open("into.db")
			copied, err := sql.Open("sqlite3", "file:"+s.path("copy.db"))
			require.NoError(t, err)
			require.Equal(t, "delete", one(t, copied, "PRAGMA journal_mode"), "what SQLite was shown")
			require.Equal(t, map[string]byte{"delete": 1, "wal": 2}[mode], marked(t, s, "b.db"), "what the volume has")
			for _, d := range []*sql.DB{copied, into} {
				require.Equal(t, one(t, db, digest), one(t, d, digest))
				sound(t, d)
			}
			require.NoError(t, copied.Close())
		})
	}
}

// marked returns the read version of a database's header as it is stored.
func marked(t *testing.T, s *setting, name string) byte {
	t.Helper()
	store, release, err := s.v.Store(s.path(name))
	require.NoError(t, err)
	defer release()
	b := make([]byte, 20)
	_, err = store.File().ReadAt(b, 0)
	require.NoError(t, err)
	require.Equal(t, b[18], b[19])
	return b[19]
}

func raw(t *testing.T, db *sql.DB, fn func(*sqlite3.Conn) error) {
	t.Helper()
	c, err := db.Conn(context.Background())
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, c.Raw(func(d any) error { return fn(d.(driver.Conn).Raw()) }))
}

// TestRefusals: what cannot be, with an error that says why.
func TestRefusals(t *testing.T) {
	s := set(t, nil)
	db := s.open("f.db")
	fill(t, db, 3)
	refused := func(uri string, is error, says string) {
		t.Helper()
		d, err := sql.Open("sqlite3", uri)
		if err == nil {
			err = d.Ping()
			d.Close()
		}
		require.ErrorIs(t, err, sqlite3.CANTOPEN)
		require.ErrorIs(t, err, is)
		require.ErrorContains(t, err, says)
	}
	_, err := blockstore.Open(s.path("f.db"), s.keys, nil)
	require.ErrorIs(t, err, fault.InUse)
	other := set(t, nil)
	refused("file:"+s.path("f.db")+"?vfs="+other.name, fault.InUse, "in use")
	s.close(db, "f.db")
	refused("file:"+s.path("f.db")+"?vfs="+other.name, fault.NotActivated, "")
	for _, key := range []string{"key", "hexkey", "textkey"} {
		refused(s.uri("f.db", key+"=00"), fault.Usage, key)
	}
	refused(s.uri("none.db", "mode=rw"), fs.ErrNotExist, "none.db")
	refused(s.uri("none.db", "mode=ro"), fs.ErrNotExist, "none.db")
	refused(s.uri("f.db", "nolock=1"), fault.Usage, "nolock")
	refused(s.uri("f.db", "anchor=nonsense"), fault.Usage, "anchor")
	require.NoError(t, os.WriteFile(s.path("text"), []byte("not a volume at all"), 0o600))
	refused(s.uri("text"), fault.NotFormat, "not a volume")
	require.ErrorIs(t, Register(s.name, s.keys, nil), fault.State)
	require.ErrorIs(t, Register("os", s.keys, nil), fault.State)
	_, err = New(s.keys, &Options{SpillBytes: -1})
	require.ErrorIs(t, err, fault.Usage)
}

// TestReadOnly: mode=ro writes nothing, not even where a process died, and lets other readers in; with nolock it is one snapshot.
func TestReadOnly(t *testing.T) {
	s := set(t, nil)
	db := s.open("o.db")
	fill(t, db, 10)
	s.close(db, "o.db")
	before, err := os.ReadFile(s.path("o.db"))
	require.NoError(t, err)
	for _, extra := range []string{"nolock=0", "nolock=1", "immutable=1"} {
		ro := s.open("o.db", "mode=ro", extra)
		require.Equal(t, "10", one(t, ro, "SELECT count(*) FROM t"))
		_, err = ro.Exec("DELETE FROM t")
		require.ErrorIs(t, err, sqlite3.READONLY)
		again, err := blockstore.Open(s.path("o.db"), s.keys, &blockstore.Options{ReadOnly: true})
		require.NoError(t, err)
		require.NoError(t, again.Close())
		_, err = ask(ro, "SELECT 1")
		require.NoError(t, err)
		w, err := sql.Open("sqlite3", s.uri("o.db"))
		require.NoError(t, err)
		require.ErrorIs(t, w.Ping(), fault.InUse)
		require.NoError(t, w.Close())
		s.close(ro, "o.db")
	}
	after, err := os.ReadFile(s.path("o.db"))
	require.NoError(t, err)
	require.Equal(t, before, after)
}

// TestDecryptOnlyKey: a volume whose write key may only decrypt is read-only for SQLite too.
func TestDecryptOnlyKey(t *testing.T) {
	s := set(t, nil)
	db := s.open("d.db")
	fill(t, db, 10)
	s.close(db, "d.db")
	lease, err := s.keys.Lease(s.ids[0], dek.Database, "test")
	require.NoError(t, err)
	keys := dek.NewKeyring()
	require.NoError(t, keys.Activate(lease.Key(), dek.Database, dek.DecryptOnly))
	lease.Release()
	require.NoError(t, Register(s.name+"-old", keys, nil))
	old, err := sql.Open("sqlite3", "file:"+s.path("d.db")+"?vfs="+s.name+"-old")
	require.NoError(t, err)
	require.Equal(t, "10", one(t, old, "SELECT count(*) FROM t"))
	_, err = old.Exec("DELETE FROM t")
	require.ErrorIs(t, err, sqlite3.READONLY)
	require.NoError(t, old.Close())
}

// TestAnchor: a URI with an anchor accepts only a history that has it.
func TestAnchor(t *testing.T) {
	s := set(t, nil)
	db := s.open("a.db")
	fill(t, db, 3)
	s.close(db, "a.db")
	old, err := os.ReadFile(s.path("a.db"))
	require.NoError(t, err)
	db = s.open("a.db")
	do(t, db, "INSERT INTO t (x) VALUES ('new')")
	anchor := one(t, db, "PRAGMA coffer_anchor")
	s.close(db, "a.db")
	db = s.open("a.db", "anchor="+anchor)
	require.Equal(t, "4", one(t, db, "SELECT count(*) FROM t"))
	s.close(db, "a.db")
	require.NoError(t, os.WriteFile(s.path("a.db"), old, 0o600))
	bad, err := sql.Open("sqlite3", s.uri("a.db", "anchor="+anchor))
	require.NoError(t, err)
	err = bad.Ping()
	require.Truef(t, errors.Is(err, fault.Tampered), "%v", err)
	require.NoError(t, bad.Close())
}

func TestPragmas(t *testing.T) {
	s := set(t, nil)
	db := s.open("g.db")
	fill(t, db, 500)
	require.Contains(t, one(t, db, "PRAGMA coffer_info"), s.ids[0].String())
	require.Equal(t, "ok", one(t, db, "PRAGMA coffer_verify"))
	_, err := db.Exec("PRAGMA coffer_rekey")
	require.ErrorContains(t, err, "no re-key was begun")
	_, err = db.Exec("PRAGMA coffer_rekey='nonsense'")
	require.ErrorContains(t, err, "ID of an activated key")
	one(t, db, fmt.Sprintf("PRAGMA coffer_rekey='%s'", s.ids[1]))
	require.Contains(t, one(t, db, "PRAGMA coffer_rekey=wait"), `"state":"done"`)
	require.Contains(t, one(t, db, "PRAGMA coffer_rekey"), `"operation":"rekey"`)
	info := one(t, db, "PRAGMA coffer_info")
	require.Contains(t, info, s.ids[1].String())
	require.NotContains(t, info, s.ids[0].String())
	tx, err := db.Begin()
	require.NoError(t, err)
	do(t, tx, "DELETE FROM t WHERE id=1")
	_, err = tx.Exec("PRAGMA coffer_verify")
	require.ErrorContains(t, err, "write transaction")
	require.NoError(t, tx.Rollback())
	store, release, err := s.v.Store(s.path("g.db"))
	require.NoError(t, err)
	require.NotZero(t, store.Size())
	require.NoError(t, release())
	_, _, err = s.v.Store(s.path("none.db"))
	require.ErrorIs(t, err, fs.ErrNotExist)
	sound(t, db)
}

// dump is what Debian's sqlite3 says of a plain database.
func dump(t *testing.T, path string) string {
	t.Helper()
	out, err := exec.Command("sqlite3", path, "PRAGMA integrity_check; SELECT * FROM pragma_journal_mode;", ".dump").CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.True(t, strings.HasPrefix(string(out), "ok\n"), "%.200s", out)
	return string(out)
}
