package keyfile

import (
	"crypto/hmac"
	"crypto/sha512"
	"encoding/binary"
	"testing"
	"time"

	"github.com/cofferdb/coffer/internal/fsx"
	"github.com/cofferdb/coffer/internal/secmem"
	"github.com/stretchr/testify/require"
)

const testPath = "/keys.cof"

var (
	alice = Credentials{"alice", []byte("Alice's-passw0rd")}
	bob   = Credentials{"Bob", []byte("Bob's-passw0rd!!")}
	carol = Credentials{"CAROL", []byte("Carol's-passw0rd")}
)

// quick stands in for PBKDF2 where its cost is not what is tested: every input
// still counts.
func quick(password, salt []byte, iterations uint32) (*secmem.Buffer, error) {
	h := hmac.New(sha512.New, password)
	h.Write(salt)
	h.Write(binary.LittleEndian.AppendUint32(nil, iterations))
	return secmem.From(h.Sum(nil)[:kekSize])
}

func stopped() time.Time { return time.Unix(1_767_225_600, 0) }

func quickOptions(fsys fsx.FS) *Options {
	return &Options{FS: fsys, LockWait: 30 * time.Second, derive: quick, now: stopped}
}

// newFile creates a key file with administrator ALICE and one key.
func newFile(t testing.TB, fsys fsx.FS, path string) *File {
	t.Helper()
	f, err := Create(path, CreateOptions{Admin: alice, Bits: 128, Description: "test", FS: fsys, derive: quick, now: stopped})
	require.NoError(t, err)
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func mustOpen(t testing.TB, fsys fsx.FS, path string, cred Credentials) *File {
	t.Helper()
	f, err := Open(path, cred, quickOptions(fsys))
	require.NoError(t, err)
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func newMem() *fsx.Mem { return fsx.NewMem(1) }

func readBytes(t testing.TB, fsys fsx.FS, path string) []byte {
	t.Helper()
	data, err := readFile(fsys, path)
	require.NoError(t, err)
	return data
}

// openBytes is Open of a file with these bytes.
func openBytes(data []byte, cred Credentials) error {
	opts, err := quickOptions(nil).complete()
	if err != nil {
		return err
	}
	f, err := unlock(data, cred, opts)
	if err != nil {
		return err
	}
	return f.Close()
}
