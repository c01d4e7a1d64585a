package plainfile

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/internal/fault"
)

func TestSQLitePageSize(t *testing.T) {
	header := func(hi, lo byte) []byte { return append([]byte(sqliteMagic), hi, lo) }
	for _, c := range []struct {
		name   string
		header []byte
		want   int
		ok     bool
	}{
		{"4096", header(0x10, 0), 4096, true},
		{"512", header(2, 0), 512, true},
		{"65536", header(0, 1), 65536, true},
		{"32768", header(0x80, 0), 32768, true},
		{"256", header(1, 0), 0, false},
		{"no power of two", header(0x10, 1), 0, false},
		{"zero", header(0, 0), 0, false},
		{"short", []byte(sqliteMagic), 0, false},
		{"other", bytes.Repeat([]byte{'x'}, 100), 0, false},
		{"empty", nil, 0, false},
	} {
		got, ok := sqlitePageSize(c.header)
		require.Equal(t, c.ok, ok, c.name)
		require.Equal(t, c.want, got, c.name)
	}
}

func FuzzSQLitePageSize(f *testing.F) {
	f.Add([]byte(sqliteMagic + "\x10\x00"))
	f.Add([]byte(sqliteMagic))
	f.Fuzz(func(t *testing.T, b []byte) {
		n, ok := sqlitePageSize(b)
		if ok && (n < 512 || n > maxBlockSize || n&(n-1) != 0) {
			t.Fatalf("page size %d", n)
		}
	})
}

// memory is a target in memory.
type memory struct {
	b      []byte
	writes int
	syncs  int
}

func (m *memory) ReadAt(p []byte, off int64) (int, error) { return bytes.NewReader(m.b).ReadAt(p, off) }
func (m *memory) WriteAt(p []byte, off int64) (int, error) {
	m.writes++
	return copy(m.b[off:], p), nil
}
func (m *memory) Sync() error { m.syncs++; return nil }

func TestTransferWritesOnlyWhatDiffers(t *testing.T) {
	src := content(21, 2<<20+100)
	to := &memory{b: bytes.Clone(src)}
	to.b[5000] ^= 1
	to.b[2<<20+50] ^= 1
	tr := transfer{from: bytes.NewReader(src), to: to, size: int64(len(src)), unit: 4096, mend: true, progress: func(int64) {}}
	written, err := tr.run(context.Background())
	require.NoError(t, err)
	require.Equal(t, int64(4096+100), written)
	require.Equal(t, 2, to.writes)
	require.Equal(t, src, to.b)

	tr.zeros = true
	written, err = tr.run(context.Background())
	require.NoError(t, err)
	require.Positive(t, written, "zeros are written again")
	require.Zero(t, written%4096)
}

func TestTransferOfAShrinkingFile(t *testing.T) {
	to := &memory{b: make([]byte, 10_000)}
	tr := transfer{from: bytes.NewReader(make([]byte, 9_999)), to: to, size: 10_000, unit: 4096, progress: func(int64) {}}
	_, err := tr.run(context.Background())
	require.ErrorIs(t, err, errShort)
}

func TestAllZero(t *testing.T) {
	b := make([]byte, 10_000)
	require.True(t, allZero(b))
	require.True(t, allZero(nil))
	for _, i := range []int{0, 4095, 4096, 8192, 9_999} {
		b[i] = 1
		require.False(t, allZero(b), i)
		b[i] = 0
	}
}

// On the operating system's files: links, mode, owner.

func TestLinksAndMode(t *testing.T) {
	dir, ring := t.TempDir(), newKeyring(t, 256)
	path, link := filepath.Join(dir, "table"), filepath.Join(dir, "link")
	data := content(31, 70_000)
	require.NoError(t, os.WriteFile(path, data, 0o600))
	require.NoError(t, os.Chmod(path, 0o640))
	require.NoError(t, os.Symlink("table", link))
	if os.Geteuid() == 0 {
		require.NoError(t, os.Chown(path, 4711, 4712))
	}
	owner, err := os.Stat(path)
	require.NoError(t, err)

	_, err = Encrypt(context.Background(), link, ring, nil)
	require.NoError(t, err)
	fi, err := os.Lstat(link)
	require.NoError(t, err)
	require.NotZero(t, fi.Mode()&os.ModeSymlink, "the link stays one")
	fi, err = os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o640), fi.Mode().Perm())
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	require.False(t, bytes.Contains(got, data[40_000:40_064]) && !allZero(data[40_000:40_064]))

	_, err = Decrypt(context.Background(), link, ring, nil)
	require.NoError(t, err)
	got, err = os.ReadFile(path)
	require.NoError(t, err)
	require.True(t, bytes.Equal(data, got))
	fi, err = os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o640), fi.Mode().Perm())
	requireSameOwner(t, owner, fi)
	names, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, names, 2)
}

func TestHardLinksAreRefused(t *testing.T) {
	dir, ring := t.TempDir(), newKeyring(t, 256)
	path := filepath.Join(dir, "table")
	require.NoError(t, os.WriteFile(path, content(31, 70_000), 0o600))
	require.NoError(t, os.Link(path, path+"2"))
	_, err := Encrypt(context.Background(), path, ring, nil)
	require.ErrorIs(t, err, ErrHardLinks)
	require.NoError(t, os.Remove(path+"2"))
	_, err = Encrypt(context.Background(), path, ring, nil)
	require.NoError(t, err)
	require.NoError(t, os.Link(path, path+"2"))
	_, err = Decrypt(context.Background(), path, ring, nil)
	require.ErrorIs(t, err, ErrHardLinks)
}

func TestWhatIsNoRegularFile(t *testing.T) {
	dir, ring := t.TempDir(), newKeyring(t, 256)
	_, err := Encrypt(context.Background(), dir, ring, nil)
	require.ErrorIs(t, err, ErrNotRegular)
	_, err = Encrypt(context.Background(), filepath.Join(dir, "nothing"), ring, nil)
	require.True(t, missing(err))

	path := filepath.Join(dir, "table")
	require.NoError(t, os.WriteFile(path, content(31, 70_000), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "victim"), []byte("victim"), 0o600))
	require.NoError(t, os.Symlink("victim", path+newSuffix))
	_, err = Encrypt(context.Background(), path, ring, nil)
	require.ErrorIs(t, err, fault.State, "a planted link is not followed")
	got, err := os.ReadFile(filepath.Join(dir, "victim"))
	require.NoError(t, err)
	require.Equal(t, "victim", string(got))
}
