package pebblefs

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/internal/fsx"
)

func testFS(t testing.TB, o *Options) (*FS, *vfs.MemFS) {
	t.Helper()
	ring, _ := testRing(t, 1)
	inner := vfs.NewMem()
	if o == nil {
		o = &Options{Cache: -1} // what lies below is what is read
	}
	fs, err := New(inner, ring, o)
	require.NoError(t, err)
	return fs, inner
}

func put(t testing.TB, fs vfs.FS, name string, content []byte) {
	t.Helper()
	f, err := fs.Create(name, vfs.WriteCategoryUnspecified)
	require.NoError(t, err)
	_, err = f.Write(bytes.Clone(content))
	require.NoError(t, err)
	require.NoError(t, f.Sync())
	require.NoError(t, f.Close())
}

func get(t testing.TB, fs vfs.FS, name string) []byte {
	t.Helper()
	b, err := slurp(fs, name)
	require.NoError(t, err)
	return b
}

func slurp(fs vfs.FS, name string) ([]byte, error) {
	f, err := fs.Open(name)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(f)
	if err2 := f.Close(); err == nil {
		err = err2
	}
	return b, err
}

func randomBytes(rng *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

// kinds are names that make files of each appended kind.
var kindNames = []string{"000001.log", "MANIFEST-000001", "000002.sst", "000003.blob", "OPTIONS-000004", "ext5"}

// TestContent writes files in pieces of any size with syncs in between, and reads them at any place.
func TestContent(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	for i, name := range kindNames {
		t.Run(name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, uint64(i)))
			rounds := 12
			if testing.Short() {
				rounds = 3
			}
			for range rounds {
				fs, _ := testFS(t, nil)
				want := writeInPieces(t, fs, name, rng)
				info, err := fs.Stat(name)
				require.NoError(t, err)
				require.Equal(t, int64(len(want)), info.Size())
				require.True(t, bytes.Equal(want, get(t, fs, name)))
				readAnywhere(t, fs, name, want, rng)
				require.NoError(t, fs.Close())
			}
		})
	}
}

func writeInPieces(t *testing.T, fs *FS, name string, rng *rand.Rand) (want []byte) {
	f, err := fs.Create(name, "test")
	require.NoError(t, err)
	for range rng.IntN(12) {
		piece := randomBytes(rng, rng.IntN([]int{10, 5000, 300000}[rng.IntN(3)]))
		want = append(want, piece...)
		n, err := f.Write(piece)
		require.NoError(t, err)
		require.Equal(t, len(piece), n)
		info, err := f.Stat()
		require.NoError(t, err)
		require.Equal(t, int64(len(want)), info.Size())
		switch rng.IntN(4) {
		case 0:
			require.NoError(t, f.Sync())
		case 1:
			require.NoError(t, f.SyncData())
			require.True(t, bytes.Equal(want, get(t, fs, name)) || len(want) == 0, "what was synced is there for others")
		case 2:
			_, err := f.SyncTo(int64(rng.IntN(len(want) + 1)))
			require.NoError(t, err)
		}
	}
	if len(want) == 0 && kindOf(name) == Table {
		_, err := f.Write([]byte("x"))
		require.NoError(t, err)
		want = []byte("x")
	}
	require.NoError(t, f.Close())
	require.ErrorIs(t, f.Close(), ErrClosed)
	_, err = f.Write(nil)
	require.ErrorIs(t, err, ErrClosed)
	return want
}

func readAnywhere(t *testing.T, fs *FS, name string, want []byte, rng *rand.Rand) {
	f, err := fs.Open(name, vfs.RandomReadsOption)
	require.NoError(t, err)
	for range 40 {
		off := rng.IntN(len(want) + 10)
		p := make([]byte, 1+rng.IntN([]int{100, 9000, 200000}[rng.IntN(3)]))
		require.NoError(t, f.Prefetch(int64(off), int64(len(p))))
		n, err := f.ReadAt(p, int64(off))
		rest := want[min(off, len(want)):]
		require.True(t, bytes.Equal(p[:n], rest[:min(len(rest), len(p))]), "at %d", off)
		if n < len(p) {
			require.Equal(t, io.EOF, err)
		} else {
			require.NoError(t, err)
		}
	}
	_, err = f.ReadAt(make([]byte, 1), -1)
	require.Error(t, err)
	_, err = f.Write([]byte("x"))
	require.ErrorIs(t, err, ErrUsage)
	require.NoError(t, f.Close())
	_, err = f.ReadAt(make([]byte, 1), 0)
	require.ErrorIs(t, err, ErrClosed)
}

