package blockstore

import (
	"context"
	"errors"
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

// TestSnapshotUnderRange: a snapshot that a checkpoint passes keeps what a
// range of holes took away after it, be it in place or still in the overlay.
func TestSnapshotUnderRange(t *testing.T) {
	fs := fsx.NewMem(1)
	keys, _ := ring(t, 1)
	o := testOptions(fs)
	o.CheckpointBytes = 32 << 10
	s, err := Create("v", keys, CreateOptions{Options: o, Size: 400 * 4096, BlockSize: 4096})
	require.NoError(t, err)
	ctx := context.Background()
	for _, b := range []uint64{7, 12, 200, 399} {
		write1(t, s, b, page(b))
	}
	require.NoError(t, s.Checkpoint(ctx))
	write1(t, s, 13, page(13)) // these are not in place yet
	write1(t, s, 12, page(1012))
	want := map[uint64]uint64{7: 7, 12: 1012, 13: 13, 200: 200, 399: 399}
	later := make(chan error)
	require.NoError(t, s.View(func(tx *Tx) error {
		look := func() {
			for b, seed := range want {
				got, err := tx.Read(b)
				require.NoError(t, err)
				require.Equal(t, page(seed), got, "block %d", b)
			}
		}
		for round := range uint64(4) {
			go func() {
				err := s.Update(func(tx *Tx) error {
					if round%2 == 0 {
						return tx.Resize(10 * 4096)
					}
					return tx.Resize(400 * 4096)
				})
				for b := range uint64(20) {
					if err == nil {
						err = s.Update(func(tx *Tx) error { return tx.Write(b%6, page(50*round+b)) })
					}
				}
				if err == nil && round == 1 {
					err = s.Update(func(tx *Tx) error { return tx.Write(12, page(77)) })
				}
				if err == nil {
					err = s.Checkpoint(ctx)
				}
				later <- err
			}()
			require.NoError(t, <-later)
			look()
		}
		require.Greater(t, s.label.Load().redo.Seq, tx.snap, "checkpoints passed the snapshot")
		return nil
	}))
	require.NoError(t, s.Checkpoint(ctx))
	require.Empty(t, s.over.chains)
	require.Empty(t, s.over.lingering)
	require.Empty(t, s.over.holes)
	verified(t, s)
}

// TestReadersOverRanges reads in place, past the cache, while checkpoints pass
// the reader's snapshot with a range of holes over what it reads.
func TestReadersOverRanges(t *testing.T) {
	fs := fsx.NewMem(1)
	keys, _ := ring(t, 1)
	o := testOptions(fs)
	o.CheckpointBytes, o.CacheBytes = 16<<10, 1
	s, err := Create("v", keys, CreateOptions{Options: o, Size: 400 * 4096, BlockSize: 4096})
	require.NoError(t, err)
	for round := range uint64(20) {
		require.NoError(t, s.Update(func(tx *Tx) error {
			return errors.Join(tx.Resize(400*4096), tx.Write(300, page(round)), tx.Write(316, page(round))) // of one shard of the cache
		}))
		require.NoError(t, s.Checkpoint(context.Background()))
		require.NoError(t, s.View(func(tx *Tx) error {
			done := make(chan error)
			go func() {
				err := s.Update(func(tx *Tx) error { return tx.Resize(100 * 4096) })
				for b := range uint64(12) {
					err = errors.Join(err, s.Update(func(tx *Tx) error { return tx.Write(b, page(b)) }))
				}
				done <- errors.Join(err, s.Checkpoint(context.Background()))
			}()
			for i := uint64(0); ; i++ {
				got, err := tx.Read(300 + 16*(i%2))
				require.NoError(t, err)
				require.Equal(t, page(round), got)
				select {
				case err := <-done:
					return err
				default:
				}
			}
		}))
	}
	verified(t, s)
}
