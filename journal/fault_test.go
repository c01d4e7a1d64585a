package journal

import (
	"errors"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fsx"
)

// TestFaultModel makes an operation of a random program fail, once or for ever,
// with what a failed sync does to the cache. Nothing is acknowledged after that,
// and whoever reopens finds all that was acknowledged before, whether or not the
// cache was dropped or the power went meanwhile.
func TestFaultModel(t *testing.T) {
	noLeaks(t)
	kinds := []fsx.OpKind{fsx.OpWrite, fsx.OpSync, fsx.OpSync, fsx.OpSyncDir, fsx.OpCreate, fsx.OpRemove}
	poisoned := 0
	campaign(t, 3*time.Second, func(t *testing.T, rng *rand.Rand) {
		w, m := newWorld(t, rng)
		j, err := Start(w.options(m), Position{}, w.keys[rng.IntN(3)], 1, session(0))
		require.NoError(t, err)
		kind := kinds[rng.IntN(len(kinds))]
		m.Inject(fsx.Fault{Kind: kind, Nth: 1 + rng.IntN(60), Once: rng.IntN(2) == 0, TornBytes: rng.IntN(3) * rng.IntN(9000)})
		w.tolerant = true
		w.program(t, rng, j, 12)
		if err := j.Err(); err != nil {
			poisoned++
			require.ErrorIs(t, err, ErrOutcomeUnknown)
			require.ErrorIs(t, err, syscall.EIO)
			_, err = j.Append(nil)
			require.ErrorIs(t, err, ErrOutcomeUnknown)
			require.ErrorIs(t, j.Sync(bg), ErrOutcomeUnknown)
			require.ErrorIs(t, j.Switch(bg, dek.ID{}), ErrOutcomeUnknown)
			require.ErrorIs(t, j.Release(bg, j.Durable(), false), ErrOutcomeUnknown)
			require.Equal(t, j.DurableSeq(), j.Durable().Seq)
		}
		w.check(t, rng, m.Crash(rng), 0)
		next := m.Kill() // from here on every operation on m fails
		_ = j.Close(bg)
		if rng.IntN(2) == 0 {
			next.DropCaches()
		}
		w.tolerant = false
		w.check(t, rng, next, 0)
	})
	t.Logf("%d journals poisoned", poisoned)
}

// A sync that fails while a slot is filled ahead takes frames with it that were just written: they are not acknowledged.
func TestFailedFillPoisons(t *testing.T) {
	ring, ids := keys(t, 1)
	o, m := memOptions(t, ring)
	o.SegmentBytes = 1 << 20
	j := start(t, o, ids[0])
	put(t, j, "acknowledged")
	_, err := j.Append([]byte("handed over"))
	require.NoError(t, err)
	j.mu.Lock()
	j.lead(false) // written, not synced
	j.mu.Unlock()
	m.Inject(fsx.Fault{Kind: fsx.OpSync, Once: true})
	s := j.segs[0]
	require.Error(t, j.fill(s.slots[0], s.slots[0].filled.Load()+1))
	require.ErrorIs(t, j.Wait(bg, 2), ErrOutcomeUnknown)
	require.NoError(t, j.Wait(bg, 1))
	require.Equal(t, uint64(1), j.DurableSeq())
	next := m.Kill()
	next.DropCaches()
	o.FS = next
	_, got, err := read(t, o, floor(ids[0]))
	require.NoError(t, err)
	require.Equal(t, []string{"acknowledged"}, got)
}

// A leader that waits for such a sync to end learns of it before it makes its own, which would succeed.
func TestLeaderSeesFailedFill(t *testing.T) {
	o, _ := memOptions(t, nil)
	j := start(t, o, dek.ID{})
	seq, err := j.Append([]byte("a"))
	require.NoError(t, err)
	place := j.segs[0].slots[0]
	place.io.Lock() // as fill does
	done := make(chan error)
	go func() { done <- j.Wait(bg, seq) }()
	require.Eventually(t, func() bool {
		j.mu.Lock()
		defer j.mu.Unlock()
		return j.leading
	}, time.Second, time.Millisecond)
	j.mu.Lock()
	j.poison(syscall.EIO)
	j.mu.Unlock()
	place.io.Unlock()
	require.ErrorIs(t, <-done, ErrOutcomeUnknown)
	require.Zero(t, j.DurableSeq())
}

