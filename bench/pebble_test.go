package bench

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/internal/fault"
)

// A small run: what it measures is not looked at.
func TestPebble(t *testing.T) {
	r, err := Pebble(context.Background(), EngineOptions{Dir: t.TempDir(), Scale: 100, Rounds: 1})
	require.NoError(t, err)
	require.Len(t, r.Results, len(PebbleMixes()))
	for i, x := range r.Results {
		require.Equal(t, PebbleMixes()[i], x.Name)
		require.Positive(t, x.Coffer)
		require.Positive(t, x.Plain)
		require.Positive(t, x.Ratio)
	}
	_, err = Pebble(context.Background(), EngineOptions{Only: []string{"ycsb/Z"}})
	require.ErrorIs(t, err, fault.Usage)
}
