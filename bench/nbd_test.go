package bench

import (
	"context"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/internal/fault"
)

// TestNBD runs every workload, small: that both sides give figures, and that nothing stays behind.
func TestNBD(t *testing.T) {
	dir, err := os.MkdirTemp("", "b")
	require.NoError(t, err)
	defer os.RemoveAll(dir)
	var said []string
	r, err := NBD(context.Background(), NBDOptions{Dir: dir, Scale: 100, Rounds: 1, Progress: func(what string) { said = append(said, what) }})
	require.NoError(t, err)
	require.NotEmpty(t, said)
	var names []string
	for _, e := range r.Results {
		names = append(names, e.Name)
		require.Positive(t, e.Coffer, e.Name)
		require.Positive(t, e.Plain, e.Name)
		require.InDelta(t, e.Coffer/e.Plain, e.Ratio, 1e-9, e.Name)
		require.Equal(t, "s", e.Unit)
		require.NotEmpty(t, e.Note, e.Name)
	}
	require.Equal(t, NBDWorkloads(), names)
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestNBDMisuse(t *testing.T) {
	_, err := NBD(context.Background(), NBDOptions{Only: []string{"speed"}})
	require.ErrorIs(t, err, fault.Usage)
	_, err = NBD(context.Background(), NBDOptions{Rounds: -1})
	require.ErrorIs(t, err, fault.Usage)
}
