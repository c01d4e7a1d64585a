package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cofferdb/coffer/blockstore"
	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fsx"
)

// Targets of the scenarios, as ratios.
const (
	targetLoadMean = 1.25 // 0.80 of the throughput
	targetLoadP99  = 1.5
	targetIdle     = 2.5 // 0.40 of the speed of a copy
)

const loadGoroutines = 16

// rekeyLoad measures what 16 goroutines get done while a re-key runs and while
// it pauses, in turn. Checkpoints, which both cause, fall into both.
func (r *engineRun) rekeyLoad(ctx context.Context) (err error) {
	size := giB / int64(r.o.Scale)
	slice := 5 * time.Second / time.Duration(r.o.Scale)
	r.progress("rekey-load: writing a volume of %d MiB", size>>20)
	ring, ids, err := newRing(2)
	if err != nil {
		return err
	}
	s, err := r.newVolume("load", size, ring, ids[0], blockstore.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close(), fsx.OS().Remove(filepath.Join(r.dir, "load"))) }()
	if err := fill(ctx, s); err != nil {
		return err
	}
	loadCtx, stop := context.WithCancel(ctx)
	defer stop()
	l := startLoad(loadCtx, s)
	c := &conversions{s: s, keys: ids}
	var mean, tail sides
	var converted float64
	for round := range r.o.Rounds {
		r.progress("rekey-load: round %d of %d", round+1, r.o.Rounds)
		if err := c.pause(); err != nil {
			return err
		}
		time.Sleep(slice / 10)
		without := l.measure(slice)
		if err := c.resume(ctx); err != nil {
			return err
		}
		time.Sleep(slice / 10)
		before := c.bytes()
		with := l.measure(slice)
		converted += float64(c.bytes()-before) / slice.Seconds()
		mean.add(with.mean, without.mean)
		tail.add(with.p99, without.p99)
	}
	stop()
	if err := errors.Join(l.wait(), c.stop()); err != nil {
		return err
	}
	r.put("rekey-load/time-per-operation", "s", &mean, targetLoadMean, fmt.Sprintf(
		"16 goroutines, each reads 4 blocks and commits one, durably: during a re-key at the default rate, here %.1f MB/s / without",
		converted/float64(r.o.Rounds)/1e6))
	r.put("rekey-load/p99", "s", &tail, targetLoadP99, "the same: 99th percentile of one goroutine's round")
	return nil
}

// conversions keeps a re-key going, from key to key.
type conversions struct {
	s    *blockstore.Store
	keys []dek.ID
	next int
	c    *blockstore.Converter
	done int64 // bytes of conversions that have ended
}

func (c *conversions) pause() error {
	if c.c != nil {
		c.c.Pause()
	}
	return nil
}

func (c *conversions) resume(ctx context.Context) error {
	if c.c != nil {
		c.c.Resume()
		select {
		case <-c.c.Done():
		default:
			return nil
		}
		res, err := c.c.Wait()
		if err != nil {
			return err
		}
		c.done += int64(res.Converted) * engineBlock
	}
	c.next = (c.next + 1) % len(c.keys)
	var err error
	c.c, err = c.s.Convert(ctx, blockstore.Conversion{Key: c.keys[c.next]})
	return err
}

func (c *conversions) bytes() int64 {
	return c.done + int64(c.c.Progress().Done)*engineBlock
}

func (c *conversions) stop() error {
	if c.c == nil {
		return nil
	}
	c.c.Stop()
	if _, err := c.c.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// load is the foreground: goroutines that read and commit.
type load struct {
	wg     sync.WaitGroup
	errs   chan error
	window atomic.Pointer[window]
}

// window collects what one slice of time gave.
type window struct {
	mu    sync.Mutex
	times []float64
}

type figures struct{ mean, p99 float64 }

func startLoad(ctx context.Context, s *blockstore.Store) *load {
	l := &load{errs: make(chan error, loadGoroutines)}
	for n := range loadGoroutines {
		l.wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(n), 1))
			page := make([]byte, engineBlock)
			for ctx.Err() == nil {
				start := time.Now()
				if err := loadOnce(s, rng, page); err != nil {
					l.errs <- err
					return
				}
				if w := l.window.Load(); w != nil {
					took := time.Since(start).Seconds()
					w.mu.Lock()
					w.times = append(w.times, took)
					w.mu.Unlock()
				}
			}
		})
	}
	return l
}

// loadOnce reads four blocks in one snapshot and commits one.
func loadOnce(s *blockstore.Store, rng *rand.Rand, page []byte) error {
	err := s.View(func(tx *blockstore.Tx) error {
		for range 4 {
			if _, err := tx.Read(rng.Uint64N(tx.Blocks())); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	page[rng.IntN(len(page))]++
	return s.Update(func(tx *blockstore.Tx) error { return tx.Write(rng.Uint64N(tx.Blocks()), page) })
}

// measure returns the time per operation of all goroutines together, and the
// 99th percentile of one goroutine's, in seconds.
func (l *load) measure(d time.Duration) figures {
	w := new(window)
	l.window.Store(w)
	time.Sleep(d)
	l.window.Store(nil)
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.times) == 0 {
		return figures{d.Seconds(), d.Seconds()}
	}
	slices.Sort(w.times)
	return figures{d.Seconds() / float64(len(w.times)), w.times[len(w.times)*99/100]}
}

func (l *load) wait() error {
	l.wg.Wait()
	select {
	case err := <-l.errs:
		return err
	default:
		return nil
	}
}

// rekeyIdle measures a re-key of a volume that nobody uses, and a copy of its file.
func (r *engineRun) rekeyIdle(ctx context.Context) (err error) {
	size := giB / int64(r.o.Scale)
	r.progress("rekey-idle: writing a volume of %d MiB", size>>20)
	ring, ids, err := newRing(2)
	if err != nil {
		return err
	}
	s, err := r.newVolume("idle", size, ring, ids[0], blockstore.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close(), fsx.OS().Remove(filepath.Join(r.dir, "idle"))) }()
	if err := fill(ctx, s); err != nil {
		return err
	}
	var times sides
	for round := range r.o.Rounds {
		r.progress("rekey-idle: round %d of %d", round+1, r.o.Rounds)
		start := time.Now()
		if err := copyFile(filepath.Join(r.dir, "idle"), filepath.Join(r.dir, "copy"), true); err != nil {
			return err
		}
		plain := time.Since(start)
		if err := fsx.OS().Remove(filepath.Join(r.dir, "copy")); err != nil {
			return err
		}
		start = time.Now()
		c, err := s.Convert(ctx, blockstore.Conversion{Key: ids[(round+1)%2]})
		if err != nil {
			return err
		}
		if _, err := c.Wait(); err != nil {
			return err
		}
		times.add(time.Since(start).Seconds(), plain.Seconds())
	}
	r.put("rekey-idle", "s", &times, targetIdle, "re-key of a full volume that nobody uses / copy of its file with a sync")
	return nil
}
