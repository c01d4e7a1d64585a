package keyfile

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/cofferdb/coffer/internal/fault"
	"github.com/stretchr/testify/require"
)

// F8: a verified backup copy, and putting it in place of a lost file.
func TestF8Backup(t *testing.T) {
	m := newMem()
	f := newFile(t, m, testPath)
	require.NoError(t, f.AddAdmin(bob))
	require.NoError(t, f.Backup("/copy.cof"))
	require.Equal(t, readBytes(t, m, testPath), readBytes(t, m, "/copy.cof"))
	err := f.Backup("/copy.cof")
	require.ErrorIs(t, err, ErrFileExists)
	require.ErrorIs(t, err, fault.State)
	require.ErrorIs(t, f.Backup(testPath), ErrFileExists, "onto itself")

	good := readBytes(t, m, testPath)
	bad := bytes.Clone(good)
	bad[len(bad)/2] ^= 1
	require.NoError(t, m.WriteFile(testPath, bad))
	require.ErrorIs(t, f.Backup("/copy2.cof"), ErrDamaged, "a damaged file is not backed up")
	_, err = m.Stat("/copy2.cof")
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.NoError(t, m.WriteFile(testPath, readBytes(t, m, "/copy.cof")))
	g := mustOpen(t, m, testPath, bob)
	_, err = g.AddKey(128, "goes on")
	require.NoError(t, err)
}

func TestF8Verify(t *testing.T) {
	m := newMem()
	f := newFile(t, m, testPath)
	_, err := f.AddKey(256, "")
	require.NoError(t, err)
	r, err := Verify(testPath, alice, quickOptions(m))
	require.NoError(t, err)
	require.Equal(t, 2, r.Unwrapped)
	require.Equal(t, f.Info(), r.Info)
	require.Len(t, r.Warnings, 1, "one administrator: %v", r.Warnings)
	require.NoError(t, f.AddAdmin(bob))
	r, err = Verify(testPath, alice, quickOptions(m))
	require.NoError(t, err)
	require.Empty(t, r.Warnings)
	f.opts.Iterations = MinIterations
	require.NoError(t, f.AddAdmin(carol))
	r, err = Verify(testPath, carol, quickOptions(m))
	require.NoError(t, err)
	require.Len(t, r.Warnings, 1)
	require.Contains(t, r.Warnings[0], "CAROL")
	_, err = Verify(testPath, Credentials{"bob", nil}, quickOptions(m))
	require.ErrorIs(t, err, ErrWrongKey)
	_, err = Verify("/missing", alice, quickOptions(m))
	require.ErrorIs(t, err, fs.ErrNotExist)
}

// A key record whose wrap is wrong under a right MAC is found by Verify.
func TestVerifyUnwrapsEverything(t *testing.T) {
	m := newMem()
	f := newFile(t, m, testPath)
	f.mu.Lock()
	c := f.cur.clone()
	c.keys[0].wrapped = make([]byte, len(c.keys[0].wrapped))
	data, err := c.seal(f.kek)
	f.mu.Unlock()
	require.NoError(t, err)
	require.NoError(t, m.WriteFile(testPath, data))
	_, err = Open(testPath, alice, quickOptions(m))
	require.NoError(t, err)
	_, err = Verify(testPath, alice, quickOptions(m))
	require.ErrorIs(t, err, ErrDamaged)
}

func TestInspect(t *testing.T) {
	m := newMem()
	f := newFile(t, m, testPath)
	require.NoError(t, f.AddAdmin(bob))
	_, err := f.AddKey(256, "second")
	require.NoError(t, err)
	in, err := Inspect(testPath, quickOptions(m))
	require.NoError(t, err)
	require.Equal(t, f.Info(), in)
	require.True(t, in.Intact)
	text, err := json.Marshal(in)
	require.NoError(t, err)
	require.Contains(t, string(text), `"created":"2026-01-01T00:00:00Z"`)

	good := readBytes(t, m, testPath)
	bad := bytes.Clone(good)
	bad[len(bad)-trailerSize-1] ^= 1 // in the last description
	got, err := inspect(bad)
	require.ErrorIs(t, err, ErrDamaged)
	require.False(t, got.Intact)
	require.Equal(t, in.Admins, got.Admins, "what can be read is shown")
	require.Len(t, got.Keys, 2)
	for n := range good {
		_, err := inspect(good[:n])
		require.Error(t, err)
	}
	_, err = inspect([]byte("SQLite format 3\x00"))
	require.ErrorIs(t, err, ErrNotKeyFile)
	_, err = inspect(append(bytes.Clone(good), make([]byte, MaxFileSize)...))
	require.ErrorIs(t, err, ErrDamaged)
}

// On the operating system's files: mode kept, links followed, warnings given.
func TestOSFile(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("permission bits and links differ")
	}
	dir := t.TempDir()
	path, link := filepath.Join(dir, "k.cof"), filepath.Join(dir, "link.cof")
	f, err := Create(path, CreateOptions{Admin: alice, derive: quick})
	require.NoError(t, err)
	defer f.Close()
	st, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o600), st.Mode().Perm())
	require.NoError(t, os.Symlink("k.cof", link))
	require.NoError(t, os.Chmod(path, 0o640))
	g, err := Open(link, alice, quickOptions(nil))
	require.NoError(t, err)
	defer g.Close()
	_, err = g.AddKey(128, "through a link")
	require.NoError(t, err)
	st, err = os.Lstat(link)
	require.NoError(t, err)
	require.NotZero(t, st.Mode()&fs.ModeSymlink, "the link stays one")
	st, err = os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o640), st.Mode().Perm(), "the mode stays")
	r, err := Verify(path, alice, quickOptions(nil))
	require.NoError(t, err)
	require.Len(t, r.Keys, 2)
	require.Contains(t, r.Warnings[len(r.Warnings)-1], "0640")
	names, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, names, 2, "no temporary file stays")
}
