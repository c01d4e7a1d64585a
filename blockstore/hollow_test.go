package blockstore

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/internal/fsx"
)

// TestHollowVolume: the work of every call goes by what was written, not by the
// length that a label claims: 2^60 bytes with nothing in them keep nobody waiting.
func TestHollowVolume(t *testing.T) {
	ctx := context.Background()
	fs := fsx.NewMem(1)
	keys, ids := ring(t, 1)
	const blocks = maxBlocks - 1
	s := create(t, fs, keys, None, blocks*4096)
	begun := time.Now()
	verify := func(want uint64) {
		r, err := s.Verify(ctx, VerifyOptions{})
		require.NoError(t, err)
		require.NoError(t, r.Err())
		require.EqualValues(t, blocks, r.Checked+r.Holes+r.Replayed)
		require.Equal(t, want, r.Checked)
	}
	verify(0)
	require.NoError(t, s.Update(func(tx *Tx) error { return tx.Write(3, page(1)) }))
	verify(0)
	require.NoError(t, s.Checkpoint(ctx))
	verify(1)
	v, err := s.Convert(ctx, Conversion{Suite: AESGCM, Key: ids[0]})
	require.NoError(t, err)
	r, err := v.Wait()
	require.NoError(t, err)
	require.True(t, r.Complete)
	require.NoError(t, s.Close())
	o := testOptions(fs)
	rep, err := VerifyFile(ctx, "v", nil, &o, VerifyOptions{})
	require.NoError(t, err)
	require.NoError(t, rep.Err())
	require.EqualValues(t, blocks, rep.Checked+rep.Holes)
	s = reopen(t, fs, keys)
	require.NoError(t, s.Update(func(tx *Tx) error { return tx.Trim(1000, 1<<36) }))
	require.NoError(t, s.Update(func(tx *Tx) error { return tx.Resize(10 * 4096) }))
	require.NoError(t, s.Checkpoint(ctx))
	require.Equal(t, page(1), read1(t, s, 3))
	verified(t, s)
	require.Less(t, time.Since(begun), 10*time.Second)
}
