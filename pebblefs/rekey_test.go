package pebblefs

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/dek"
)

// TestRekey moves a database in use to another key: afterwards no file is under the old one, and it can be deactivated
// while the database goes on.
func TestRekey(t *testing.T) {
	ring, ids := testRing(t, 3)
	inner := vfs.NewMem()
	fs, err := New(inner, ring, &Options{Key: ids[1]})
	require.NoError(t, err)
	db, err := pebble.Open("db", testOptions(fs))
	require.NoError(t, err)
	for i := range 3000 {
		require.NoError(t, db.Set(fmt.Appendf(nil, "key-%05d", i), bytes.Repeat([]byte("v"), 100), pebble.NoSync))
	}
	it, err := db.NewIter(nil)
	require.NoError(t, err)
	require.True(t, it.First())

	var calls int
	require.NoError(t, fs.SetKey(ids[2]))
	r, err := fs.Rekey(t.Context(), []string{"db"}, func(p RekeyReport) { calls++; require.Equal(t, calls, p.Resealed) })
	require.NoError(t, err)
	require.Equal(t, ids[2], r.Key)
	require.Greater(t, r.Resealed, 3)
	require.Equal(t, r.Resealed, calls)
	require.Positive(t, r.Bytes)
	require.Equal(t, r.Files, r.Done)
	require.Zero(t, r.Pinned)
	require.NoError(t, ring.Deactivate(ids[1], dek.Database))

	files, err := fs.Files("db")
	require.NoError(t, err)
	require.Equal(t, map[dek.ID]int{ids[2]: r.Files}, Keys(files))
	n := 0
	for valid := it.First(); valid; valid = it.Next() {
		n++
	}
	require.NoError(t, it.Error())
	require.Equal(t, 3000, n)
	require.NoError(t, it.Close())
	require.NoError(t, db.Set([]byte("after"), []byte("it"), pebble.Sync))
	require.NoError(t, db.Close())

	db, err = pebble.Open("db", testOptions(fs))
	require.NoError(t, err)
	_, c, err := db.Get([]byte("after"))
	require.NoError(t, err)
	require.NoError(t, c.Close())
	require.NoError(t, db.Close())
	require.NoError(t, fs.Close())
}

// TestRekeyUnderLoad: writers, readers and compactions go on while keys go round; nothing is lost.
func TestRekeyUnderLoad(t *testing.T) {
	ring, ids := testRing(t, 3)
	fs, err := New(vfs.NewMem(), ring, nil)
	require.NoError(t, err)
	db, err := pebble.Open("db", testOptions(fs))
	require.NoError(t, err)
	var stop atomic.Bool
	var wg sync.WaitGroup
	const workers = 3
	var wrote [workers]int
	for w := range workers {
		wg.Go(func() {
			for i := 0; !stop.Load(); i++ {
				key := fmt.Appendf(nil, "%d-%06d", w, i)
				if err := db.Set(key, bytes.Repeat(key, 30), &pebble.WriteOptions{Sync: i%3 == 0}); err != nil {
					t.Error(err)
					return
				}
				wrote[w] = i
				key = fmt.Appendf(nil, "%d-%06d", w, i/2)
				v, c, err := db.Get(key)
				if err != nil || !bytes.Equal(v, bytes.Repeat(key, 30)) {
					t.Errorf("%s: %v", key, err)
					return
				}
				_ = c.Close()
			}
		})
	}
	rounds := 6
	for i := range rounds {
		require.NoError(t, fs.SetKey(ids[i%len(ids)]))
		r, err := fs.Rekey(t.Context(), []string{"db"}, nil)
		require.NoError(t, err, "%v", r.Left)
	}
	stop.Store(true)
	wg.Wait()
	require.NoError(t, db.Close())
	files, err := fs.Files("db")
	require.NoError(t, err)
	require.Len(t, Keys(files), 1)
	db, err = pebble.Open("db", testOptions(fs))
	require.NoError(t, err)
	for w := range workers {
		for i := range wrote[w] {
			_, c, err := db.Get(fmt.Appendf(nil, "%d-%06d", w, i))
			require.NoError(t, err)
			require.NoError(t, c.Close())
		}
	}
	require.NoError(t, db.Close())
	require.NoError(t, fs.Close())
}

// TestRekeyOpenFiles: every kind of open file goes on after its key has changed.
func TestRekeyOpenFiles(t *testing.T) {
	for _, name := range append([]string{"cache"}, kindNames...) {
		t.Run(name, func(t *testing.T) {
			ring, ids := testRing(t, 2)
			inner := vfs.NewMem()
			fs, err := New(inner, ring, nil)
			require.NoError(t, err)
			require.NoError(t, fs.MkdirAll("db", 0o755))
			path := "db/" + name
			create := fs.Create
			if name == "cache" {
				create = func(name string, c vfs.DiskWriteCategory) (vfs.File, error) { return fs.OpenReadWrite(name, c) }
			}
			f, err := create(path, "test")
			require.NoError(t, err)
			rng := rand.New(rand.NewPCG(5, 5))
			var want []byte
			for i := range 6 {
				piece := randomBytes(rng, 1+rng.IntN(200000))
				want = append(want, piece...)
				_, err := f.Write(piece)
				require.NoError(t, err)
				if i%2 == 1 {
					require.NoError(t, f.Sync())
				}
				require.NoError(t, fs.SetKey(ids[i%2]))
				r, err := fs.Rekey(t.Context(), []string{"db"}, nil)
				require.NoError(t, err)
				require.Zero(t, r.Pinned)
			}
			require.NoError(t, f.Close())
			require.True(t, bytes.Equal(want, get(t, fs, path)))
			require.NoError(t, fs.Close())
		})
	}
}