// TestGrowing: a reader of a log sees what is appended, after each Write.
func TestGrowing(t *testing.T) {
	fs, _ := testFS(t, nil)
	w, err := fs.Create("1.log", "test")
	require.NoError(t, err)
	r, err := fs.Open("1.log")
	require.NoError(t, err)
	for i := range 50 {
		piece := fmt.Appendf(nil, "%d %s", i, bytes.Repeat([]byte("x"), i*200))
		_, err := w.Write(bytes.Clone(piece))
		require.NoError(t, err)
		got := make([]byte, len(piece)+1)
		n, err := io.ReadFull(r, got)
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		require.Equal(t, piece, got[:n])
	}
	require.NoError(t, w.Close())
	require.NoError(t, r.Close())
	require.NoError(t, fs.Close())
}

// TestRandom compares a file that is written in place with a slice.
func TestRandom(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	fs, _ := testFS(t, nil)
	var want []byte
	for range 20 {
		f, err := fs.OpenReadWrite("cache", "test")
		require.NoError(t, err)
		for range 10 {
			off, piece := rng.IntN(100000), randomBytes(rng, rng.IntN(20000))
			if end := off + len(piece); end > len(want) {
				want = append(want, make([]byte, end-len(want))...)
			}
			copy(want[off:], piece)
			n, err := f.WriteAt(piece, int64(off))
			require.NoError(t, err)
			require.Equal(t, len(piece), n)
			got := make([]byte, rng.IntN(30000))
			off = rng.IntN(len(want))
			n, _ = f.ReadAt(got, int64(off))
			require.True(t, bytes.Equal(want[off:off+n], got[:n]))
		}
		info, err := f.Stat()
		require.NoError(t, err)
		require.Equal(t, int64(len(want)), info.Size())
		require.NoError(t, f.Sync())
		require.NoError(t, f.Close())
		require.True(t, bytes.Equal(want, get(t, fs, "cache")))
	}
	put(t, fs, "2.sst", []byte("a table"))
	_, err := fs.OpenReadWrite("2.sst", "test")
	require.ErrorIs(t, err, ErrUnsupported)
	require.NoError(t, fs.Close())
}

// TestReuse: a recycled log has nothing of its former life, whatever lies behind its end below.
func TestReuse(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	fs, inner := testFS(t, nil)
	put(t, fs, "1.log", randomBytes(rng, 300000))
	before, err := inner.Stat("1.log")
	require.NoError(t, err)
	for i := 2; i < 6; i++ {
		name := fmt.Sprintf("%d.log", i)
		f, err := fs.ReuseForWrite(fmt.Sprintf("%d.log", i-1), name, "test")
		require.NoError(t, err)
		require.Empty(t, get(t, fs, name))
		want := randomBytes(rng, 20000/i)
		_, err = f.Write(bytes.Clone(want))
		require.NoError(t, err)
		require.NoError(t, f.Sync())
		require.Equal(t, want, get(t, fs, name), "not closed: nothing says where it ends but the pages")
		require.NoError(t, f.Close())
		require.Equal(t, want, get(t, fs, name))
		after, err := inner.Stat(name)
		require.NoError(t, err)
		require.Equal(t, before.Size(), after.Size(), "the space is used again")
		_, err = fs.Stat(fmt.Sprintf("%d.log", i-1))
		require.Error(t, err)
	}
	require.NoError(t, fs.Close())
}

