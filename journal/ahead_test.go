package journal

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fsx"
)

func TestWorkAheadLeavesOneSync(t *testing.T) {
	noLeaks(t)
	ring, ids := keys(t, 1)
	o, m := memOptions(t, ring)
	o.Inline, o.SegmentBytes = false, 1<<20
	j := start(t, o, ids[0])
	for range 200 { // past the middle of the first segment
		put(t, j, string(make([]byte, 3000)))
	}
	require.Eventually(t, func() bool {
		j.admin.Lock()
		defer j.admin.Unlock()
		return j.prepared != nil && j.prepared.filled.Load() == o.SegmentBytes
	}, 5*time.Second, time.Millisecond)
	before := m.Ops()
	for range 40 {
		put(t, j, string(make([]byte, 3000)))
	}
	require.Equal(t, 80, m.Ops()-before, "a commit is one write and one sync")
	require.NoError(t, j.Close(bg))
}

// The next slot is filled along with the commits of the second half of a segment, and wholly before it is needed.
func TestFillKeepsPace(t *testing.T) {
	noLeaks(t)
	o, _ := memOptions(t, nil)
	o.Inline, o.SegmentBytes = false, 8<<20
	j := start(t, o, dek.ID{})
	record := string(make([]byte, 60000))
	prepared := func() int64 {
		j.admin.Lock()
		defer j.admin.Unlock()
		if j.prepared == nil {
			return 0
		}
		return j.prepared.filled.Load()
	}
	for eighths := int64(1); eighths <= 7; eighths++ {
		for j.segs[0].end < eighths<<20 {
			put(t, j, record)
		}
		due := max(0, eighths-4) * o.SegmentBytes / 3
		require.Eventually(t, func() bool { return prepared() >= due }, 5*time.Second, time.Millisecond)
		require.LessOrEqual(t, prepared(), due+2*paceFill)
		if eighths < 4 {
			require.Zero(t, prepared())
		}
	}
	require.Equal(t, o.SegmentBytes, prepared())
	require.NoError(t, j.Close(bg))
}

// Work ahead that fails leaves the journal as it is, is not tried again for each commit, and goes on once somebody got through.
func TestWorkAheadRefused(t *testing.T) {
	noLeaks(t)
	for _, cause := range passing[:5] {
		o, m := memOptions(t, nil)
		o.Inline, o.SegmentBytes = false, 2<<20
		j := start(t, o, dek.ID{})
		put(t, j, "a")
		m.SetHook(func(op fsx.Op) error {
			if op.Kind == fsx.OpWrite && op.Len > 100<<10 || op.Kind == fsx.OpCreate { // zeros
				return cause
			}
			return nil
		})
		var err error
		n := 0
		for ; err == nil && n < 1000; n++ {
			var seq uint64
			if seq, err = j.Append(make([]byte, 3000)); err == nil {
				require.NoError(t, j.Wait(bg, seq))
			}
		}
		require.ErrorIs(t, err, cause)
		require.NoError(t, j.Err())
		require.Eventually(t, func() bool {
			j.mu.Lock()
			defer j.mu.Unlock()
			return j.taking().stuck
		}, 5*time.Second, time.Millisecond)
		m.SetHook(nil)
		for range 700 { // into the next segment
			put(t, j, string(make([]byte, 3000)))
			n++
		}
		require.NoError(t, j.Close(bg))
		_, got, err := read(t, o, floor(dek.ID{}))
		require.NoError(t, err)
		require.Len(t, got, n)
	}
}
