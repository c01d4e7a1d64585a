package blockstore

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/internal/fsx"
)

func TestEpochsRollAndAreResealed(t *testing.T) {
	fs := fsx.NewMem(1)
	keys, _ := ring(t, 1)
	o := testOptions(fs)
	o.Tune.SealBudget, o.Tune.SealReserve, o.CheckpointBytes = 100, 8, 64<<10
	s, err := Create("v", keys, CreateOptions{Options: o, Size: 20 * 4096, BlockSize: 4096})
	require.NoError(t, err)
	write1(t, s, 19, page(77)) // stays under the first epoch until it is re-sealed
	most := 0
	for i := range uint64(3000) {
		write1(t, s, i%19, page(i))
		most = max(most, len(s.label.Load().write().epochs))
	}
	require.GreaterOrEqual(t, most, epochLimit, "epochs began")
	require.Eventually(t, func() bool {
		s.nudge()
		write1(t, s, 0, page(5))
		require.NoError(t, s.Checkpoint(context.Background()))
		s.resealEpochs()
		return s.label.Load().write().epochs[0].number > 0
	}, 10*time.Second, 5*time.Millisecond, "the first epoch was re-sealed and dropped")
	require.Equal(t, page(77), read1(t, s, 19))
	verified(t, s)
}

func TestSealsReservedBeforeUse(t *testing.T) {
	fs := fsx.NewMem(1)
	keys, _ := ring(t, 1)
	o := testOptions(fs)
	o.Tune.SealReserve = 4
	s, err := Create("v", keys, CreateOptions{Options: o, Size: 100 * 4096, BlockSize: 4096})
	require.NoError(t, err)
	for range 5 {
		for b := range uint64(30) {
			write1(t, s, b, page(b))
		}
		require.NoError(t, s.Checkpoint(context.Background()))
		l := s.label.Load()
		require.GreaterOrEqual(t, l.write().current().reserved, s.stats.sealed.Load())
	}
	require.NoError(t, s.Close())
	require.Equal(t, uint64(150), s.label.Load().write().current().reserved, "a clean end gives back what was not used")
}
