package bench

import (
	"context"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/internal/fault"
)

// TestSQLite runs every scenario small: figures come out, ratios are of them, nothing is left behind.
func TestSQLite(t *testing.T) {
	o := SQLiteOptions{Dir: t.TempDir(), Rounds: 2, Size: 2}
	if testing.Short() {
		o.Only = []string{"commit/wal-full", "scan/cold"} // the others build a program
	}
	if err := dropCached(o.Dir); err != nil {
		require.ErrorIs(t, err, fault.Unsupported)
		o.Only = []string{"commit/wal-full"}
	}
	r, err := SQLite(t.Context(), o)
	require.NoError(t, err)
	names := o.Only
	if names == nil {
		names = SQLiteScenarios()
	}
	for i, e := range r.Results {
		require.Equal(t, names[i], e.Name)
		require.Positive(t, e.Coffer)
		require.Positive(t, e.Plain)
		require.LessOrEqual(t, e.Low, e.Ratio)
		require.LessOrEqual(t, e.Ratio, e.High)
		require.Equal(t, "s", e.Unit)
		require.Contains(t, e.Note, " / ")
	}
	require.Len(t, r.Results, len(names))
	left, err := os.ReadDir(o.Dir)
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestSQLiteRefusals(t *testing.T) {
	_, err := SQLite(t.Context(), SQLiteOptions{Only: []string{"nonsense"}})
	require.ErrorIs(t, err, fault.Usage)
	_, err = SQLite(t.Context(), SQLiteOptions{Rounds: -1})
	require.ErrorIs(t, err, fault.Usage)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = SQLite(ctx, SQLiteOptions{Dir: t.TempDir(), Size: 1, Only: []string{"commit/wal-full"}})
	require.ErrorIs(t, err, context.Canceled)
	t.Setenv("PATH", t.TempDir())
	_, err = SQLite(t.Context(), SQLiteOptions{Dir: t.TempDir(), Only: []string{"speedtest1/wal-full"}})
	require.ErrorIs(t, err, fault.Unsupported)
}
