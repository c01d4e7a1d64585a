package crashtest

import (
	"context"
	"errors"
	"fmt"

	"github.com/cofferdb/coffer/blockstore"
	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/fsx"
)

// update commits a few random changes, durable or lazy.
func (p *program) update() error {
	want := p.head().clone()
	var edits []func(tx *blockstore.Tx) error
	for range 1 + p.rng.IntN(3) {
		edits = append(edits, p.edit(&want))
	}
	lazy := p.rng.IntN(4) == 0
	p.note("update lazy=%v", lazy)
	p.begin(want)
	fn := func(tx *blockstore.Tx) error {
		for _, e := range edits {
			if err := e(tx); err != nil {
				return err
			}
		}
		return nil
	}
	if lazy {
		p.lazy = true
		return p.store.UpdateLazy(fn)
	}
	return p.acknowledged(p.store.Update(fn))
}

// edit changes the model and returns the change to make in the volume.
func (p *program) edit(want *state) func(*blockstore.Tx) error {
	bs := p.config.blockSize
	n := len(want.ids)
	kind := p.rng.IntN(20)
	switch {
	case kind == 0 || n == 0: // another size, in whole blocks: contents stay what an ID stands for
		size := int64(p.rng.IntN(p.config.blocks*2+2)) * int64(bs)
		want.resize(size, bs)
		return func(tx *blockstore.Tx) error { return tx.Resize(size) }
	case kind == 1:
		first := p.rng.IntN(n)
		count := 1 + p.rng.IntN(n-first)
		clear(want.ids[first : first+count])
		return func(tx *blockstore.Tx) error { return tx.Trim(uint64(first), uint64(count)) }
	case kind < 5: // a run, sometimes all of it
		first := p.rng.IntN(n)
		count := 1 + p.rng.IntN(min(n-first, 1<<p.rng.IntN(8)))
		id := p.next
		p.next++
		for i := range count {
			want.ids[first+i] = id
		}
		return func(tx *blockstore.Tx) error {
			for i := range count {
				if err := tx.Write(uint64(first+i), p.page(id, uint64(first+i))); err != nil {
					return err
				}
			}
			return nil
		}
	default:
		b, id := p.rng.IntN(n), p.next
		p.next++
		want.ids[b] = id
		return func(tx *blockstore.Tx) error { return tx.Write(uint64(b), p.page(id, uint64(b))) }
	}
}

// view checks that a snapshot is of a commit, and stays as it is while the volume goes on.
func (p *program) view() error {
	p.note("view")
	if err := p.look(); err != nil {
		return err
	}
	return p.store.View(func(tx *blockstore.Tx) error {
		first, err := observeIn(tx)
		if err != nil {
			return err
		}
		for range 2 + p.rng.IntN(4) {
			done := make(chan error)
			go func() { done <- p.whileViewed() }() // transactions of one goroutine do not nest
			if err := <-done; err != nil {
				return err
			}
			now, err := observeIn(tx)
			if err != nil {
				return fmt.Errorf("a snapshot: %w", err)
			}
			if !now.equal(first) {
				return fmt.Errorf("a snapshot changed: %s", difference(now, first))
			}
		}
		return nil
	})
}

// whileViewed does something that a snapshot must outlive.
func (p *program) whileViewed() (err error) {
	switch p.rng.IntN(6) {
	case 0:
		err = p.burst()
	case 1:
		p.note("switch")
		err = p.store.SwitchJournal(context.Background())
	case 2:
		err = p.journalKey()
	default:
		err = p.update()
	}
	if err != nil {
		return err
	}
	return p.acknowledged(p.store.Checkpoint(context.Background()))
}

func (p *program) journalKey() error {
	if i, err := p.store.Info(); err != nil || !i.Encrypted || i.Conversion != nil {
		return err
	}
	id := p.keys[p.rng.IntN(keyCount)].ID()
	p.note("journal key %v", id)
	return p.store.SetJournalKey(context.Background(), id)
}

