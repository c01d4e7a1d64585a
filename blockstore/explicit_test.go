package blockstore

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/fsx"
)

func begin(t *testing.T, s *Store, write bool) *Tx {
	t.Helper()
	tx, err := s.Begin(write)
	require.NoError(t, err)
	t.Cleanup(tx.Rollback)
	return tx
}

func has(t *testing.T, tx *Tx, block, seed uint64) {
	t.Helper()
	got, err := tx.Read(block)
	require.NoError(t, err)
	require.Equal(t, page(seed), got)
}

func TestBeginCommitRollback(t *testing.T) {
	for _, suite := range []Suite{AESGCM, AESCBC, AESXTS, None} {
		t.Run(suite.String(), func(t *testing.T) {
			keys, _ := ring(t, 1)
			fs := fsx.NewMem(1)
			s := create(t, fs, keys, suite, 16*4096)
			tx := begin(t, s, true)
			require.False(t, tx.Changed())
			require.NoError(t, tx.Write(3, page(1)))
			require.NoError(t, tx.Write(3, page(2))) // in the place of the first
			require.True(t, tx.Changed())
			has(t, tx, 3, 2)
			require.NoError(t, tx.Commit())
			require.ErrorIs(t, tx.Commit(), fault.Usage)
			require.ErrorIs(t, tx.Write(3, page(3)), fault.Usage)

			tx = begin(t, s, true)
			require.NoError(t, tx.Write(3, page(4)))
			require.NoError(t, tx.Resize(20*4096))
			tx.Rollback()
			tx.Rollback()
			require.Equal(t, page(2), read1(t, s, 3))
			require.EqualValues(t, 16, s.Blocks())

			s = reopen(t, fs.Crash(nil), keys)
			require.Equal(t, page(2), read1(t, s, 3))
			verified(t, s)
		})
	}
}

// TestBeginSeesLazyCommits: a snapshot of Begin has the lazy commits that have returned; one of View has not.
func TestBeginSeesLazyCommits(t *testing.T) {
	keys, _ := ring(t, 1)
	s := create(t, fsx.NewMem(1), keys, AESGCM, 16*4096)
	write1(t, s, 1, page(1))
	before := begin(t, s, false)
	w := begin(t, s, true)
	require.NoError(t, w.Write(1, page(2)))
	require.NoError(t, w.CommitLazy())
	has(t, before, 1, 1)
	has(t, begin(t, s, false), 1, 2)
	require.Equal(t, page(1), read1(t, s, 1), "View has what is durable")
	require.NoError(t, s.UpdateLazy(func(tx *Tx) error { return tx.Write(1, page(3)) }))
	has(t, begin(t, s, false), 1, 3)
	require.NoError(t, s.Sync(context.Background()))
	require.Equal(t, page(3), read1(t, s, 1))
	has(t, before, 1, 1)
}

func TestPromote(t *testing.T) {
	keys, _ := ring(t, 1)
	s := create(t, fsx.NewMem(1), keys, AESGCM, 16*4096)
	write1(t, s, 1, page(1))
	a, b := begin(t, s, false), begin(t, s, false)
	_, err := s.update(func(tx *Tx) error { return tx.Write(1, page(1)) }, true)
	require.NoError(t, err)
	require.NoError(t, a.Promote(), "re-seals change nothing")
	require.NoError(t, a.Promote())
	has(t, a, 1, 1)
	require.NoError(t, a.Write(1, page(2)))
	require.NoError(t, a.Commit())
	require.ErrorIs(t, a.Promote(), fault.Usage)
	require.ErrorIs(t, b.Promote(), ErrStale)
	has(t, b, 1, 1)
	require.ErrorIs(t, b.Write(1, page(3)), ErrReadOnly)
	require.NoError(t, b.Commit())
	require.Equal(t, page(2), read1(t, s, 1))
	require.NoError(t, s.View(func(tx *Tx) error {
		require.ErrorIs(t, tx.Promote(), fault.Usage)
		require.ErrorIs(t, tx.Commit(), fault.Usage)
		tx.Rollback() // does nothing
		_, err := tx.Read(1)
		return err
	}))
	require.NoError(t, s.Update(func(*Tx) error {
		_, err := s.Begin(true)
		require.ErrorIs(t, err, ErrNested)
		return nil
	}))
	verified(t, s)
}

