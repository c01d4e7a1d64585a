package blockstore

import (
	"bytes"
	"context"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/internal/fsx"
)

// TestPurgeGoesByWhatIsThere: of a long volume that is mostly holes a purge reads what was written, wherever that lies, and no more.
func TestPurgeGoesByWhatIsThere(t *testing.T) {
	fs := fsx.NewMem(1)
	keys, ids := ring(t, 2)
	s := create(t, fs, keys, AESGCM, 8<<30)
	kept := []uint64{0, 5, 700_000, s.Blocks() - 1}
	gone := []uint64{1, 33_000, 700_001, 1_500_000, s.Blocks() - 2}
	for _, b := range append(append([]uint64{}, kept...), gone...) {
		write1(t, s, b, pageOf(b+1))
	}
	require.NoError(t, s.Checkpoint(context.Background()))
	for _, b := range gone {
		require.NoError(t, s.Update(func(tx *Tx) error { return tx.Trim(b, 1) }))
	}
	require.NoError(t, s.Checkpoint(context.Background()))
	v, err := s.Convert(context.Background(), Conversion{Key: ids[1]})
	require.NoError(t, err)
	_, err = v.Wait()
	require.NoError(t, err)
	var reads atomic.Int64
	fs.SetHook(func(op fsx.Op) error {
		if op.Kind == fsx.OpRead {
			reads.Add(1)
		}
		return nil
	})
	require.NoError(t, s.Purge(context.Background()))
	fs.SetHook(nil)
	require.Less(t, reads.Load(), int64(20*perGroup), "about nine groups hold something, of %d", groupsFor(s.Blocks()))
	f, err := fs.Open("v", 0, 0)
	require.NoError(t, err)
	b := make([]byte, 4096)
	for _, n := range gone {
		_ = readFull(f, b, s.lay.block(n)) // the last ones may lie behind the end of the file
		require.Empty(t, bytes.Trim(b, "\x00"), "block %d is left in the file", n)
		clear(b)
	}
	require.NoError(t, f.Close())
	for _, n := range kept {
		require.Equal(t, pageOf(n+1), read1(t, s, n))
	}
	verified(t, s)
}
