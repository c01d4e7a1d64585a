package blockstore

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/internal/fsx"
)

// heldSnapshot keeps a View open until the function it returns is called, which
// reads a block in it first and returns when the View has ended.
func heldSnapshot(t *testing.T, s *Store, block uint64) (end func() []byte) {
	t.Helper()
	begun, ask, got := make(chan struct{}), make(chan struct{}), make(chan []byte, 1)
	go func() {
		var seen []byte
		err := s.View(func(tx *Tx) error {
			close(begun)
			<-ask
			p, err := tx.Read(block)
			seen = append(seen, p...)
			return err
		})
		if err != nil {
			seen = []byte(err.Error())
		}
		got <- seen
	}()
	<-begun
	return func() []byte { close(ask); return <-got }
}

// TestSnapshotBehindRange: a snapshot that sees a block as a hole of a range goes
// on seeing zeros there, whatever was written before the range and after the
// snapshot, over checkpoints that pass it; with an older snapshot that sees what
// was there before, which ends sooner or later than the first checkpoint.
func TestSnapshotBehindRange(t *testing.T) {
	for _, older := range []string{"none", "ends first", "ends last"} {
		for _, settled := range []bool{false, true} {
			t.Run(older, func(t *testing.T) {
				keys, _ := ring(t, 1)
				o := testOptions(fsx.NewMem(1))
				o.CheckpointBytes = 64 << 10
				s, err := Create("v", keys, CreateOptions{Options: o, Size: 400 * 4096, BlockSize: 4096})
				require.NoError(t, err)
				fill := func(seed uint64) { // so much redo that a checkpoint passes the snapshots
					for b := uint64(300); b < 400; b++ {
						write1(t, s, b, page(seed+b))
					}
					require.NoError(t, s.Checkpoint(context.Background()))
				}
				write1(t, s, 60, page(1))
				if settled {
					require.NoError(t, s.Checkpoint(context.Background()))
				}
				first := func() []byte { return page(1) }
				if older != "none" {
					first = heldSnapshot(t, s, 60)
				}
				require.NoError(t, s.Update(func(tx *Tx) error { return tx.Trim(0, 200) }))
				hole := heldSnapshot(t, s, 60)
				write1(t, s, 60, page(2))
				if older == "ends first" {
					require.Equal(t, page(1), first())
				}
				fill(1000)
				if older == "ends last" {
					require.Equal(t, page(1), first())
					fill(2000)
				}
				require.Equal(t, page(2), read1(t, s, 60))
				require.Equal(t, make([]byte, 4096), hole())
				require.NoError(t, s.Checkpoint(context.Background()))
				require.Empty(t, s.over.lingering)
				require.Empty(t, s.over.chains)
				require.Empty(t, s.over.holes)
				verified(t, s)
			})
		}
	}
}

// TestEmptyUpdateWaits: an Update that writes nothing returns when what it has
// read is durable, also where that commit was only on its way to the journal.
func TestEmptyUpdateWaits(t *testing.T) {
	keys, _ := ring(t, 1)
	o := CreateOptions{Options: testOptions(fsx.NewMem(1)), Size: 20 * 4096, BlockSize: 4096}
	var armed atomic.Bool
	onItsWay, goOn := make(chan struct{}), make(chan struct{})
	o.Tune.Appended = func() {
		if armed.CompareAndSwap(true, false) {
			close(onItsWay)
			<-goOn
		}
	}
	s, err := Create("v", keys, o)
	require.NoError(t, err)
	armed.Store(true)
	writer := make(chan error)
	go func() { writer <- s.UpdateLazy(func(tx *Tx) error { return tx.Write(3, page(3)) }) }()
	<-onItsWay
	time.AfterFunc(30*time.Millisecond, func() { close(goOn) })
	require.NoError(t, s.Update(func(tx *Tx) error {
		p, err := tx.Read(3)
		require.NoError(t, err)
		require.Equal(t, page(3), p)
		return nil
	}))
	require.GreaterOrEqual(t, s.journal.DurableSeq(), s.appended.Load())
	require.Equal(t, page(3), read1(t, s, 3))
	require.NoError(t, <-writer)
	verified(t, s)
}
