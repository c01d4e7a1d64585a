package crashtest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"syscall"

	"github.com/cofferdb/coffer/blockstore"
	"github.com/cofferdb/coffer/internal/fsx"
)

// burst makes many lazy commits, so that checkpoints run while some are not durable.
func (p *program) burst() error {
	n := 3 + p.rng.IntN(14)
	p.note("burst of %d", n)
	for range n {
		want := p.head().clone()
		edit := p.edit(&want)
		p.begin(want)
		p.lazy = true
		if err := p.store.UpdateLazy(edit); err != nil {
			return err
		}
	}
	return nil
}

// crowd lets several writers commit at once, each a page of its own. In which
// order they come is open: until all are acknowledged any of them may be there.
func (p *program) crowd() error {
	head := p.head()
	n := min(len(head.ids), 2+p.rng.IntN(3))
	if n < 2 {
		return p.update()
	}
	p.note("crowd of %d", n)
	blocks := p.rng.Perm(len(head.ids))[:n]
	ids := make([]uint32, n)
	for i := range ids {
		ids[i] = p.next
		p.next++
	}
	for mask := 1; mask < 1<<n; mask++ {
		s := head.clone()
		for i, b := range blocks {
			if mask&(1<<i) != 0 {
				s.ids[b] = ids[i]
			}
		}
		p.begin(s)
	}
	possible := p.states
	errs := make([]error, n+2)
	var wg sync.WaitGroup
	wg.Go(func() {
		for range 3 {
			errs[n] = errors.Join(errs[n], p.seen(possible))
		}
	})
	wg.Go(func() { errs[n+1] = p.store.Checkpoint(context.Background()) })
	for i, b := range blocks {
		wg.Go(func() {
			errs[i] = p.store.Update(func(tx *blockstore.Tx) error { return tx.Write(uint64(b), p.page(ids[i], uint64(b))) })
			if errs[i] == nil {
				p.confirm(b, ids[i])
			}
		})
	}
	wg.Wait()
	return p.acknowledged(errors.Join(errs...))
}

// seen checks that a reader finds one of the states.
func (p *program) seen(possible []state) error {
	_, err := p.matches(p.store, picture{states: possible})
	return err
}

// look checks what readers see now: a state that is durable; and, of a file, all that was written.
func (p *program) look() error {
	p.note("look")
	if err := p.seen(p.states); err != nil {
		return err
	}
	head, bs := p.head(), p.config.blockSize
	f := p.store.File()
	if f.Size() != head.size {
		return fmt.Errorf("the file has %d bytes, want %d", f.Size(), head.size)
	}
	buf, scratch := make([]byte, bs), make([]byte, bs)
	for b, id := range head.ids {
		if _, err := f.ReadAt(buf, int64(b)*int64(bs)); err != nil {
			return err
		}
		if got, err := identify(buf, scratch, uint64(b)); err != nil || got != id {
			return errors.Join(err, fmt.Errorf("block %d of the file holds %d, want %d", b, got, id))
		}
	}
	return nil
}

// confirm drops the states in which a block does not hold what was acknowledged.
func (p *program) confirm(block int, id uint32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var kept []state
	for _, s := range p.states {
		if block < len(s.ids) && s.ids[block] == id {
			kept = append(kept, s)
		}
	}
	p.states = kept
}

// withdraw says that the last commit is known not to have happened.
func (p *program) withdraw() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.states = p.states[: len(p.states)-1 : len(p.states)-1]
}

// attempt does something that may fail, and keeps the model.
func (p *program) attempt() error {
	switch p.rng.IntN(6) {
	case 0:
		return p.acknowledged(p.store.Checkpoint(context.Background()))
	case 1:
		return p.store.SwitchJournal(context.Background())
	case 2:
		if err := p.convert(); err != nil || p.conv == nil {
			return err
		}
		_, err := p.conv.Wait()
		p.conv = nil
		return err
	default:
		n := len(p.states)
		err := p.update()
		if err != nil && !errors.Is(err, blockstore.ErrOutcomeUnknown) && len(p.states) > n {
			p.withdraw()
		}
		return err
	}
}

// unexpected returns an error that neither the fault nor what follows from it explains.
func unexpected(err, cause error) error {
	if err == nil || errors.Is(err, cause) || errors.Is(err, blockstore.ErrOutcomeUnknown) || errors.Is(err, blockstore.ErrState) {
		return nil
	}
	return fmt.Errorf("under a failing disk: %w", err)
}

var faultKinds = []fsx.OpKind{fsx.OpSync, fsx.OpSync, fsx.OpSync, fsx.OpWrite, fsx.OpWrite, fsx.OpSyncDir, fsx.OpCreate, fsx.OpRemove, fsx.OpAllocate, fsx.OpTruncate}

// failing makes an operation of the disk fail, once or from then on, while the
// program goes on; then the process ends, and the next one builds on what it
// finds, which a cache that is given up, or a power cut, may take back.
func (p *program) failing() error {
	if p.conv != nil {
		p.conv.Stop()
		p.conv = nil
	}
	f := fsx.Fault{Kind: faultKinds[p.rng.IntN(len(faultKinds))], Nth: 1 + p.rng.IntN(12), Once: p.rng.IntN(2) == 0}
	if p.rng.IntN(2) == 0 {
		f.Nth, f.Name = 1+p.rng.IntN(4), []string{path, "segment-*"}[p.rng.IntN(2)]
	}
	if f.Kind == fsx.OpWrite {
		f.TornBytes = p.rng.IntN(3) * p.rng.IntN(9000)
	}
	p.note("failing %v %s, the %d., once=%v", f.Kind, f.Name, f.Nth, f.Once)
	p.disk.Inject(f)
	for range 2 + p.rng.IntN(4) {
		if err := unexpected(p.attempt(), syscall.EIO); err != nil {
			return err
		}
	}
	return p.restart()
}

// restart ends the process as it is and goes on.
func (p *program) restart() error {
	old := p.disk
	old.SetHook(nil)
	disk := old.Kill()
	p.conv = nil
	_ = p.store.Close() // of the dead process
	if p.rng.IntN(2) == 0 {
		disk.DropCaches()
	}
	if p.rng.IntN(3) == 0 {
		disk = disk.Crash(p.rng)
	}
	return p.goOn(disk)
}

// full lets the disk fill up. What does not fit is refused, and the store goes
// on when there is space again, unless the file system needs space to overwrite.
func (p *program) full() error {
	if p.conv != nil {
		p.conv.Stop()
		p.conv = nil
	}
	space, over := int64(p.rng.IntN(1<<18)), p.rng.IntN(4) == 0
	p.note("full disk, %d bytes, overwrites fail=%v", space, over)
	p.disk.SetFailOverwrite(over)
	p.disk.SetCapacity(p.disk.Used() + space)
	for range 2 + p.rng.IntN(6) {
		if err := unexpected(p.attempt(), syscall.ENOSPC); err != nil {
			return err
		}
	}
	p.disk.SetCapacity(0)
	p.disk.SetFailOverwrite(false)
	if over {
		return p.restart()
	}
	if err := p.update(); err != nil {
		return fmt.Errorf("space is there again: %w", err)
	}
	return nil
}
