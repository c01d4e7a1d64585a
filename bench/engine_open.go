package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/cofferdb/coffer/blockstore"
	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fsx"
)

// Targets. That of open is above 1 for noise: the size of a volume is to make no difference.
const (
	targetOpen   = 1.25
	targetMemory = 1.0
)

// open measures opening after a crash with redo near its cap, in a volume of
// 10 GiB and one of 1 GiB.
func (r *engineRun) open(ctx context.Context) error {
	ring, ids, err := newRing(1)
	if err != nil {
		return err
	}
	sizes := map[string]int64{"large": 10 * giB, "small": giB}
	redo := int64(blockstore.DefaultCheckpointBytes) * 15 / 16 / int64(r.o.Scale)
	for name, size := range sizes {
		r.progress("open: a volume of %d GiB, %d MiB of redo", size/giB, redo>>20)
		if err := r.crashed(ctx, name, size, redo, ring, ids[0]); err != nil {
			return err
		}
	}
	var times sides
	for round := range r.o.Rounds {
		r.progress("open: round %d of %d", round+1, r.o.Rounds)
		var took [2]float64
		for i, name := range []string{"large", "small"} {
			start := time.Now()
			s, err := blockstore.Open(filepath.Join(r.dir, name), ring, nil)
			if err != nil {
				return err
			}
			took[i] = time.Since(start).Seconds()
			if err := r.unclean(ctx, s, name); err != nil {
				return err
			}
		}
		times.add(took[0], took[1])
	}
	r.put("open/after-crash", "s", &times, targetOpen, fmt.Sprintf("10 GiB / 1 GiB, %d MiB of redo, opened read-write", redo>>20))
	return errors.Join(fsx.OS().Remove(filepath.Join(r.dir, "large")), fsx.OS().Remove(filepath.Join(r.dir, "small")))
}

// crashed leaves a volume with redo bytes of commits on random blocks that were
// all written before, after which nothing was checkpointed.
func (r *engineRun) crashed(ctx context.Context, name string, size, redo int64, ring *dek.Keyring, key dek.ID) error {
	s, err := r.newVolume(name, size, ring, key, blockstore.Options{})
	if err != nil {
		return err
	}
	blocks := make([]uint64, redo/engineBlock)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range blocks {
		blocks[i] = rng.Uint64N(uint64(size / engineBlock))
	}
	if err := writeAll(ctx, s, blocks); err != nil {
		return errors.Join(err, s.Close())
	}
	if err := s.Checkpoint(ctx); err != nil {
		return errors.Join(err, s.Close())
	}
	if err := writeAll(ctx, s, blocks); err != nil {
		return errors.Join(err, s.Close())
	}
	return r.unclean(ctx, s, name)
}

// writeAll commits the blocks, 16 at a time.
func writeAll(ctx context.Context, s *blockstore.Store, blocks []uint64) error {
	page := make([]byte, engineBlock)
	for len(blocks) > 0 && ctx.Err() == nil {
		n := min(16, len(blocks))
		err := s.UpdateLazy(func(tx *blockstore.Tx) error {
			for _, b := range blocks[:n] {
				page[0]++
				if err := tx.Write(b, page); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		blocks = blocks[n:]
	}
	return errors.Join(ctx.Err(), s.Sync(ctx))
}

// memoryConstant is what a store may use beside its cache, whatever the size of
// the volume: redo of two checkpoints, the tag blocks that one of them changes,
// and the tag blocks kept, in MiB.
const memoryConstant = 256

// memory measures the most heap that a volume of 64 GiB takes, against the bound.
func (r *engineRun) memory(ctx context.Context) error {
	ring, ids, err := newRing(1)
	if err != nil {
		return err
	}
	var peaks, small sides
	bound := float64(blockstore.DefaultCacheBytes>>20 + memoryConstant)
	for round := range min(3, r.o.Rounds) {
		r.progress("memory: round %d of %d", round+1, min(3, r.o.Rounds))
		var most [2]float64
		for i, size := range []int64{64 * giB, giB} {
			if most[i], err = r.peak(ctx, fmt.Sprintf("memory%d", i), size, ring, ids[0]); err != nil {
				return err
			}
		}
		peaks.add(most[0], bound)
		small.add(most[1], bound)
	}
	r.put("memory/peak-heap", "MiB", &peaks, targetMemory, fmt.Sprintf(
		"64 GiB, sparse: random writes, reads, a re-open, a verification / the cache bound, %d MiB, and %d MiB; the same in 1 GiB takes %.0f MiB",
		blockstore.DefaultCacheBytes>>20, memoryConstant, median(small.coffer)))
	return nil
}

// peak returns the most heap in use, in MiB above what was before, over random
// writes, reads, a full verification and an open.
func (r *engineRun) peak(ctx context.Context, name string, size int64, ring *dek.Keyring, key dek.ID) (float64, error) {
	debug.FreeOSMemory()
	base := heap()
	watch := watchHeap()
	s, err := r.newVolume(name, size, ring, key, blockstore.Options{})
	if err != nil {
		return 0, err
	}
	rng := rand.New(rand.NewPCG(3, 4))
	blocks := make([]uint64, 256<<10/8/r.o.Scale) // 256 MiB
	for i := range blocks {
		blocks[i] = rng.Uint64N(uint64(size / engineBlock))
	}
	if err := writeAll(ctx, s, blocks); err != nil {
		return 0, errors.Join(err, s.Close())
	}
	for _, b := range blocks {
		err := s.View(func(tx *blockstore.Tx) error {
			_, err := tx.Read(b)
			return err
		})
		if err != nil {
			return 0, errors.Join(err, s.Close())
		}
	}
	if err := s.Close(); err != nil {
		return 0, err
	}
	if s, err = blockstore.Open(filepath.Join(r.dir, name), ring, nil); err != nil {
		return 0, err
	}
	_, err = s.Verify(ctx, blockstore.VerifyOptions{})
	err = errors.Join(err, s.Close(), fsx.OS().Remove(filepath.Join(r.dir, name)))
	return float64(watch()-base) / (1 << 20), err
}

// heap returns the bytes of live and not yet collected objects.
func heap() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// watchHeap collects garbage often and keeps the most that is left; the function it returns ends that.
func watchHeap() func() uint64 {
	most, stop, over := heap(), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(over)
		for {
			select {
			case <-stop:
				return
			case <-time.After(50 * time.Millisecond):
				runtime.GC()
				most = max(most, heap())
			}
		}
	}()
	return func() uint64 {
		close(stop)
		<-over
		return most
	}
}
