package tabletest

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/element/retable"
	"github.com/cofferdb/coffer/internal/pgtest"
)

// TestLiveWriters re-keys a table while writers go on with both keys, is stopped again and
// again, goes on, and is only done when no value is left under the old key.
func TestLiveWriters(t *testing.T) {
	const seed = 1
	onBoth(t, func(t *testing.T, b *base) {
		s := newSafe(t)
		w := pgtest.StartWriters(t, b.DB, s.Cipher, s.old, s.new, 300, 3, seed)
		j := retable.Job{Table: retable.Name{Table: pgtest.Table}, Column: "val", Do: retable.Rekey, From: s.old, To: s.new,
			Context: template(t, pgtest.Context)}
		o := retable.Options{Batch: 20, Checkpoint: retable.InFile(filepath.Join(t.TempDir(), "place")), Rounds: 100}
		stops := 0
		for stop := range 4 {
			ctx, cancel := context.WithCancel(context.Background())
			o.Progress = func(p retable.Progress) {
				if p.Done > int64(60*(stop+1)) {
					cancel()
				}
			}
			_, err := retable.Run(ctx, b.DB, b.dialect, s, j, &o)
			cancel()
			if errors.Is(err, context.Canceled) {
				stops++
			}
		}
		w.Switch()
		o.Progress = nil
		r := run(t, b, s, j, &o)
		require.Zero(t, r.Count.Keys[s.old])
		n := w.Verify()
		t.Logf("seed %d: %d rows, %d writes beside it, %d stops, last run: %d rounds, %d re-keyed, %d raced", seed, n, w.Ops.Load(), stops, r.Rounds, r.Changed, r.Raced)
	})
}
