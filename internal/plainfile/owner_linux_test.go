package plainfile

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/blockstore"
	"github.com/cofferdb/coffer/internal/fault"
)

const nobody = 65534

// asNobody makes a folder for a user without rights and is that user until the
// test ends. Tests of this package do not run at the same time.
func asNobody(t *testing.T) (dir string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "coffer-nobody-")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if os.Geteuid() != 0 {
		return dir
	}
	require.NoError(t, os.Chown(dir, nobody, nobody))
	require.NoError(t, syscall.Setresgid(-1, nobody, 0))
	require.NoError(t, syscall.Setresuid(-1, nobody, 0))
	t.Cleanup(func() {
		require.NoError(t, syscall.Setresuid(-1, 0, 0))
		require.NoError(t, syscall.Setresgid(-1, 0, 0))
	})
	return dir
}

// TestReadOnlyFiles: the mode 0444 is kept both ways, also when a run was killed
// just before the rename.
func TestReadOnlyFiles(t *testing.T) {
	path, ring := filepath.Join(asNobody(t), "table"), newKeyring(t, 256)
	data := content(31, 70_000)
	require.NoError(t, os.WriteFile(path, data, 0o444))

	s, err := blockstore.Create(path+newSuffix, ring, blockstore.CreateOptions{Size: 70_000})
	require.NoError(t, err)
	require.NoError(t, s.Close())
	require.NoError(t, os.RemoveAll(path+newSuffix+journalSuffix))
	require.NoError(t, os.Chmod(path+newSuffix, 0o444))
	require.NoError(t, os.WriteFile(path+jobSuffix, job{jobEncrypt, s.UUID()}.marshal(), 0o444))
	res, err := Encrypt(context.Background(), path, ring, nil)
	require.NoError(t, err)
	requireMode(t, path, 0o444)

	require.NoError(t, os.WriteFile(path+jobSuffix, job{jobDecrypt, res.Volume}.marshal(), 0o444))
	require.NoError(t, os.WriteFile(path+newSuffix, data, 0o444))
	_, err = Decrypt(context.Background(), path, ring, nil)
	require.NoError(t, err)
	requireMode(t, path, 0o444)
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, data, got)
	names, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, names, 1)
}

func requireMode(t *testing.T, path string, want fs.FileMode) {
	t.Helper()
	fi, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, want, fi.Mode())
}

// TestReadOnlyVolumeThatNeedsRecovery is refused, and is not touched.
func TestReadOnlyVolumeThatNeedsRecovery(t *testing.T) {
	path, ring := filepath.Join(asNobody(t), "table"), newKeyring(t, 256)
	require.NoError(t, os.WriteFile(path, content(31, 70_000), 0o600))
	_, err := Encrypt(context.Background(), path, ring, nil)
	require.NoError(t, err)
	s, err := blockstore.Open(path, ring, nil)
	require.NoError(t, err)
	dead, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.CopyFS(path+"2"+journalSuffix, os.DirFS(path+journalSuffix)))
	require.NoError(t, s.Close())
	require.NoError(t, os.WriteFile(path+"2", dead, 0o444))
	_, err = Decrypt(context.Background(), path+"2", ring, nil)
	if os.Geteuid() != 0 {
		require.ErrorIs(t, err, fs.ErrPermission)
		require.Contains(t, fault.HintOf(err), "chmod u+w")
	}
}

// TestOwnerThatCannotBeKept is found out before the work begins.
func TestOwnerThatCannotBeKept(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can make such a file")
	}
	ring, data := newKeyring(t, 256), content(31, 3<<20)
	stranger := filepath.Join(t.TempDir(), "table")
	require.NoError(t, os.WriteFile(stranger, data, 0o644))
	dir := asNobody(t)
	path := filepath.Join(dir, "table")
	require.NoError(t, os.WriteFile(path, data, 0o644))
	require.NoError(t, syscall.Setresuid(-1, 0, 0))
	require.NoError(t, os.Chown(path, 4711, nobody))
	require.NoError(t, syscall.Setresuid(-1, nobody, 0))
	_, err := Encrypt(context.Background(), path, ring, &EncryptOptions{Options: Options{
		Progress: func(Pass, int64, int64) { t.Error("the work began") }}})
	require.ErrorIs(t, err, fs.ErrPermission)
	require.Contains(t, fault.HintOf(err), "owner")
	names, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, names, 1)
}

// TestStrangersPreparedFile: in a folder that others may write to, somebody
// made both files: nothing is written into a file that is theirs.
func TestStrangersPreparedFile(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can make such a file")
	}
	dir, ring := asNobody(t), newKeyring(t, 256)
	path := filepath.Join(dir, "table")
	require.NoError(t, os.WriteFile(path, content(31, 70_000), 0o600))
	res, err := Encrypt(context.Background(), path, ring, nil)
	require.NoError(t, err)
	for _, theirs := range []string{path + jobSuffix, path + newSuffix} {
		require.NoError(t, os.WriteFile(path+jobSuffix, job{jobDecrypt, res.Volume}.marshal(), 0o600))
		require.NoError(t, os.WriteFile(path+newSuffix, []byte("theirs"), 0o600))
		require.NoError(t, syscall.Setresuid(-1, 0, 0))
		require.NoError(t, os.Chown(theirs, 4711, 4711))
		require.NoError(t, os.Chmod(theirs, 0o666))
		require.NoError(t, syscall.Setresuid(-1, nobody, 0))
		_, err = Decrypt(context.Background(), path, ring, nil)
		require.ErrorIs(t, err, ErrInTheWay)
		require.NoError(t, syscall.Setresuid(-1, 0, 0))
		got, err := os.ReadFile(path + newSuffix)
		require.NoError(t, err)
		require.Equal(t, "theirs", string(got))
		require.NoError(t, os.Remove(path+jobSuffix))
		require.NoError(t, os.Remove(path+newSuffix))
		require.NoError(t, syscall.Setresuid(-1, nobody, 0))
	}
}

// TestReadOnlyDatabase: without the permission to write there is no SQLite
// lock, and that is what is said.
func TestReadOnlyDatabase(t *testing.T) {
	dir := asNobody(t)
	if os.Geteuid() == 0 {
		t.Skip("root may write to everything")
	}
	path, data := filepath.Join(dir, "a.db"), sqliteContent(7, 40_000, 4096)
	require.NoError(t, os.WriteFile(path, data, 0o444))
	_, err := Encrypt(context.Background(), path, newKeyring(t, 256), nil)
	require.ErrorIs(t, err, fs.ErrPermission)
	require.Contains(t, err.Error(), "may not write")
	require.Contains(t, fault.HintOf(err), "chmod u+w")
	names, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, names, 1)
}