// TestNames: renamed and linked files open under the names that they were given, and under no others.
func TestNames(t *testing.T) {
	fs, inner := testFS(t, nil)
	put(t, fs, "a.sst", []byte("one"))
	require.NoError(t, fs.MkdirAll("dir", 0o755))
	require.NoError(t, fs.Link("a.sst", "dir/a.sst"), "the same base name costs nothing")
	require.NoError(t, fs.Link("a.sst", "b.sst"))
	require.NoError(t, fs.Link("b.sst", "c.sst"))
	require.NoError(t, fs.Rename("c.sst", "d.sst"))
	require.ErrorIs(t, fs.Link("a.sst", "e.sst"), ErrState, "it has four names")
	require.NoError(t, fs.Rename("d.sst", "e.sst"), "sealed anew it has room again")
	for _, name := range []string{"a.sst", "dir/a.sst", "b.sst", "e.sst"} {
		require.Equal(t, "one", string(get(t, fs, name)), name)
	}
	require.NoError(t, inner.Rename("b.sst", "z.sst"))
	_, err := fs.Open("z.sst")
	require.ErrorIs(t, err, ErrName)
	require.ErrorIs(t, err, ErrTampered)

	names, err := fs.List("")
	require.NoError(t, err)
	require.ElementsMatch(t, []string{"a.sst", "dir", "e.sst", "z.sst"}, names)
	require.NoError(t, fs.Close())
}

// TestRenameWhileWritten: a file gets another name before anything of it is below.
func TestRenameWhileWritten(t *testing.T) {
	fs, _ := testFS(t, nil)
	f, err := fs.Create("tmp", "test")
	require.NoError(t, err)
	_, err = f.Write([]byte("content"))
	require.NoError(t, err)
	require.NoError(t, fs.Rename("tmp", "final"))
	require.NoError(t, f.Close())
	require.Equal(t, "content", string(get(t, fs, "final")))
	require.NoError(t, fs.Close())
}

// TestEmpty: a file in which nothing was written costs nothing below, as markers and locks do not.
func TestEmpty(t *testing.T) {
	fs, inner := testFS(t, nil)
	f, err := fs.Create("marker.x.000001.y", "test")
	require.NoError(t, err)
	require.NoError(t, f.Close())
	info, err := inner.Stat("marker.x.000001.y")
	require.NoError(t, err)
	require.Zero(t, info.Size())
	require.Empty(t, get(t, fs, "marker.x.000001.y"))
	require.NoError(t, fs.Rename("marker.x.000001.y", "marker.x.000002.y"))
	require.NoError(t, fs.MkdirAll("db", 0o755))
	dir, err := fs.Open("db")
	require.NoError(t, err)
	info, err = dir.Stat()
	require.NoError(t, err)
	require.True(t, info.IsDir())
	require.NoError(t, dir.Close())
	plant(t, inner, "db/1.log"+tmpSuffix, []byte("never got its name"))
	lock, err := fs.Lock("db/LOCK")
	require.NoError(t, err)
	require.NoError(t, lock.Close())
	names, err := inner.List("db")
	require.NoError(t, err)
	require.Equal(t, []string{"LOCK"}, names)
	require.NoError(t, fs.Close())
}

// TestFailedWrite: after a write or a sync that failed nothing is written any more, and nobody is told that it is durable.
func TestFailedWrite(t *testing.T) {
	for _, kind := range []fsx.OpKind{fsx.OpWrite, fsx.OpSync} {
		ring, _ := testRing(t, 1)
		mem := fsx.NewMem(1)
		fs, err := New(memVFS{mem}, ring, nil)
		require.NoError(t, err)
		f, err := fs.Create("1.log", "test")
		require.NoError(t, err)
		mem.Inject(fsx.Fault{Kind: kind, Once: true})
		_, err = f.Write([]byte("x"))
		require.Equal(t, kind == fsx.OpWrite, err != nil)
		require.Error(t, f.Sync())
		_, err = f.Write([]byte("x"))
		require.ErrorIs(t, err, ErrFailed)
		require.ErrorIs(t, f.Sync(), ErrFailed)
		require.ErrorIs(t, f.Close(), ErrFailed)
		require.NoError(t, fs.Close())
	}
}
