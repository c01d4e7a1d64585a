package blockstore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fsx"
)

// engineGoroutines returns the stacks of the engine's goroutines, by their first line.
func engineGoroutines() map[string]string {
	buf := make([]byte, 4<<20)
	found := map[string]string{}
	for _, g := range strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n")[1:] {
		if strings.Contains(g, "coffer/blockstore.") || strings.Contains(g, "coffer/journal.") {
			id, _, _ := strings.Cut(g, " [")
			found[id] = g
		}
	}
	return found
}

// noLeaks returns a check that no goroutine of the engine is left that was not
// there before: other tests let processes die with theirs.
func noLeaks(t *testing.T) func() {
	before := engineGoroutines()
	return func() {
		t.Helper()
		var left string
		for range 400 {
			left = ""
			for id, g := range engineGoroutines() {
				if _, old := before[id]; !old {
					left = g
				}
			}
			if left == "" {
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
		require.Fail(t, "a goroutine is left", left)
	}
}

// bank is blocks that each hold an amount; transfers keep the sum.
type bank struct {
	s      *Store
	blocks uint64
	sum    uint64
}

func (b *bank) open(t *testing.T, s *Store, blocks uint64) {
	b.s, b.blocks, b.sum = s, blocks, blocks*1000
	require.NoError(t, s.Update(func(tx *Tx) error {
		p := make([]byte, tx.BlockSize())
		binary.LittleEndian.PutUint64(p, 1000)
		for i := range blocks {
			if err := tx.Write(i, p); err != nil {
				return err
			}
		}
		return nil
	}))
}

// transfer moves an amount between two blocks, wrapping around.
func (b *bank) transfer(rng *rand.Rand, lazy bool) error {
	i, j, n := rng.Uint64N(b.blocks), rng.Uint64N(b.blocks), rng.Uint64N(100)
	fn := func(tx *Tx) error {
		for _, m := range []struct{ block, add uint64 }{{i, n}, {j, -n}} {
			p, err := tx.Read(m.block)
			if err != nil {
				return err
			}
			binary.LittleEndian.PutUint64(p, binary.LittleEndian.Uint64(p)+m.add)
			if err := tx.Write(m.block, p); err != nil {
				return err
			}
		}
		return nil
	}
	if lazy {
		return b.s.UpdateLazy(fn)
	}
	return b.s.Update(fn)
}

// audit checks the sum in one snapshot, twice.
func (b *bank) audit() error {
	return b.s.View(func(tx *Tx) error {
		for range 2 {
			var sum uint64
			buf := make([]byte, int(b.blocks)*tx.BlockSize())
			if err := tx.ReadInto(0, buf); err != nil {
				return err
			}
			for i := range b.blocks {
				sum += binary.LittleEndian.Uint64(buf[int(i)*tx.BlockSize():])
			}
			if sum != b.sum {
				return fmt.Errorf("a snapshot holds %d, not %d", sum, b.sum)
			}
			runtime.Gosched()
		}
		return nil
	})
}

func TestEverythingAtOnce(t *testing.T) {
	ctx := context.Background()
	leaks := noLeaks(t)
	fs := fsx.NewMem(1)
	keys, ids := ring(t, 3)
	o := testOptions(fs)
	o.CheckpointBytes, o.CacheBytes = 128<<10, 1<<18
	s, err := Create("v", keys, CreateOptions{Options: o, Size: 340 * 4096, BlockSize: 4096})
	require.NoError(t, err)
	b := &bank{}
	b.open(t, s, 40)
	end := time.Now().Add(2 * time.Second)
	if testing.Short() {
		end = time.Now().Add(500 * time.Millisecond)
	}
	var wg sync.WaitGroup
	var done [7]atomic.Int64
	run := func(kind, n int, fn func(rng *rand.Rand) error) {
		for i := range n {
			wg.Go(func() {
				rng := rand.New(rand.NewPCG(uint64(i), uint64(kind)))
				for time.Now().Before(end) {
					if err := fn(rng); err != nil {
						t.Error(err)
						return
					}
					done[kind].Add(1)
				}
			})
		}
	}
	run(0, 3, func(rng *rand.Rand) error { return b.transfer(rng, rng.IntN(3) == 0) })
	run(1, 3, func(*rand.Rand) error { return b.audit() })
	run(2, 1, func(*rand.Rand) error { return s.Checkpoint(ctx) })
	run(3, 1, func(*rand.Rand) error {
		r, err := s.Verify(ctx, VerifyOptions{})
		return errors.Join(err, r.Err())
	})
	run(4, 1, func(rng *rand.Rand) error { return rewrite(s, rng, ids) })
	run(5, 1, func(rng *rand.Rand) error { // the rest of the volume grows, shrinks and gets holes
		return s.Update(func(tx *Tx) error {
			if rng.IntN(2) == 0 {
				return tx.Resize(int64(200+rng.IntN(200)) * 4096)
			}
			return errors.Join(tx.Trim(50, 100), tx.Write(60+rng.Uint64N(100), page(rng.Uint64())))
		})
	})
	run(6, 1, func(rng *rand.Rand) error {
		_, _, _ = s.Stats(), s.Anchor(), s.Size()
		_, err := s.Info()
		return errors.Join(err, s.SwitchJournal(ctx))
	})
	wg.Wait()
	for i := range done {
		require.Positive(t, done[i].Load(), "kind %d", i)
	}
	require.NoError(t, b.audit())
	s.stopConversion()
	verified(t, s)
	leaks()
	for _, id := range ids {
		require.Empty(t, keys.Holders(id))
	}
}

// rewrite converts to a random target and waits, or stops it half way and goes on.
func rewrite(s *Store, rng *rand.Rand, ids []dek.ID) error {
	ctx := context.Background()
	c, err := s.Convert(ctx, Conversion{Suite: suites[rng.IntN(len(suites))], Key: ids[rng.IntN(len(ids))]})
	if errors.Is(err, ErrState) || errors.Is(err, ErrUsage) { // under that key and suite already
		return nil
	}
	if err != nil {
		return err
	}
	if rng.IntN(2) == 0 {
		c.Pause()
		c.Progress()
		c.Resume()
		c.Stop()
		if _, err := c.Wait(); err == nil {
			return nil
		}
		if c, err = s.ResumeConversion(ctx); err != nil {
			return err
		}
	}
	r, err := c.Wait()
	if err == nil && !r.Complete {
		err = fmt.Errorf("incomplete: %+v", r)
	}
	return err
}

// TestCloseWhileBusy: calls under way end well or with ErrClosed, and what was acknowledged is there.
func TestCloseWhileBusy(t *testing.T) {
	for round := range 8 {
		leaks := noLeaks(t)
		fs := fsx.NewMem(1)
		keys, ids := ring(t, 2)
		s := create(t, fs, keys, AESGCM, 200*4096)
		b := &bank{}
		b.open(t, s, 30)
		var acked [4]uint64
		var wg sync.WaitGroup
		loop := func(fn func() error) {
			wg.Go(func() {
				for {
					if err := fn(); err != nil {
						if !errors.Is(err, ErrClosed) && !errors.Is(err, context.Canceled) {
							t.Error(err)
						}
						return
					}
				}
			})
		}
		for w := range acked {
			loop(func() error {
				next := acked[w] + 1
				err := s.Update(func(tx *Tx) error { return tx.Write(uint64(100+w), page(next)) })
				if err == nil {
					acked[w] = next
				}
				return err
			})
		}
		loop(b.audit)
		loop(func() error { return s.Checkpoint(context.Background()) })
		loop(func() error { _, err := s.Verify(context.Background(), VerifyOptions{}); return err })
		loop(func() error {
			c, err := s.Convert(context.Background(), Conversion{Key: ids[1]})
			if errors.Is(err, ErrState) {
				runtime.Gosched()
				return s.Sync(context.Background())
			}
			if err == nil {
				_, err = c.Wait()
			}
			return err
		})
		time.Sleep(time.Duration(5+5*round) * time.Millisecond)
		var closers sync.WaitGroup
		var closed atomic.Int32
		for range 2 {
			closers.Go(func() {
				if err := s.Close(); err == nil {
					closed.Add(1)
				} else if !errors.Is(err, ErrClosed) {
					t.Error(err)
				}
			})
		}
		closers.Wait()
		require.EqualValues(t, 1, closed.Load())
		wg.Wait()
		leaks()
		s = reopen(t, fs, keys)
		for w, n := range acked {
			if n > 0 {
				require.Equal(t, page(n), read1(t, s, uint64(100+w)))
			}
		}
		verified(t, s)
	}
}
