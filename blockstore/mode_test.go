package blockstore

import (
	"context"
	"crypto/fips140"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/fips"
	"github.com/cofferdb/coffer/internal/fault"
)

// modeChild is set, to a folder, in a process restricted to what Go's module
// approves: FIPS mode with the validated module, else GODEBUG=fips140=only.
const modeChild = "COFFER_TEST_MODE_DIR"

// knownRing is a keyring with keys that another process can make as well.
func knownRing(t *testing.T) (*dek.Keyring, []dek.ID) {
	t.Helper()
	r := dek.NewKeyring()
	var ids []dek.ID
	for i := range byte(2) {
		raw := make([]byte, 32)
		raw[0] = i
		k, err := dek.Import(dek.ID{1, i}, raw)
		require.NoError(t, err)
		require.NoError(t, r.Activate(k, dek.Database, dek.Active))
		k.Destroy()
		ids = append(ids, dek.ID{1, i})
	}
	return r, ids
}

func fillBlocks(t *testing.T, s *Store, n uint64) {
	t.Helper()
	for b := range n {
		write1(t, s, b, page(b))
	}
}

func checkBlocks(t *testing.T, s *Store, n uint64) {
	t.Helper()
	for b := range n {
		require.Equal(t, page(b), read1(t, s, b))
	}
}

// TestFIPSMode makes volumes outside FIPS mode and uses them in it, and the other way round.
func TestFIPSMode(t *testing.T) {
	dir := os.Getenv(modeChild)
	if dir != "" {
		inFIPSMode(t, dir)
		return
	}
	if fips.LibraryOnly() {
		t.Skip("this process is in FIPS mode already")
	}
	if fips.Current().State == fips.Unsupported {
		t.Skip(fips.Unsupported)
	}
	dir = t.TempDir()
	keys, _ := knownRing(t)
	for _, suite := range suites {
		s, err := Create(filepath.Join(dir, suite.String()), keys, CreateOptions{Options: Options{AllowPlain: true}, Size: 40 * 4096, BlockSize: 4096, Suite: suite})
		require.NoError(t, err)
		fillBlocks(t, s, 40)
		require.NoError(t, s.Close())
	}
	// And one under aes-cbc that was not closed.
	s, err := Create(filepath.Join(dir, "unclean"), keys, CreateOptions{Size: 40 * 4096, BlockSize: 4096, Suite: AESCBC})
	require.NoError(t, err)
	fillBlocks(t, s, 40)
	copyTree(t, filepath.Join(dir, "unclean"), filepath.Join(dir, "killed"))
	require.NoError(t, s.Close())

	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(self, "-test.run=^TestFIPSMode$", "-test.v")
	cmd.Env = append(os.Environ(), modeChild+"="+dir, "GODEBUG=fips140=only")
	if fips140.Version() != "latest" {
		cmd.Env = append(cmd.Env, fips.Env+"=1")
	}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, syscall.ENOEXEC) {
		t.Skip("no child processes where the processor is emulated")
	}
	require.NoError(t, err, string(out))
	require.Contains(t, string(out), "--- PASS: TestFIPSMode")

	// What FIPS mode wrote is read outside of it.
	for _, name := range []string{"aes-gcm", "aes-cbc", "none", "new"} {
		s, err := Open(filepath.Join(dir, name), keys, &Options{AllowPlain: true})
		require.NoError(t, err, name)
		checkBlocks(t, s, 40)
		r, err := s.Verify(context.Background(), VerifyOptions{})
		require.NoError(t, err)
		require.NoError(t, r.Err())
		require.NoError(t, s.Close())
	}
}

func copyTree(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(to, b, 0o600))
	require.NoError(t, os.CopyFS(to+".journal", os.DirFS(from+".journal")))
}

func inFIPSMode(t *testing.T, dir string) {
	require.True(t, fips.LibraryOnly())
	keys, ids := knownRing(t)
	at := func(name string) string { return filepath.Join(dir, name) }
	plain := &Options{AllowPlain: true}

	// aes-gcm and none: as ever.
	for _, name := range []string{"aes-gcm", "none"} {
		s, err := Open(at(name), keys, plain)
		require.NoError(t, err)
		checkBlocks(t, s, 40)
		fillBlocks(t, s, 40)
		require.NoError(t, s.Close())
	}
	s, err := Create(at("new"), keys, CreateOptions{Size: 40 * 4096, BlockSize: 4096})
	require.NoError(t, err)
	fillBlocks(t, s, 40)
	_, err = s.Convert(context.Background(), Conversion{Suite: AESXTS})
	require.ErrorIs(t, err, ErrUnsupported)
	_, err = s.Convert(context.Background(), Conversion{Suite: AESCBC, Key: ids[1]})
	require.ErrorIs(t, err, ErrUnsupported)
	convert(t, s, Conversion{Key: ids[1]})
	checkBlocks(t, s, 40)
	require.NoError(t, s.Close())

	// aes-xts: not at all.
	for _, o := range []*Options{nil, {ReadOnly: true}} {
		_, err = Open(at("aes-xts"), keys, o)
		require.ErrorIs(t, err, ErrUnsupported)
		require.ErrorIs(t, err, fips.ErrNotApproved)
		require.NotEmpty(t, fault.HintOf(err))
	}
	for _, suite := range []Suite{AESCBC, AESXTS} {
		_, err = Create(at("never"), keys, CreateOptions{Size: 4096, BlockSize: 4096, Suite: suite})
		require.ErrorIs(t, err, ErrUnsupported)
		require.NoFileExists(t, at("never"))
	}

	// aes-cbc: read, refused to be written, converted.
	s, err = Open(at("aes-cbc"), keys, &Options{ReadOnly: true})
	require.NoError(t, err)
	checkBlocks(t, s, 40)
	require.NoError(t, s.Close())
	s, err = Open(at("aes-cbc"), keys, nil)
	require.NoError(t, err)
	checkBlocks(t, s, 40)
	require.ErrorIs(t, s.Update(func(tx *Tx) error { return tx.Write(0, page(9)) }), ErrUnsupported)
	require.NoError(t, s.Close())
	s, err = Open(at("aes-cbc"), keys, nil)
	require.NoError(t, err)
	convert(t, s, Conversion{Suite: AESGCM})
	fillBlocks(t, s, 40)
	checkBlocks(t, s, 40)
	require.NoError(t, s.Close())

	// aes-cbc after a crash: only read.
	_, err = Open(at("killed"), keys, nil)
	require.ErrorIs(t, err, ErrUnsupported)
	s, err = Open(at("killed"), keys, &Options{ReadOnly: true})
	require.NoError(t, err)
	checkBlocks(t, s, 40)
	require.NoError(t, s.Close())
}

func convert(t *testing.T, s *Store, c Conversion) {
	t.Helper()
	v, err := s.Convert(context.Background(), c)
	require.NoError(t, err)
	r, err := v.Wait()
	require.NoError(t, err)
	require.True(t, r.Complete)
}
