package bench

import (
	"context"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/internal/fault"
)

// TestEngine runs every scenario, small: that both sides give figures, and that nothing stays behind.
func TestEngine(t *testing.T) {
	dir := t.TempDir()
	var said []string
	r, err := Engine(context.Background(), EngineOptions{Dir: dir, Scale: 64, Rounds: 1, Progress: func(what string) { said = append(said, what) }})
	require.NoError(t, err)
	require.NotEmpty(t, said)
	var names []string
	for _, e := range r.Results {
		names = append(names, e.Name)
		require.Positive(t, e.Coffer, e.Name)
		require.Positive(t, e.Plain, e.Name)
		require.InDelta(t, e.Coffer/e.Plain, e.Ratio, 1e-9, e.Name)
		require.Positive(t, e.Target, e.Name)
		require.NotEmpty(t, e.Note, e.Name)
	}
	require.Equal(t, []string{"rekey-load/time-per-operation", "rekey-load/p99", "rekey-idle", "open/after-crash", "memory/peak-heap"}, names)
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestEngineMisuse(t *testing.T) {
	_, err := Engine(context.Background(), EngineOptions{Only: []string{"speed"}})
	require.ErrorIs(t, err, fault.Usage)
	_, err = Engine(context.Background(), EngineOptions{Rounds: -1})
	require.ErrorIs(t, err, fault.Usage)
}

func TestMedian(t *testing.T) {
	require.InDelta(t, 2, median([]float64{3, 1, 2}), 0)
	require.InDelta(t, 2.5, median([]float64{4, 1, 2, 3}), 0)
}
