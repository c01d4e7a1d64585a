//go:build linux || darwin

package blockstore

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/internal/fsx"
)

// realVolume makes a closed volume in the real file system.
func realVolume(t *testing.T, change func(*Store)) (path string, open func() (*Store, error), id UUID) {
	t.Helper()
	keys, _ := ring(t, 1)
	o := testOptions(fsx.OS())
	path = filepath.Join(t.TempDir(), "v")
	s, err := Create(path, keys, CreateOptions{Options: o, Size: 400 * 4096, BlockSize: 4096})
	require.NoError(t, err)
	write1(t, s, 1, page(1))
	if change != nil {
		change(s)
	}
	require.NoError(t, s.Close())
	return path, func() (*Store, error) { return Open(path, keys, &o) }, s.UUID()
}

// TestPipeInJournal: a pipe in the journal's folder makes nobody wait.
func TestPipeInJournal(t *testing.T) {
	path, open, _ := realVolume(t, nil)
	require.NoError(t, os.MkdirAll(path+".journal", 0o700))
	require.NoError(t, syscall.Mkfifo(filepath.Join(path+".journal", "segment-000077"), 0o600))
	done := make(chan error, 1)
	go func() {
		s, err := open()
		if err == nil {
			err = s.Close()
		}
		done <- err
	}()
	select {
	case <-done: // opened, or refused
	case <-time.After(20 * time.Second):
		require.Fail(t, "open waits for somebody to write into the pipe")
	}
}

// TestLinkInJournal: erasing a volume overwrites nothing that a link in its journal's folder leads to.
func TestLinkInJournal(t *testing.T) {
	for name, plant := range map[string]func(old, new string) error{"symbolic": os.Symlink, "hard": os.Link} {
		t.Run(name, func(t *testing.T) {
			path, _, _ := realVolume(t, nil)
			precious := filepath.Join(filepath.Dir(path), "precious")
			require.NoError(t, os.WriteFile(precious, []byte("precious"), 0o600))
			require.NoError(t, os.MkdirAll(path+".journal", 0o700))
			require.NoError(t, plant(precious, filepath.Join(path+".journal", "segment-000001")))
			require.NoError(t, Erase(path, nil))
			b, err := os.ReadFile(precious)
			require.NoError(t, err)
			require.Equal(t, "precious", string(b))
			require.NoDirExists(t, path+".journal")
		})
	}
}

// TestPlantedSalvage: a copy of the source, put where a salvage builds, is not taken for its own.
func TestPlantedSalvage(t *testing.T) {
	path, _, id := realVolume(t, nil)
	keys, _ := ring(t, 1)
	dest := path + "-new"
	s, err := Create(path+"-2", keys, CreateOptions{Options: testOptions(fsx.OS()), Size: 400 * 4096, BlockSize: 4096})
	require.NoError(t, err)
	write1(t, s, 1, page(1))
	require.NoError(t, s.Close())
	raw, err := os.ReadFile(path + "-2")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(dest+makingSuffix, raw, 0o600))
	require.NoError(t, os.WriteFile(dest+jobSuffix, fmt.Appendf(nil, "coffer job 1\n%s\n%s\n", jobSalvage, s.UUID()), 0o600))
	rep, err := Salvage(context.Background(), path+"-2", keys, dest, SalvageOptions{Options: testOptions(fsx.OS())})
	require.NoError(t, err)
	require.NoError(t, rep.Err())
	require.NotEqual(t, s.UUID(), rep.New)
	require.NotEqual(t, id, rep.New)
}

// TestPathNotUTF8: a path that cannot be kept in a backup, or in the volume's records, is refused before anything is written.
func TestPathNotUTF8(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "b\xff")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Skip(err) // a file system that takes UTF-8 only
	}
	_, open, _ := realVolume(t, nil)
	s, err := open()
	require.NoError(t, err)
	_, err = s.BackupTo(context.Background(), filepath.Join(dir, "b"), BackupOptions{})
	require.ErrorIs(t, err, ErrUsage)
	good := filepath.Join(filepath.Dir(dir), "full")
	_, err = s.BackupTo(context.Background(), good, BackupOptions{})
	require.NoError(t, err)
	require.NoError(t, os.Rename(good, filepath.Join(dir, "full")))
	inc := filepath.Join(filepath.Dir(dir), "inc")
	_, err = s.BackupTo(context.Background(), inc, BackupOptions{Base: filepath.Join(dir, "full")})
	require.ErrorIs(t, err, ErrUsage)
	require.NoFileExists(t, inc)
	require.NoError(t, s.Close())
}

// TestLongFile: a file that somebody made far longer than its volume costs a conversion no time.
func TestLongFile(t *testing.T) {
	path, open, _ := realVolume(t, nil)
	require.NoError(t, os.Truncate(path, 1<<40))
	s, err := open()
	require.NoError(t, err)
	begun := time.Now()
	require.NoError(t, s.Purge(context.Background()))
	require.Less(t, time.Since(begun), 20*time.Second)
	require.NoError(t, s.Close())
	i, err := os.Stat(path)
	require.NoError(t, err)
	require.Less(t, i.Size(), int64(16<<20))
}
