package sqlitevfs

import (
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/ncruces/go-sqlite3"
	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/internal/fsx"
)

// TestManyGoroutines: eight of them move money between accounts and sum it up,
// while the database is re-keyed twice. The sum is the same in every snapshot, no transfer is lost.
func TestManyGoroutines(t *testing.T) {
	rounds := 40
	if testing.Short() {
		rounds = 12
	}
	o := &Options{}
	o.Volume.CheckpointBytes, o.Volume.SegmentBytes = 1<<20, 256<<10
	s := set(t, o)
	db := s.open("m.db", "_pragma=busy_timeout(60000)", "_txlock=immediate")
	db.SetMaxOpenConns(8)
	const accounts = 64
	do(t, db, "CREATE TABLE a (id INTEGER PRIMARY KEY, n INTEGER, pad BLOB)")
	do(t, db, fmt.Sprintf("WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i+1 FROM n WHERE i<%d) INSERT INTO a SELECT i, 100, randomblob(2000) FROM n", accounts-1))
	do(t, db, "CREATE TABLE log (x INTEGER)")
	var wg sync.WaitGroup
	var moved atomic.Int64
	for g := range 8 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(g), 1))
			for range rounds {
				if err := transfer(db, rng.IntN(accounts), rng.IntN(accounts)); err != nil {
					t.Error(err)
					return
				}
				moved.Add(1)
				if sum, err := ask(db, "SELECT sum(n) FROM a"); err != nil || sum[0] != fmt.Sprint(accounts*100) {
					t.Error(sum, err)
					return
				}
			}
		})
	}
	for _, id := range []int{1, 0} {
		one(t, db, fmt.Sprintf("PRAGMA coffer_rekey='%s'", s.ids[id]))
		require.Contains(t, one(t, db, "PRAGMA coffer_rekey=wait"), `"state":"done"`)
	}
	wg.Wait()
	require.Equal(t, fmt.Sprint(moved.Load()), one(t, db, "SELECT count(*) FROM log"))
	require.EqualValues(t, 8*rounds, moved.Load())
	require.Equal(t, "ok", one(t, db, "PRAGMA coffer_verify"))
	sound(t, db)
}

func transfer(db *sql.DB, from, to int) error {
	tx, err := db.Begin()
	if err != nil {
		return err
	}
	defer tx.Rollback()
	for _, q := range []string{fmt.Sprintf("UPDATE a SET n=n-1, pad=randomblob(2000) WHERE id=%d", from),
		fmt.Sprintf("UPDATE a SET n=n+1 WHERE id=%d", to), "INSERT INTO log VALUES (1)"} {
		if _, err := tx.Exec(q); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// onMem is a setting on the file system that fails on purpose.
func onMem(t *testing.T, o *Options) (*setting, *fsx.Mem) {
	t.Helper()
	if o == nil {
		o = &Options{}
	}
	disk := fsx.NewMem(1)
	o.Volume.FS = disk
	s := set(t, o)
	s.dir = "/"
	return s, disk
}

// TestFailedSync: a commit whose sync fails is an error, nobody sees it, and nothing more is written until the database is opened again.
func TestFailedSync(t *testing.T) {
	s, disk := onMem(t, nil)
	db, err := sql.Open("sqlite3", s.uri("f.db"))
	require.NoError(t, err)
	fill(t, db, 20)
	want := one(t, db, digest)
	disk.Inject(fsx.Fault{Kind: fsx.OpSync, Name: "segment-*", Once: true})
	_, err = db.Exec("DELETE FROM t")
	require.ErrorIs(t, err, sqlite3.IOERR)
	require.Equal(t, want, one(t, db, digest), "readers are back at what is durable")
	_, err = db.Exec("DELETE FROM t")
	require.ErrorIs(t, err, sqlite3.IOERR)
	require.ErrorContains(t, err, "opened again")
	_ = db.Close() // it cannot say that all is well
	disk.ClearFaults()
	db = s.open("f.db")
	one(t, db, "SELECT count(*) FROM t") // all or nothing: the outcome is not known
	sound(t, db)
}

// TestFullDisk: a transaction that finds no space is undone, and the next one works when there is some.
func TestFullDisk(t *testing.T) {
	for _, locking := range []string{"normal", "exclusive"} {
		t.Run(locking, func(t *testing.T) {
			o := &Options{SpillBytes: 64 << 10}
			o.Volume.Tune.TxMemory, o.Volume.SegmentBytes = 256<<10, 256<<10
			s, disk := onMem(t, o)
			db := s.open("f.db", "_pragma=cache_size(10)")
			db.SetMaxOpenConns(1)
			fill(t, db, 200)
			want := one(t, db, digest)
			disk.SetCapacity(disk.Used() + 1<<20)
			_, err := db.Exec("PRAGMA locking_mode=" + locking + "; INSERT INTO t (x, y) SELECT a.x, a.y FROM t a, t b")
			require.Truef(t, errors.Is(err, sqlite3.FULL), "%v", err)
			require.Equal(t, want, one(t, db, digest))
			sound(t, db)
			disk.SetCapacity(0)
			do(t, db, "INSERT INTO t (x) VALUES ('room again')")
			want = one(t, db, digest)

			disk.Inject(fsx.Fault{Kind: fsx.OpAllocate, Name: "f.db", Once: true, Err: syscall.ENOSPC})
			_, err = db.Exec("INSERT INTO t (x, y) SELECT x, y FROM t")
			require.Truef(t, errors.Is(err, sqlite3.FULL), "%v", err)
			require.Equal(t, want, one(t, db, digest))
			if locking == "exclusive" {
				_, err = db.Exec("DELETE FROM t WHERE id=1")
				require.ErrorIs(t, err, sqlite3.FULL, "until the lock is let go of")
				do(t, db, "PRAGMA locking_mode=normal; SELECT count(*) FROM t")
			}
			do(t, db, "INSERT INTO t (x) VALUES ('room again')")
			sound(t, db)
		})
	}
}

// TestTampered: a page that was changed on the disk is an error of SQLite's, with its cause, and no wrong row.
func TestTampered(t *testing.T) {
	s, disk := onMem(t, nil)
	db, err := sql.Open("sqlite3", s.uri("f.db"))
	require.NoError(t, err)
	fill(t, db, 200)
	require.NoError(t, db.Close())
	raw, err := disk.ReadFile("/f.db")
	require.NoError(t, err)
	for i := 128<<10 + 20*4096; i < 128<<10+60*4096; i += 100 {
		raw[i] ^= 1
	}
	require.NoError(t, disk.WriteFile("/f.db", raw))
	db, err = sql.Open("sqlite3", s.uri("f.db", "mode=ro"))
	require.NoError(t, err)
	_, err = ask(db, "SELECT sum(length(y)) FROM t")
	require.ErrorIs(t, err, sqlite3.IOERR_DATA)
	require.ErrorContains(t, err, "block")
	require.NoError(t, db.Close())
}