// convert starts, resumes, pauses or stops a conversion.
func (p *program) convert() error {
	if p.conv != nil {
		return p.drive()
	}
	info, err := p.store.Info()
	if err != nil {
		return err
	}
	ctx := context.Background()
	if info.Conversion != nil {
		p.note("resume %s", info.Conversion.Operation)
		p.conv, err = p.store.ResumeConversion(ctx)
		return err
	}
	suites := allowed(blockstore.AESGCM, blockstore.AESCBC, blockstore.AESXTS, blockstore.None)
	c := blockstore.Conversion{Suite: suites[p.rng.IntN(len(suites))],
		Key: p.keys[p.rng.IntN(keyCount)].ID(), Workers: 1 + p.rng.IntN(2)}
	p.note("convert to %v", c.Suite)
	p.conv, err = p.store.Convert(ctx, c)
	if errors.Is(err, fault.State) {
		p.conv, err = nil, nil // it is under that key and suite already
	}
	return err
}

// drive does something to the conversion that runs.
func (p *program) drive() error {
	switch p.rng.IntN(4) {
	case 0:
		p.note("stop conversion")
		p.conv.Stop()
	case 1:
		p.note("pause conversion")
		p.conv.Pause()
		if err := p.update(); err != nil {
			return err
		}
		p.conv.Resume()
		return nil
	default:
		p.note("wait for conversion")
	}
	r, err := p.conv.Wait()
	p.conv = nil
	if errors.Is(err, context.Canceled) {
		return nil
	}
	if err == nil && !r.Complete {
		return fmt.Errorf("a conversion ended incomplete: %+v", r)
	}
	return err
}

// reopen closes cleanly and opens again.
func (p *program) reopen() error {
	p.note("close and open")
	p.conv = nil
	if err := p.acknowledged(p.store.Close()); err != nil {
		return err
	}
	return p.openAgain()
}

func (p *program) openAgain() error {
	if err := p.ring.Close(); err != nil {
		return err
	}
	var err error
	p.store, p.ring, err = p.open(p.config.on(p.disk))
	return err
}

// die kills the process, or cuts the power, in the middle of something and goes
// on from what is found. A kill leaves what was written in the system's cache,
// where the next process builds on it and a later cut may still lose it.
func (p *program) die() error {
	n, kill := 1+p.rng.IntN(14), p.rng.IntN(2) == 0
	p.note("die after %d operations, kill=%v", n, kill)
	var found *fsx.Mem
	old := p.disk
	old.SetHook(func(op fsx.Op) error {
		if op.Kind == fsx.OpRead {
			return nil
		}
		if n--; n > 0 {
			return nil
		}
		if found == nil {
			if found = old.KillInHook(); !kill {
				found = found.Crash(p.hookRng)
			}
		}
		return fsx.ErrKilled
	})
	var err error
	switch p.rng.IntN(4) {
	case 0:
		err = p.update()
	case 1:
		_ = p.update()
		err = p.store.Checkpoint(context.Background())
	case 2:
		err = p.convert()
	}
	p.conv = nil
	if cerr := p.store.Close(); err == nil && cerr == nil && found == nil {
		p.settle()
	}
	old.SetHook(nil)
	if found == nil {
		found = old.Kill()
	}
	return p.goOn(found)
}

// crash cuts the power, or kills the process first, and goes on from what is found.
func (p *program) crash() error {
	p.note("crash")
	old := p.disk
	old.SetHook(nil)
	var disk *fsx.Mem
	if p.rng.IntN(2) == 0 {
		disk = old.Kill()
	} else {
		disk = old
	}
	if p.rng.IntN(3) > 0 {
		disk = disk.Crash(p.rng)
	}
	old.CutAfter(0)
	p.conv = nil
	_ = p.store.Close() // of the dead process: only its goroutines and leases matter
	if disk == old {
		disk = old.Crash(p.rng)
	}
	return p.goOn(disk)
}

// goOn opens what a dead process left and takes the state it finds for the model.
func (p *program) goOn(disk *fsx.Mem) error {
	p.watch(disk)
	if err := p.openAgain(); err != nil {
		return err
	}
	got, err := p.matches(p.store, picture{states: p.states})
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.states, p.lazy = []state{got}, false
	return nil
}
