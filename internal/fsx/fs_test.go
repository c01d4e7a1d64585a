package fsx

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/internal/fault"
)

// onBoth runs a test over both file systems, in an empty folder of each.
func onBoth(t *testing.T, test func(t *testing.T, fsys FS, dir string)) {
	t.Run("os", func(t *testing.T) { test(t, OS(), t.TempDir()) })
	t.Run("mem", func(t *testing.T) {
		m := NewMem(1)
		require.NoError(t, m.Mkdir("/dir", 0o700))
		test(t, m, "/dir")
	})
}

func open(t *testing.T, fsys FS, name string, flag int) File {
	t.Helper()
	f, err := fsys.Open(name, flag, 0o600)
	require.NoError(t, err)
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func put(t *testing.T, fsys FS, name string, data string) File {
	t.Helper()
	f := open(t, fsys, name, os.O_RDWR|os.O_CREATE)
	n, err := f.WriteAt([]byte(data), 0)
	require.NoError(t, err)
	require.Equal(t, len(data), n)
	return f
}

func content(t *testing.T, f File) []byte {
	t.Helper()
	size, err := f.Size()
	require.NoError(t, err)
	p := make([]byte, size)
	n, err := f.ReadAt(p, 0)
	require.True(t, err == nil || errors.Is(err, io.EOF), "%v", err)
	require.Equal(t, len(p), n)
	return p
}

func TestReadAndWrite(t *testing.T) {
	onBoth(t, func(t *testing.T, fsys FS, dir string) {
		f := put(t, fsys, filepath.Join(dir, "a"), "hello")
		require.Equal(t, filepath.Join(dir, "a"), f.Name())
		for _, c := range []struct {
			name string
			off  int64
			len  int
			want string
			err  error
		}{
			{"whole", 0, 5, "hello", nil},
			{"inner", 1, 3, "ell", nil},
			{"over the end", 3, 5, "lo", io.EOF},
			{"at the end", 5, 1, "", io.EOF},
			{"far behind", 1 << 40, 1, "", io.EOF},
			{"nothing at the end", 5, 0, "", nil},
		} {
			p := make([]byte, c.len)
			n, err := f.ReadAt(p, c.off)
			require.Equal(t, c.err, err, c.name)
			require.Equal(t, c.want, string(p[:n]), c.name)
		}
		_, err := f.ReadAt(make([]byte, 1), -1)
		require.Error(t, err)
		_, err = f.WriteAt([]byte("x"), -1)
		require.Error(t, err)

		_, err = f.WriteAt([]byte("far"), 10000)
		require.NoError(t, err)
		want := append([]byte("hello"), make([]byte, 9995)...)
		require.Equal(t, append(want, "far"...), content(t, f), "a hole reads as zeros")
		_, err = f.WriteAt(bytes.Repeat([]byte{7}, 5000), 4000)
		require.NoError(t, err)
		copy(want[4000:9000], bytes.Repeat([]byte{7}, 5000))
		require.Equal(t, append(want, "far"...), content(t, f), "over pages")
		for _, sync := range []func() error{f.Sync, f.SyncData, func() error { return fsys.SyncDir(dir) }} {
			require.NoError(t, sync())
		}
		require.Error(t, fsys.SyncDir(filepath.Join(dir, "none")))
	})
}

func TestOpenFlags(t *testing.T) {
	onBoth(t, func(t *testing.T, fsys FS, dir string) {
		name := filepath.Join(dir, "a")
		fails := func(want error, name string, flag int) {
			t.Helper()
			_, err := fsys.Open(name, flag, 0o600)
			require.ErrorIs(t, err, want)
		}
		fails(fs.ErrNotExist, name, os.O_RDWR)
		fails(fs.ErrNotExist, filepath.Join(dir, "no", "a"), os.O_RDWR|os.O_CREATE)
		put(t, fsys, name, "hello")
		fails(fs.ErrExist, name, os.O_RDWR|os.O_CREATE|os.O_EXCL)
		fails(ErrFlag, name, os.O_RDWR|os.O_APPEND)
		_, err := fsys.Open(dir, os.O_RDONLY, 0)
		require.Error(t, err, "a directory")

		r := open(t, fsys, name, os.O_RDONLY)
		_, err = r.WriteAt([]byte("x"), 0)
		require.Error(t, err)
		require.Error(t, r.Truncate(0))
		w := open(t, fsys, name, os.O_WRONLY)
		_, err = w.ReadAt(make([]byte, 1), 0)
		require.Error(t, err)
		require.Equal(t, "hello", string(content(t, r)))
		open(t, fsys, name, os.O_RDWR|os.O_CREATE|os.O_TRUNC)
		require.Empty(t, content(t, r))
	})
}

func TestSizes(t *testing.T) {
	onBoth(t, func(t *testing.T, fsys FS, dir string) {
		f := put(t, fsys, filepath.Join(dir, "a"), string(bytes.Repeat([]byte{1}, 6000)))
		require.NoError(t, f.Truncate(700))
		require.NoError(t, f.Truncate(9000))
		require.Equal(t, append(bytes.Repeat([]byte{1}, 700), make([]byte, 8300)...), content(t, f),
			"what was cut off does not come back")
		require.Error(t, f.Truncate(-1))

		require.NoError(t, f.Allocate(500, 100))
		size, err := f.Size()
		require.NoError(t, err)
		require.EqualValues(t, 9000, size)
		require.NoError(t, f.Allocate(8192, 8192))
		require.Equal(t, append(bytes.Repeat([]byte{1}, 700), make([]byte, 15684)...), content(t, f))
		require.Error(t, f.Allocate(-1, 5))
		require.Error(t, f.Allocate(0, -5))
		require.NoError(t, f.Allocate(1<<20, 0))
	})
}

func TestNames(t *testing.T) {
	onBoth(t, func(t *testing.T, fsys FS, dir string) {
		a, b, sub := filepath.Join(dir, "a"), filepath.Join(dir, "b"), filepath.Join(dir, "sub")
		fa, fb := put(t, fsys, a, "A"), put(t, fsys, b, "B")
		require.NoError(t, fsys.Mkdir(sub, 0o700))
		require.ErrorIs(t, fsys.Mkdir(sub, 0o700), fs.ErrExist)
		names, err := fsys.ReadDir(dir)
		require.NoError(t, err)
		require.Equal(t, []string{"a", "b", "sub"}, names)
		_, err = fsys.ReadDir(filepath.Join(dir, "none"))
		require.ErrorIs(t, err, fs.ErrNotExist)

		same := func(name string, f File) bool {
			t.Helper()
			ok, err := fsys.SameFile(name, f)
			require.NoError(t, err)
			return ok
		}
		require.ErrorIs(t, fsys.RenameNoReplace(a, b), fs.ErrExist)
		require.True(t, same(a, fa) && same(b, fb) && !same(b, fa))
		require.NoError(t, fsys.Rename(a, b))
		require.True(t, same(b, fa) && !same(b, fb) && !same(a, fa))
		require.Equal(t, "B", string(content(t, fb)), "an open file outlives its name")
		require.ErrorIs(t, fsys.Rename(a, b), fs.ErrNotExist)
		require.NoError(t, fsys.RenameNoReplace(b, filepath.Join(sub, "c")))
		require.Error(t, fsys.Remove(sub), "not empty")
		info, err := fsys.Stat(filepath.Join(sub, "c"))
		require.NoError(t, err)
		require.EqualValues(t, 1, info.Size())
		require.Equal(t, "c", info.Name())
		require.True(t, info.Mode().IsRegular())
		require.NoError(t, fsys.Remove(filepath.Join(sub, "c")))
		require.ErrorIs(t, fsys.Remove(filepath.Join(sub, "c")), fs.ErrNotExist)
		require.Equal(t, "A", string(content(t, fa)))
		require.NoError(t, fsys.Rename(sub, filepath.Join(dir, "moved")))
		require.NoError(t, fsys.Remove(filepath.Join(dir, "moved")))
		_, err = fsys.Stat(sub)
		require.ErrorIs(t, err, fs.ErrNotExist)
	})
}

func TestSameFileOfAnother(t *testing.T) {
	m := NewMem(1)
	f := put(t, m, "/a", "x")
	_, err := OS().SameFile("/a", f)
	require.ErrorIs(t, err, fault.Usage)
	_, err = NewMem(1).SameFile("/a", f)
	require.ErrorIs(t, err, ErrForeign)
}

func TestLocks(t *testing.T) {
	onBoth(t, func(t *testing.T, fsys FS, dir string) {
		name := filepath.Join(dir, "a")
		f, g := put(t, fsys, name, "x"), open(t, fsys, name, os.O_RDWR)
		require.ErrorIs(t, f.Lock(0), ErrLockMode)
		require.NoError(t, f.Lock(Shared))
		require.NoError(t, g.Lock(Shared))
		require.ErrorIs(t, g.Lock(Exclusive), fault.InUse)
		require.NoError(t, f.Lock(Exclusive), "the failed change lost g's lock")
		require.ErrorIs(t, g.Lock(Shared), ErrLocked)
		require.NoError(t, f.Close())
		require.NoError(t, g.Lock(Exclusive))
		require.NoError(t, g.Lock(Shared))
		require.ErrorIs(t, f.Lock(Shared), fs.ErrClosed)
	})
}

func TestOpenLocked(t *testing.T) {
	onBoth(t, func(t *testing.T, fsys FS, dir string) {
		name := filepath.Join(dir, "a")
		put(t, fsys, name, "old")
		f, err := OpenLocked(fsys, name, os.O_RDWR, 0, Exclusive)
		require.NoError(t, err)
		_, err = OpenLocked(fsys, name, os.O_RDWR, 0, Shared)
		require.ErrorIs(t, err, fault.InUse)
		require.NoError(t, f.Close())

		// The file is replaced between open and lock.
		f, err = OpenLocked(replacing{fsys, name, t}, name, os.O_RDWR, 0, Exclusive)
		require.NoError(t, err)
		require.Equal(t, "new", string(content(t, f)))
		require.NoError(t, f.Close())
		_, err = OpenLocked(fsys, filepath.Join(dir, "none"), os.O_RDWR, 0, Shared)
		require.ErrorIs(t, err, fs.ErrNotExist)
	})
}

// replacing replaces the file whenever the old one has been opened.
type replacing struct {
	FS
	name string
	t    *testing.T
}

func (r replacing) Open(name string, flag int, perm fs.FileMode) (File, error) {
	f, err := r.FS.Open(name, flag, perm)
	if err == nil && string(content(r.t, f)) == "old" {
		require.NoError(r.t, Replace(r.FS, r.name, 0o600, writeString("new")))
	}
	return f, err
}

func TestTempFile(t *testing.T) {
	onBoth(t, func(t *testing.T, fsys FS, dir string) {
		f, err := fsys.TempFile(dir)
		require.NoError(t, err)
		_, err = f.WriteAt([]byte("spilt"), 0)
		require.NoError(t, err)
		require.Equal(t, "spilt", string(content(t, f)))
		if renamesOpen {
			names, err := fsys.ReadDir(dir)
			require.NoError(t, err)
			require.Empty(t, names)
		}
		require.NoError(t, f.Close())
		f, err = fsys.TempFile("")
		require.NoError(t, err)
		require.NoError(t, f.Close())
		_, err = fsys.TempFile(filepath.Join(dir, "none"))
		require.Error(t, err)
		free, err := fsys.FreeSpace(dir)
		require.NoError(t, err)
		require.Positive(t, free)
		_, err = fsys.FreeSpace(filepath.Join(dir, "none"))
		require.Error(t, err)
	})
}

func TestClosedFile(t *testing.T) {
	onBoth(t, func(t *testing.T, fsys FS, dir string) {
		f := put(t, fsys, filepath.Join(dir, "a"), "x")
		require.NoError(t, f.Close())
		_, err := f.ReadAt(make([]byte, 1), 0)
		require.ErrorIs(t, err, fs.ErrClosed)
		_, err = f.WriteAt([]byte("x"), 0)
		require.ErrorIs(t, err, fs.ErrClosed)
		_, err = f.Size()
		require.ErrorIs(t, err, fs.ErrClosed)
		for _, op := range []func() error{f.Sync, f.SyncData, f.Close,
			func() error { return f.Truncate(0) }, func() error { return f.Allocate(0, 1) }} {
			require.ErrorIs(t, op(), fs.ErrClosed)
		}
	})
}

func TestConcurrentUse(t *testing.T) {
	onBoth(t, func(t *testing.T, fsys FS, dir string) {
		f := put(t, fsys, filepath.Join(dir, "a"), "x")
		var all sync.WaitGroup
		for g := range 8 {
			all.Go(func() {
				mine := bytes.Repeat([]byte{byte(g)}, 1000)
				for range 20 {
					if _, err := f.WriteAt(mine, int64(g)*1000); err != nil {
						t.Error(err)
					}
					got := make([]byte, 1000)
					if _, err := f.ReadAt(got, int64(g)*1000); err != nil || !bytes.Equal(got, mine) {
						t.Error("another's bytes", err)
					}
					if err := f.SyncData(); err != nil {
						t.Error(err)
					}
					if m, ok := fsys.(*Mem); ok {
						m.Crash(nil)
					}
				}
			})
		}
		all.Wait()
	})
}
