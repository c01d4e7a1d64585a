package blockstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/cofferdb/coffer/internal/fault"
)

const (
	// resealBytes is how much re-sealed data waits unsynced at most, over all
	// workers, so that a foreground commit never syncs more than that for a conversion.
	resealBytes = 256 << 10
	// retryAfter is how long a conversion waits for snapshots that hold the checkpoint back.
	retryAfter = 20 * time.Millisecond
)

func sortedSet(m map[uint64]struct{}) []uint64 {
	out := make([]uint64, 0, len(m))
	for b := range m {
		out = append(out, b)
	}
	slices.Sort(out)
	return out
}

// run is the conversion: passes over all groups until the checkpointed records
// prove that nothing stale is left, then the clean-up.
func (v *Converter) run() {
	for {
		v.passed.Store(0)
		if err := v.pass(); err != nil {
			v.end(false, 0, v.cause(err))
			return
		}
		if err := v.s.settleAll(v.ctx, checkpointRequest{}); err != nil {
			v.end(false, 0, v.cause(err))
			return
		}
		left, stuck, err := v.remaining()
		if err != nil {
			v.end(false, 0, v.cause(err))
			return
		}
		if left == 0 {
			break
		}
		if left == stuck {
			v.end(false, 0, nil)
			return
		}
		select {
		case <-v.ctx.Done():
		case <-time.After(retryAfter):
		}
	}
	v.setState("finishing")
	kept, err := v.finish()
	v.end(err == nil, kept, v.cause(err))
}

func (v *Converter) cause(err error) error {
	if err != nil && v.ctx.Err() != nil && v.s.failure.Load() == nil {
		return fmt.Errorf("blockstore: the conversion was stopped, it can be resumed: %w", context.Canceled)
	}
	return err
}

func (v *Converter) isDamaged(block uint64) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	_, ok := v.damaged[block]
	return ok
}

