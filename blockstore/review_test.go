package blockstore

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/internal/fsx"
)

// What plaintext a volume under suite none held where nothing is any more is overwritten by encrypt.
func TestEncryptWipesWhatIsFree(t *testing.T) {
	fs := fsx.NewMem(1)
	keys, ids := ring(t, 1)
	s := create(t, fs, keys, None, 600*4096)
	secret := bytes.Repeat([]byte("a secret in plain. "), 216)[:4096]
	require.NoError(t, s.Update(func(tx *Tx) error {
		for b := range uint64(600) {
			require.NoError(t, tx.Write(b, secret))
		}
		return nil
	}))
	require.NoError(t, s.Checkpoint(context.Background()))
	require.NoError(t, s.Update(func(tx *Tx) error { return errors.Join(tx.Trim(5, 3), tx.Trim(160, 200)) }))
	require.NoError(t, s.Update(func(tx *Tx) error { return errors.Join(tx.Resize(500*4096), tx.Resize(600*4096)) }))
	v, err := s.Convert(context.Background(), Conversion{Suite: AESGCM, Key: ids[0]})
	require.NoError(t, err)
	_, err = v.Wait()
	require.NoError(t, err)
	for _, name := range fs.Files() {
		data, err := fs.ReadFile(name)
		require.NoError(t, err)
		require.False(t, bytes.Contains(data, []byte("a secret in plain")), name)
	}
	require.Equal(t, secret, read1(t, s, 100))
	verified(t, s)
}

// A large transaction that is given up leaves parts in the journal; no checkpoint begins inside them.
func TestCheckpointAfterAbortedLargeTransaction(t *testing.T) {
	for size := uint64(8); size < 60; size++ {
		fs := fsx.NewMem(size)
		keys, _ := ring(t, 1)
		o := testOptions(fs)
		o.Tune.TxMemory, o.Tune.Inline = 16<<10, true
		s, err := Create("v", keys, CreateOptions{Options: o, Size: 200 * 4096, BlockSize: 4096})
		require.NoError(t, err)
		write1(t, s, 0, page(1))
		boom := errors.New("boom")
		require.ErrorIs(t, s.Update(func(tx *Tx) error {
			for b := range size {
				require.NoError(t, tx.Write(b, page(b)))
			}
			return boom
		}), boom)
		require.NoError(t, s.checkpoint(context.Background(), checkpointRequest{}))
		write1(t, s, 1, page(2))
		o.FS = fs.Kill()
		s2, err := Open("v", keys, &o)
		require.NoError(t, err, "size %d", size)
		require.Equal(t, page(1), read1(t, s2, 0))
		require.Equal(t, page(2), read1(t, s2, 1))
		verified(t, s2)
	}
}

// Dropping a group whose tag block is damaged mends the volume; changing single records in it is refused.
func TestTrimOverDamagedTagBlock(t *testing.T) {
	fs := fsx.NewMem(1)
	keys, _ := ring(t, 1)
	s := create(t, fs, keys, AESGCM, 500*4096)
	for b := range uint64(500) {
		write1(t, s, b, page(b))
	}
	require.NoError(t, s.Close())
	data, err := fs.ReadFile("v")
	require.NoError(t, err)
	for slot := range uint8(2) {
		data[s.lay.slot(metaKey{0, 1}, slot)+100] ^= 1
	}
	require.NoError(t, fs.WriteFile("v", data))
	s = reopen(t, fs, keys)
	require.ErrorIs(t, s.Update(func(tx *Tx) error { return tx.Trim(170, 100) }), ErrTampered)
	require.ErrorIs(t, s.Update(func(tx *Tx) error { return tx.Trim(170, 3) }), ErrTampered)
	require.ErrorIs(t, s.Update(func(tx *Tx) error { return tx.Write(170, page(1)) }), ErrTampered)
	require.NoError(t, s.Update(func(tx *Tx) error { return tx.Trim(perGroup, perGroup) }))
	require.NoError(t, s.Checkpoint(context.Background()))
	require.Equal(t, make([]byte, 4096), read1(t, s, 170))
	require.Equal(t, page(400), read1(t, s, 400))
	verified(t, s)
}

// A conversion that accepts losses ends where a tag block cannot be read, and says that it is not complete.
func TestAcceptLossWithDamagedTagBlock(t *testing.T) {
	fs := fsx.NewMem(1)
	keys, ids := ring(t, 2)
	s := create(t, fs, keys, AESGCM, 500*4096)
	for b := range uint64(500) {
		write1(t, s, b, page(b))
	}
	require.NoError(t, s.Close())
	data, err := fs.ReadFile("v")
	require.NoError(t, err)
	for slot := range uint8(2) {
		data[s.lay.slot(metaKey{0, 1}, slot)+100] ^= 1
	}
	data[s.lay.block(3)] ^= 1
	require.NoError(t, fs.WriteFile("v", data))
	s = reopen(t, fs, keys)
	v, err := s.Convert(context.Background(), Conversion{Key: ids[1], AcceptLoss: true})
	require.NoError(t, err)
	r, err := v.Wait()
	require.NoError(t, err)
	require.False(t, r.Complete)
	require.Equal(t, "incomplete", v.Progress().State)
	require.Equal(t, uint64(1), r.Lost)
	_, err = readBlock(s, 3)
	require.ErrorIs(t, err, ErrLost)
	require.NoError(t, s.Close())
}

// A label of suite none that pretends to be on its way from a key is refused without AllowPlain.
func TestForgedWeakeningLabel(t *testing.T) {
	fs := fsx.NewMem(1)
	keys, _ := ring(t, 1)
	s := create(t, fs, keys, None, 10*4096)
	require.NoError(t, s.Close())
	l := s.label.Load().clone()
	l.slots[1] = newSlot(None, nil, l.volume, 0)
	l.conv, l.writeSlot = conversion{opDecrypt, 0, 1}, 1
	raw := l.encode()
	require.NoError(t, signLabel(raw, nil, l.volume))
	_, err := decodeLabel(raw)
	require.ErrorIs(t, err, ErrDamaged)
}
