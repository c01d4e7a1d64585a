package plainfile

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io/fs"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/blockstore"
	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fsx"
)

const name = "data.db"

// newKeyring returns a keyring with one key of bits length.
func newKeyring(t testing.TB, bits int) *dek.Keyring {
	t.Helper()
	ring := dek.NewKeyring()
	addKey(t, ring, bits)
	return ring
}

func addKey(t testing.TB, ring *dek.Keyring, bits int) dek.ID {
	t.Helper()
	k, err := ring.CreateEncryptionKey(bits, dek.Database)
	require.NoError(t, err)
	defer k.Destroy()
	return k.ID()
}

// content makes n bytes of which some blocks are zeros and some repeat.
func content(seed uint64, n int) []byte {
	rng := rand.New(rand.NewPCG(seed, 1))
	b := make([]byte, n)
	for off := 0; off < n; off += 4096 {
		if rng.IntN(4) == 0 {
			continue // zeros
		}
		for i := off; i < min(off+4096, n); i++ {
			b[i] = byte(rng.Uint32())
		}
	}
	return b
}

// sqliteContent is content that looks like a SQLite database.
func sqliteContent(seed uint64, n, page int) []byte {
	b := content(seed, n)
	copy(b, sqliteMagic)
	binary.BigEndian.PutUint16(b[16:], uint16(page)) // 65,536 becomes 0, which is not what SQLite writes
	if page == 65536 {
		binary.BigEndian.PutUint16(b[16:], 1)
	}
	return b
}

// memWith returns a file system that durably holds one file.
func memWith(t testing.TB, data []byte) *fsx.Mem {
	t.Helper()
	m := fsx.NewMem(1)
	require.NoError(t, m.WriteFile(name, data))
	return m
}

func encrypt(m fsx.FS, ring *dek.Keyring) (*Result, error) {
	return Encrypt(context.Background(), name, ring, &EncryptOptions{Options: Options{FS: m}})
}

func decrypt(m fsx.FS, ring *dek.Keyring) (*Result, error) {
	return Decrypt(context.Background(), name, ring, &DecryptOptions{Options: Options{FS: m}})
}

// volumeContent returns what the volume at name holds, and verifies it.
func volumeContent(t testing.TB, m fsx.FS, ring *dek.Keyring) []byte {
	t.Helper()
	o := &blockstore.Options{FS: m, ReadOnly: true}
	s, err := blockstore.Open(name, ring, o)
	require.NoError(t, err)
	b := make([]byte, s.Size())
	if len(b) > 0 {
		_, err = s.File().ReadAt(b, 0)
		require.NoError(t, err)
	}
	require.NoError(t, s.Close())
	r, err := blockstore.VerifyFile(context.Background(), name, ring, o, blockstore.VerifyOptions{})
	require.NoError(t, err)
	for _, p := range r.Problems {
		// A power cut may tear one copy of the label; the other one counts.
		require.True(t, p.Unsettled || p.Kind == "label", "%+v", p)
	}
	return b
}

// requireAlone wants nothing but the file in its folder.
func requireAlone(t testing.TB, m fsx.FS) {
	t.Helper()
	names, err := m.ReadDir(".")
	require.NoError(t, err)
	require.Equal(t, []string{name}, names)
}

func requireVolume(t testing.TB, m fsx.FS, ring *dek.Keyring, want []byte) {
	t.Helper()
	requireAlone(t, m)
	require.True(t, bytes.Equal(want, volumeContent(t, m, ring)), "the volume holds the file")
	r, err := blockstore.VerifyFile(context.Background(), name, ring, &blockstore.Options{FS: m}, blockstore.VerifyOptions{})
	require.NoError(t, err)
	require.NoError(t, r.Err())
	require.True(t, r.Clean)
}

func requirePlain(t testing.TB, m *fsx.Mem, want []byte) {
	t.Helper()
	requireAlone(t, m)
	got, err := m.ReadFile(name)
	require.NoError(t, err)
	require.True(t, bytes.Equal(want, got), "the file is identical")
}

func missing(err error) bool { return errors.Is(err, fs.ErrNotExist) }