// TestBeginLarge: a transaction beyond its memory goes out in parts; rolled back it leaves nothing, not even for a checkpoint inside it.
func TestBeginLarge(t *testing.T) {
	keys, _ := ring(t, 1)
	fs := fsx.NewMem(1)
	o := testOptions(fs)
	o.Tune.TxMemory = 4 * 4096
	s, err := Create("v", keys, CreateOptions{Options: o, Size: 64 * 4096, BlockSize: 4096})
	require.NoError(t, err)
	fill := func(tx *Tx, seed uint64) {
		for b := range uint64(40) {
			require.NoError(t, tx.Write(b, page(seed+b)))
		}
		for b := range uint64(40) {
			has(t, tx, b, seed+b)
		}
	}
	tx := begin(t, s, true)
	fill(tx, 100)
	require.NoError(t, tx.Commit())
	tx = begin(t, s, true)
	fill(tx, 200)
	tx.Rollback()
	require.NoError(t, s.Checkpoint(context.Background()))
	s = reopen(t, fs.Crash(nil), keys)
	for b := range uint64(40) {
		require.Equal(t, page(100+b), read1(t, s, b))
	}
	verified(t, s)
}

// TestBeginManyWriters: Promote either builds on the newest state or is refused; no increment is lost.
func TestBeginManyWriters(t *testing.T) {
	keys, _ := ring(t, 1)
	s := create(t, fsx.NewMem(1), keys, AESGCM, 16*4096)
	const writers, each = 4, 25
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for n := 0; n < each; {
				tx, err := s.Begin(false)
				if err != nil {
					t.Error(err)
					return
				}
				p, err := tx.Read(2)
				if err == nil {
					err = tx.Promote()
				}
				if errors.Is(err, ErrStale) {
					tx.Rollback()
					continue
				}
				p[0]++
				if err = errors.Join(err, tx.Write(2, p), tx.Commit()); err != nil {
					t.Error(err)
					return
				}
				n++
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, writers*each, read1(t, s, 2)[0])
	verified(t, s)
}

// TestBeginAfterFailedSync: the snapshot of a transaction that begins after a failed sync is the durable one.
func TestBeginAfterFailedSync(t *testing.T) {
	keys, _ := ring(t, 1)
	fs := fsx.NewMem(1)
	o := testOptions(fs)
	o.Tune.Inline, o.SegmentBytes = true, 1<<20 // the sync that fails is the commit's
	s, err := Create("v", keys, CreateOptions{Options: o, Size: 16 * 4096, BlockSize: 4096})
	require.NoError(t, err)
	write1(t, s, 1, page(1))
	tx := begin(t, s, true)
	require.NoError(t, tx.Write(1, page(2)))
	require.NoError(t, tx.CommitLazy())
	tx = begin(t, s, true)
	require.NoError(t, tx.Write(1, page(3)))
	fs.Inject(fsx.Fault{Kind: fsx.OpSync, Name: "segment-*", Once: true})
	require.ErrorIs(t, tx.Commit(), fault.OutcomeUnknown)
	_, err = s.Begin(true)
	require.ErrorIs(t, err, fault.State)
	has(t, begin(t, s, false), 1, 1)
}

// TestCheckpointAtLazySnapshot: the position of a snapshot that sees a lazy commit may lie
// inside that commit, of which parts are durable and parts are not. A checkpoint does not stop there, ever.
func TestCheckpointAtLazySnapshot(t *testing.T) {
	keys, _ := ring(t, 1)
	fs := fsx.NewMem(1)
	o := testOptions(fs)
	o.Tune.TxMemory, o.Tune.Inline = 4*4096, true
	s, err := Create("v", keys, CreateOptions{Options: o, Size: 64 * 4096, BlockSize: 4096})
	require.NoError(t, err)
	w := begin(t, s, true)
	for b := range uint64(20) {
		require.NoError(t, w.Write(b, page(b)))
		if b == 10 {
			require.NoError(t, s.Sync(context.Background())) // parts of it are durable
		}
	}
	require.NoError(t, w.CommitLazy())
	reader := begin(t, s, false)
	require.Less(t, reader.reader.pos.Seq, reader.snap)
	require.NoError(t, s.Sync(context.Background()))
	write1(t, s, 30, page(30))
	for range 2 { // the first one forgets the transactions that it takes to be settled
		require.NoError(t, s.Checkpoint(context.Background()))
	}
	has(t, reader, 3, 3)
	s = reopen(t, fs.Crash(nil), keys)
	for b := range uint64(20) {
		require.Equal(t, page(b), read1(t, s, b))
	}
	verified(t, s)
}