// All waiters of a batch that fails are told, and nobody afterwards is told otherwise.
func TestWaitersOfAFailedSync(t *testing.T) {
	noLeaks(t)
	o, m := memOptions(t, nil)
	o.Inline, o.SegmentBytes = false, 1<<20 // so large that nothing is prepared meanwhile
	j := start(t, o, dek.ID{})
	put(t, j, "a")
	m.Inject(fsx.Fault{Kind: fsx.OpSync, Once: true})
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			seq, err := j.Append([]byte("b"))
			if err == nil {
				err = j.Wait(bg, seq)
			}
			if !errors.Is(err, ErrOutcomeUnknown) {
				t.Errorf("acknowledged or another error: %v", err)
			}
		})
	}
	wg.Wait()
	require.Equal(t, uint64(1), j.DurableSeq())
	require.ErrorIs(t, j.Close(bg), ErrOutcomeUnknown)
	require.ErrorIs(t, j.Remove(bg), ErrOutcomeUnknown)
}

// Read errors are errors, not ends or damage.
func TestReadErrorsOfRecovery(t *testing.T) {
	ring, ids := keys(t, 1)
	o, m := memOptions(t, ring)
	j := start(t, o, ids[0])
	for range 40 {
		put(t, j, string(make([]byte, 5000)))
	}
	require.NoError(t, j.Close(bg))
	for nth := 1; ; nth++ {
		m.Inject(fsx.Fault{Kind: fsx.OpRead, Nth: nth, Once: true})
		r, _, err := read(t, o, floor(ids[0]))
		m.ClearFaults()
		if err == nil {
			require.Greater(t, nth, 10)
			require.Equal(t, j.Durable(), r.End)
			break
		}
		require.ErrorIs(t, err, syscall.EIO)
		require.NotErrorIs(t, err, ErrDamaged)
		require.NotErrorIs(t, err, ErrTampered)
	}
}

// Settle and Continue fail at each operation in turn; what was accepted stays, and a new recovery goes on.
func TestFaultsInSettleAndContinue(t *testing.T) {
	ring, ids := keys(t, 1)
	for nth := 1; ; nth++ {
		o, m := memOptions(t, ring)
		j := start(t, o, ids[0])
		put(t, j, numbered("record", 10)...)
		m = m.Kill()
		_ = j.Close(bg)
		o.FS = m
		failed := false
		for attempt := 0; ; attempt++ {
			if attempt == 0 {
				ops := 0
				m.SetHook(func(op fsx.Op) error {
					if op.Kind == fsx.OpRead {
						return nil
					}
					if ops++; ops == nth {
						failed = true
						return syscall.EIO
					}
					return nil
				})
			}
			r, got, err := read(t, o, floor(ids[0]))
			require.NoError(t, err)
			require.Len(t, got, 10)
			var next *Journal
			if err = r.Settle(bg); err != nil {
				err = r.Settle(bg) // it may be called again
			}
			if err == nil {
				next, err = r.Continue(ids[0], 1, session(1))
			}
			require.NoError(t, r.Close())
			m.SetHook(nil)
			if err != nil {
				require.True(t, failed)
				_, err = r.Continue(ids[0], 1, session(1))
				require.ErrorIs(t, err, ErrState)
				m = m.Crash(nil)
				o.FS = m
				continue
			}
			put(t, next, "more")
			require.NoError(t, next.Close(bg))
			break
		}
		o.FS = m.Crash(nil)
		_, got, err := read(t, o, floor(ids[0]))
		require.NoError(t, err)
		require.Equal(t, append(numbered("record", 10), "more"), got)
		if !failed {
			require.Greater(t, nth, 8)
			return
		}
	}
}

// A write that lands elsewhere and reports success loses what was acknowledged: that is found, not hidden.
func TestMisdirectedWrite(t *testing.T) {
	for nth := 1; nth < 10; nth++ {
		ring, ids := keys(t, 1)
		o, m := memOptions(t, ring)
		j := start(t, o, ids[0])
		m.Misdirect(nth, 3*4096)
		for range 10 {
			put(t, j, "record")
		}
		require.NoError(t, j.Close(bg))
		_, _, err := read(t, o, floor(ids[0]))
		require.Error(t, err, "write %d", nth)
		require.True(t, errors.Is(err, ErrDamaged) || errors.Is(err, ErrTampered), "write %d: %v", nth, err)
	}
}

// A file system that needs space even to overwrite fails a write that was promised: its outcome is unknown.
func TestFullDiskOnOverwrite(t *testing.T) {
	o, m := memOptions(t, nil)
	j := start(t, o, dek.ID{})
	put(t, j, "a")
	m.SetCapacity(m.Used())
	m.SetFailOverwrite(true)
	seq, err := j.Append([]byte("b"))
	require.NoError(t, err)
	err = j.Wait(bg, seq)
	require.ErrorIs(t, err, ErrOutcomeUnknown)
	require.ErrorIs(t, err, syscall.ENOSPC)
	m.SetCapacity(0)
	require.ErrorIs(t, j.Wait(bg, seq), ErrOutcomeUnknown)
	_ = j.Close(bg)
	_, got, err := read(t, o, floor(dek.ID{}))
	require.NoError(t, err)
	require.Equal(t, []string{"a"}, got)
}
