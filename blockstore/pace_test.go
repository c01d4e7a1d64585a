package blockstore

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fsx"
)

// TestPaceAdapts drives the controller with made-up commits.
func TestPaceAdapts(t *testing.T) {
	p := newPacer(Pace{}, 2)
	now := time.Unix(1000, 0)
	look := func(rest, met time.Duration) float64 {
		for range 20 {
			if rest > 0 {
				p.seen.Add(1)
				p.rest.add(rest)
			}
			if met > 0 {
				p.seen.Add(1)
				p.met.add(met)
			}
		}
		now = now.Add(paceWindow)
		p.adapt(now)
		return p.share
	}
	require.InDelta(t, 1, look(0, 0), 0, "nobody is there")
	first := look(time.Millisecond, time.Millisecond)
	require.InDelta(t, paceStart, first, 0.05, "carefully, when somebody comes")
	for range 100 {
		look(time.Millisecond, time.Millisecond)
	}
	require.InDelta(t, paceMost, p.share, 0.01, "it is in nobody's way")
	for range 300 {
		look(time.Millisecond, 3*time.Millisecond)
	}
	require.InDelta(t, paceLeast, p.share, 0.01, "commits take long beside it")
	require.InDelta(t, 1, look(0, 0), 0, "they are gone")
	p.seen.Add(1)
	require.InDelta(t, paceStart, look(0, 0), 0.001, "readers only")
}

// halfway starts a conversion, lets it re-seal some batches, and stops it.
func halfway(t *testing.T, s *Store, c Conversion, batches int) {
	t.Helper()
	c.Workers, c.Pace = 1, Pace{BytesPerSecond: 1}
	v, err := s.Convert(context.Background(), c)
	require.NoError(t, err)
	for done := uint64(0); batches > 0; batches-- {
		require.Eventually(t, func() bool { return v.converted.Load() > done && v.pace.working.Load() == 0 }, time.Minute, time.Millisecond)
		if done = v.converted.Load(); batches > 1 {
			require.NoError(t, v.SetPace(c.Pace)) // one more
		}
	}
	v.Stop()
	_, err = v.Wait()
	require.ErrorIs(t, err, context.Canceled)
	require.Less(t, v.converted.Load(), s.Blocks())
	require.NoError(t, s.Checkpoint(context.Background())) // in place, so that there is something to take back
}

// TestPaceBounds: a rate is never exceeded, and may be changed under way.
func TestPaceBounds(t *testing.T) {
	fs := fsx.NewMem(1)
	keys, ids := ring(t, 2)
	s := create(t, fs, keys, AESGCM, 512*4096)
	for b := range uint64(512) {
		write1(t, s, b, page(b))
	}
	require.NoError(t, s.Checkpoint(context.Background()))
	_, err := s.Convert(context.Background(), Conversion{Key: ids[1], Pace: Pace{Share: 1.5}})
	require.ErrorIs(t, err, ErrUsage)
	const rate = 1 << 20
	v, err := s.Convert(context.Background(), Conversion{Key: ids[1], Pace: Pace{BytesPerSecond: rate}})
	require.NoError(t, err)
	begun := time.Now()
	require.Eventually(t, func() bool { return v.converted.Load()*4096 > rate/2 }, time.Minute, time.Millisecond)
	took, done := time.Since(begun).Seconds(), v.converted.Load()*4096
	require.LessOrEqual(t, float64(done), rate*took+2*resealBytes, "more than the rate and the batches under way")
	v.Pause()
	require.Equal(t, "paused", v.Progress().State)
	require.ErrorIs(t, v.SetPace(Pace{BytesPerSecond: -1}), ErrUsage)
	require.NoError(t, v.SetPace(Pace{Share: 1}))
	v.Resume()
	res, err := v.Wait()
	require.NoError(t, err)
	require.True(t, res.Complete)
	require.Nil(t, s.pacing.Load())
	verified(t, s)
}

// TestConversionTurnedAround: each kind of conversion, stopped half way, goes
// back to where it began, across an open, and back again.
func TestConversionTurnedAround(t *testing.T) {
	type state struct {
		suite Suite
		key   int
	}
	for _, c := range []struct{ from, to state }{
		{state{AESGCM, 0}, state{AESGCM, 1}},
		{state{AESGCM, 0}, state{AESXTS, 1}},
		{state{None, 0}, state{AESGCM, 1}},
		{state{AESGCM, 0}, state{None, 0}},
	} {
		if c.to.suite.Allowed(true) != nil {
			continue // FIPS mode
		}
		for _, again := range []bool{false, true} {
			t.Run(fmt.Sprintf("%v to %v, again=%v", c.from.suite, c.to.suite, again), func(t *testing.T) {
				fs := fsx.NewMem(1)
				keys, ids := ring(t, 2)
				s := create(t, fs, keys, c.from.suite, 300*4096)
				for b := range uint64(300) {
					write1(t, s, b, page(b))
				}
				require.NoError(t, s.Checkpoint(context.Background()))
				to := Conversion{Suite: c.to.suite, Key: ids[c.to.key]}
				back := Conversion{Suite: c.from.suite, Key: ids[c.from.key], Back: true}
				halfway(t, s, to, 3)
				write1(t, s, 7, page(1007))
				notBack := back
				notBack.Back = false
				_, err := s.Convert(context.Background(), notBack)
				var refused *ConversionError
				require.ErrorAs(t, err, &refused)
				end := c.from
				if again { // half the way back, and forward after all
					halfway(t, s, back, 1)
					require.NoError(t, s.Close())
					s = reopen(t, fs, keys)
					to.Back = true
					back, end = to, c.to
				}
				v, err := s.Convert(context.Background(), back)
				require.NoError(t, err)
				res, err := v.Wait()
				require.NoError(t, err)
				require.True(t, res.Complete)
				for b := range uint64(300) {
					want := page(b)
					if b == 7 {
						want = page(1007)
					}
					require.Equal(t, want, read1(t, s, b), "block %d", b)
				}
				requireOnly(t, s, end.suite, ids[end.key])
				verified(t, s)
			})
		}
	}
}

// requireOnly: nothing but this key and suite is left.
func requireOnly(t *testing.T, s *Store, suite Suite, key dek.ID) {
	t.Helper()
	i, err := s.Info()
	require.NoError(t, err)
	require.Nil(t, i.Conversion)
	require.Equal(t, suite.String(), i.Suite)
	if suite == None {
		require.Empty(t, i.Keys)
		return
	}
	require.Len(t, i.Keys, 1)
	require.Equal(t, key, i.WriteKey)
	require.Equal(t, []dek.ID{key}, i.JournalKeys)
}
