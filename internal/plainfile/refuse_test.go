package plainfile

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/blockstore"
	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/fsx"
)

func TestRefusals(t *testing.T) {
	data := sqliteContent(7, 40_000, 4096)
	for _, c := range []struct {
		name    string
		arrange func(t *testing.T, m *fsx.Mem)
		options EncryptOptions
		want    error
	}{
		{"wal", func(t *testing.T, m *fsx.Mem) { require.NoError(t, m.WriteFile(name+"-wal", []byte{1})) }, EncryptOptions{}, ErrSQLiteBusy},
		{"journal", func(t *testing.T, m *fsx.Mem) { require.NoError(t, m.WriteFile(name+"-journal", []byte{1})) }, EncryptOptions{}, ErrSQLiteBusy},
		{"locked by SQLite", func(t *testing.T, m *fsx.Mem) {
			f, err := m.Open(name, 2, 0)
			require.NoError(t, err)
			_, err = fsx.LockSQLite(f)
			require.NoError(t, err)
		}, EncryptOptions{}, ErrSQLiteBusy},
		{"another encrypt at work", func(t *testing.T, m *fsx.Mem) {
			_, err := fsx.OpenLocked(m, name, 0, 0, fsx.Exclusive)
			require.NoError(t, err)
		}, EncryptOptions{}, fault.InUse},
		{"a journal folder in the way", func(t *testing.T, m *fsx.Mem) {
			require.NoError(t, m.Mkdir(name+journalSuffix, 0o700))
			require.NoError(t, m.WriteFile(name+journalSuffix+"/segment-000001", []byte{1}))
		}, EncryptOptions{}, ErrLeftJournal},
		{"no space", func(_ *testing.T, m *fsx.Mem) { m.SetCapacity(60_000) }, EncryptOptions{}, ErrSpace},
		{"suite none", nil, EncryptOptions{Suite: blockstore.None}, fault.Usage},
		{"unknown key", nil, EncryptOptions{Key: dek.NewID()}, fault.NotActivated},
		{"block size", nil, EncryptOptions{BlockSize: 5000}, fault.Usage},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, ring := memWith(t, data), newKeyring(t, 256)
			if c.arrange != nil {
				c.arrange(t, m)
			}
			before, err := m.ReadDir(".")
			require.NoError(t, err)
			c.options.FS = m
			_, err = Encrypt(context.Background(), name, ring, &c.options)
			require.ErrorIs(t, err, c.want)
			after, err := m.ReadDir(".")
			require.NoError(t, err)
			require.Equal(t, before, after, "nothing is left")
			got, err := m.ReadFile(name)
			require.NoError(t, err)
			require.Equal(t, data, got)
		})
	}
}

func TestEmptyWALIsNoObstacle(t *testing.T) {
	m, ring := memWith(t, sqliteContent(7, 40_000, 4096)), newKeyring(t, 256)
	require.NoError(t, m.WriteFile(name+"-wal", nil))
	_, err := encrypt(m, ring)
	require.NoError(t, err)
}

func TestAlreadyEncrypted(t *testing.T) {
	data := content(8, 30_000)
	m, ring := memWith(t, data), newKeyring(t, 256)
	_, err := encrypt(m, ring)
	require.NoError(t, err)
	_, err = encrypt(m, ring)
	require.ErrorIs(t, err, ErrVolume)
	require.ErrorIs(t, err, fault.State)
	requireVolume(t, m, ring, data)
}

func TestDecryptRefusals(t *testing.T) {
	data := content(8, 30_000)
	m, ring := memWith(t, data), newKeyring(t, 256)
	_, err := decrypt(m, ring)
	require.ErrorIs(t, err, fault.NotFormat)
	_, err = encrypt(m, ring)
	require.NoError(t, err)
	_, err = decrypt(m, newKeyring(t, 256))
	require.ErrorIs(t, err, fault.NotActivated)
	s, err := blockstore.Open(name, ring, &blockstore.Options{FS: m})
	require.NoError(t, err)
	_, err = decrypt(m, ring)
	require.ErrorIs(t, err, fault.InUse)
	require.NoError(t, s.Close())
	requireVolume(t, m, ring, data)
}

func TestSuiteNoneNeedsLeave(t *testing.T) {
	m := fsx.NewMem(1)
	ring := dek.NewKeyring()
	s, err := blockstore.Create(name, ring, blockstore.CreateOptions{
		Options: blockstore.Options{FS: m, AllowPlain: true}, Size: 20_000, Suite: blockstore.None})
	require.NoError(t, err)
	require.NoError(t, s.Close())
	_, err = decrypt(m, ring)
	require.ErrorIs(t, err, fault.State)
	_, err = Decrypt(context.Background(), name, ring, &DecryptOptions{Options: Options{FS: m}, AllowPlain: true})
	require.NoError(t, err)
	requirePlain(t, m, make([]byte, 20_000))
}