// TestRekeyRefuses: what cannot be read is named and nothing is called done.
func TestRekeyRefuses(t *testing.T) {
	ring, ids := testRing(t, 2)
	inner := vfs.NewMem()
	fs, err := New(inner, ring, nil)
	require.NoError(t, err)
	require.NoError(t, fs.MkdirAll("db", 0o755))
	put(t, fs, "db/1.sst", make([]byte, 3*pageData))
	put(t, fs, "db/2.sst", []byte("good"))
	bad := flipped(below(t, inner, "db/1.sst"), headSize+pageSize+100)
	plant(t, inner, "db/1.sst", bad)
	require.NoError(t, fs.SetKey(ids[1]))
	r, err := fs.Rekey(t.Context(), []string{"db"}, nil)
	require.ErrorIs(t, err, ErrRemaining)
	require.ErrorIs(t, err, ErrTampered)
	require.Len(t, r.Left, 1)
	require.Equal(t, "db/1.sst", r.Left[0].Path)
	require.Equal(t, ids[0], r.Left[0].Key)
	require.Equal(t, 1, r.Done)
	require.Equal(t, bad, below(t, inner, "db/1.sst"), "it is as it was")
	names, err := inner.List("db")
	require.NoError(t, err)
	require.ElementsMatch(t, []string{"1.sst", "2.sst"}, names, "nothing is left behind")

	plant(t, inner, "db/1.sst", []byte("foreign"))
	r, err = fs.Rekey(t.Context(), []string{"db"}, nil)
	require.ErrorIs(t, err, ErrRemaining)
	require.ErrorIs(t, r.Left[0].Err, ErrNotCoffer)
	require.NoError(t, fs.Remove("db/1.sst"))

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, fs.SetKey(ids[0]))
	_, err = fs.Rekey(ctx, []string{"db"}, nil)
	require.ErrorIs(t, err, context.Canceled)
	_, err = fs.Rekey(t.Context(), []string{"db"}, nil)
	require.NoError(t, err, "it goes on")
	require.NoError(t, fs.Close())
}

// TestPinned: a removed file that somebody reads holds its key, and the report says so.
func TestPinned(t *testing.T) {
	ring, ids := testRing(t, 2)
	fs, err := New(vfs.NewMem(), ring, nil)
	require.NoError(t, err)
	require.NoError(t, fs.MkdirAll("db", 0o755))
	put(t, fs, "db/1.sst", []byte("content"))
	f, err := fs.Open("db/1.sst")
	require.NoError(t, err)
	require.NoError(t, fs.Remove("db/1.sst"))
	require.NoError(t, fs.SetKey(ids[1]))
	r, err := fs.Rekey(t.Context(), []string{"db"}, nil)
	require.NoError(t, err)
	require.Equal(t, 1, r.Pinned)
	got, err := io.ReadAll(f)
	require.NoError(t, err)
	require.Equal(t, "content", string(got))
	require.NoError(t, f.Close())
	require.NoError(t, fs.Close())
}

// TestHiddenNames: a database whose files have hidden names, through a change of keys.
func TestHiddenNames(t *testing.T) {
	ring, ids := testRing(t, 2)
	inner := vfs.NewMem()
	o := &Options{Names: "db/coffer.names"}
	for round := range 4 {
		fs, err := New(inner, ring, o)
		require.NoError(t, err)
		db, err := pebble.Open("db", testOptions(fs))
		require.NoError(t, err)
		for i := range 500 {
			require.NoError(t, db.Set(fmt.Appendf(nil, "%d-%05d", round, i), bytes.Repeat([]byte("v"), 100), pebble.NoSync))
		}
		require.NoError(t, db.Checkpoint(fmt.Sprintf("checkpoint-%d", round)))
		require.NoError(t, fs.SetKey(ids[round%2]))
		_, err = fs.Rekey(t.Context(), []string{"db"}, nil)
		require.NoError(t, err)
		require.NoError(t, db.Close())
		files, err := fs.Files("db")
		require.NoError(t, err)
		require.Len(t, Keys(files), 1, "the file of names is counted too")
		require.Contains(t, Keys(files), ids[round%2])
		require.NoError(t, fs.Close())
	}
	names, err := inner.List("db")
	require.NoError(t, err)
	for _, name := range names {
		if name != "coffer.names" {
			require.Regexp(t, `^[0-9a-v]+$`, name)
		}
	}
	fs, err := New(inner, ring, &Options{Names: "db/coffer.names"})
	require.NoError(t, err)
	db, err := pebble.Open("checkpoint-2", testOptions(fs))
	require.NoError(t, err, "a checkpoint opens with the names of the original")
	require.NoError(t, db.Close())
	plant(t, inner, "db/intruder", []byte("x"))
	_, err = fs.List("db")
	require.ErrorIs(t, err, ErrTampered)
	require.NoError(t, fs.Close())

	b := below(t, inner, "db/coffer.names")
	for at := range b {
		plant(t, inner, "db/coffer.names", flipped(b, at))
		_, err = New(inner, ring, o)
		require.Error(t, err)
	}
	require.NoError(t, inner.Remove("db/coffer.names"))
	_, err = New(inner, ring, o)
	require.ErrorIs(t, err, ErrState, "names are never made anew over files that are there")
	long := &FS{inner: inner, names: &hider{key: nil}}
	require.Len(t, long.names.hide(string(make([]byte, maxHidden+1))), 256)
	require.NoError(t, ring.Close())
}