// pass hands the groups to the workers.
func (v *Converter) pass() error {
	walk := &groupWalk{tree: v.s.meta, end: groupsFor(v.total.Load()), skipped: func(_, n uint64) { v.passed.Add(n * perGroup) }}
	ctx, cancel := context.WithCancelCause(v.ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	for range v.work {
		wg.Go(func() {
			for ctx.Err() == nil {
				g, ok := walk.take()
				if !ok {
					return
				}
				if err := v.group(ctx, g); err != nil {
					cancel(err)
				}
			}
		})
	}
	wg.Wait()
	if v.ctx.Err() != nil {
		return v.ctx.Err()
	}
	return context.Cause(ctx)
}

// wait holds a worker while the conversion is paused.
func (v *Converter) wait(ctx context.Context) error {
	v.mu.Lock()
	paused := v.paused
	v.mu.Unlock()
	if paused == nil {
		return ctx.Err()
	}
	select {
	case <-paused:
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// group re-seals the stale blocks of one group.
func (v *Converter) group(ctx context.Context, g uint64) error {
	defer v.passed.Add(perGroup)
	m, err := v.s.meta.get(metaKey{0, g})
	if err != nil {
		if !errors.Is(err, fault.Tampered) {
			return err
		}
		v.report(g*perGroup, err)
		return nil
	}
	if m == nil {
		return nil
	}
	size := max(1, resealBytes/v.work/int(v.s.lay.blockSize))
	var batch []placed
	for i := range perGroup {
		r, err := m.record(i)
		if err != nil {
			return err
		}
		if !v.stale(&r) {
			continue
		}
		if batch = append(batch, placed{block: g*perGroup + uint64(i)}); len(batch) < size {
			continue
		}
		if err := v.batch(ctx, batch); err != nil {
			return err
		}
		batch = nil
	}
	return v.batch(ctx, batch)
}

// batch reads blocks of one group and writes them back as a lazy commit,
// except those that somebody has written meanwhile.
func (v *Converter) batch(ctx context.Context, batch []placed) error {
	if len(batch) == 0 {
		return ctx.Err()
	}
	if err := v.wait(ctx); err != nil {
		return err
	}
	start, err := v.pace.begin(ctx)
	if err != nil {
		return err
	}
	defer func() {
		v.pace.end(start, len(batch)*int(v.s.lay.blockSize))
		v.measure(time.Now())
	}()
	batch, err = v.read(batch)
	if err != nil || len(batch) == 0 {
		return err
	}
	frames, seq, err := v.s.transact(func(tx *Tx) error { return v.reseal(tx, batch) }, true)
	if err != nil || seq == 0 {
		return err
	}
	if err := v.s.handOver(frames); err != nil {
		return err
	}
	if err := v.s.await(seq); err != nil {
		return err
	}
	v.s.nudge()
	return v.s.throttle()
}

// read opens what is stale in place. Blocks in the overlay go out under the new key anyway.
func (v *Converter) read(batch []placed) ([]placed, error) {
	s := v.s
	if len(batch) == 0 {
		return nil, nil
	}
	l := s.latch(batch[0].block)
	l.RLock()
	defer l.RUnlock()
	kept := batch[:0]
	for _, p := range batch {
		if s.inOverlay(p.block) {
			continue
		}
		r, err := s.meta.record(p.block)
		if err != nil {
			return nil, err
		}
		if v.stale(&r) {
			kept = append(kept, placed{block: p.block, rec: r, dst: make([]byte, s.lay.blockSize)})
		}
	}
	s.openPlaced(kept, false)
	good := kept[:0]
	for _, p := range kept {
		if p.err != nil {
			v.report(p.block, p.err)
			if !v.accept {
				continue
			}
		}
		good = append(good, p)
	}
	return good, nil
}

// inOverlay reports whether a block was written since the last checkpoint.
func (s *Store) inOverlay(block uint64) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	v, hole := s.over.find(block, latest)
	return v != nil || hole
}

// reseal writes what was read, as a compare-and-swap on the block's record: the
// overlay is looked at first, since a version leaves it only when its record is in place.
func (v *Converter) reseal(tx *Tx, batch []placed) error {
	for i := range batch {
		p := &batch[i]
		if v.s.inOverlay(p.block) || p.block >= tx.Blocks() {
			v.skipped.Add(1)
			continue
		}
		r, err := v.s.meta.record(p.block)
		if err != nil {
			return err
		}
		switch {
		case r != p.rec:
			v.skipped.Add(1)
		case p.err != nil && !isBad(p.err):
			// a disk that does not answer, or a key that is gone: no reason to give the block up
		case p.err != nil:
			if err := tx.markLost(p.block); err != nil {
				return err
			}
			v.lost.Add(1)
		default:
			if err := tx.Write(p.block, p.dst); err != nil {
				return err
			}
			v.converted.Add(1)
		}
	}
	return nil
}

func (v *Converter) report(block uint64, err error) {
	v.mu.Lock()
	_, known := v.damaged[block]
	v.damaged[block] = struct{}{}
	v.mu.Unlock()
	if !known {
		v.s.opts.Logger.Warn("coffer: a damaged block was left as it is", "volume", v.s.volume.String(), "block", block, "cause", err)
	}
}

// remaining counts the stale records as of the last checkpoint, and those of
// them that will stay: known to be bad, and not about to be replaced by what
// the overlay holds. A tag block that cannot be read counts as one of both.
func (v *Converter) remaining() (left, stuck uint64, err error) {
	err = v.s.eachGroup(v.ctx, func(g uint64, m *metaBlock, err error) error {
		if err != nil {
			if !isBad(err) {
				return err
			}
			left, stuck = left+1, stuck+1
			return nil
		}
		for i := range perGroup {
			r, err := m.record(i)
			if err != nil {
				return err
			}
			if !v.stale(&r) {
				continue
			}
			left++
			if b := g*perGroup + uint64(i); v.isDamaged(b) && !v.s.inOverlay(b) {
				stuck++
			}
		}
		return nil
	})
	return left, stuck, err
}

// eachGroup calls fn for every group that was ever written, as of the
// published root, or with the error that reading its tag block gave.
func (s *Store) eachGroup(ctx context.Context, fn func(g uint64, m *metaBlock, err error) error) error {
	walk := &groupWalk{tree: s.meta, end: groupsFor(s.lay.blocks(s.label.Load().size))}
	for g, ok := walk.take(); ok; g, ok = walk.take() {
		if err := ctx.Err(); err != nil {
			return err
		}
		m, err := s.meta.get(metaKey{0, g})
		if m == nil && err == nil {
			continue
		}
		if err := fn(g, m, err); err != nil {
			return err
		}
	}
	return nil
}
