package crashtest

import (
	"context"
	"errors"
	"fmt"
	"path"
	"sync/atomic"
	"syscall"

	"github.com/cofferdb/coffer/blockstore"
	"github.com/cofferdb/coffer/internal/fsx"
)

// armed is a fault of the disk and whether it has struck.
type armed struct {
	fsx.Fault
	seen   int
	struck atomic.Bool
}

// see counts as the disk does.
func (a *armed) see(op fsx.Op) {
	if a == nil {
		return
	}
	if named, _ := path.Match(a.Name, path.Base(op.Name)); !named && a.Name != "" || a.Kind != op.Kind && !(a.Kind == fsx.OpSync && op.Kind == fsx.OpSyncData) {
		return
	}
	if a.seen++; a.seen == a.Nth || a.seen > a.Nth && !a.Once {
		a.struck.Store(true)
	}
}

var faultKinds = []fsx.OpKind{fsx.OpSync, fsx.OpSync, fsx.OpSync, fsx.OpWrite, fsx.OpWrite, fsx.OpSyncDir, fsx.OpCreate, fsx.OpRemove,
	fsx.OpAllocate, fsx.OpTruncate}

// arm makes an operation of the disk fail, once or from then on.
func (p *program) arm() *armed {
	f := fsx.Fault{Kind: faultKinds[p.rng.IntN(len(faultKinds))], Nth: 1 + p.rng.IntN(12), Once: p.rng.IntN(2) == 0}
	if f.Kind == fsx.OpWrite {
		f.TornBytes = p.rng.IntN(3) * p.rng.IntN(9000)
	}
	if p.rng.IntN(2) == 0 {
		f.Name, f.Nth = []string{volume, "segment-*"}[p.rng.IntN(2)], 1+p.rng.IntN(4)
	}
	a := &armed{Fault: f}
	p.hook.fault.Store(a)
	p.disk.Inject(f)
	return a
}

func (a *armed) String() string {
	return fmt.Sprintf("%v %d of %q, once=%v, torn=%d", a.Kind, a.Nth, a.Name, a.Once, a.TornBytes)
}

// explained returns an error unless the fault that struck is its cause.
func (a *armed) explained(err error) error {
	if err == nil || a.struck.Load() && errors.Is(err, syscall.EIO) {
		return nil
	}
	return fmt.Errorf("with a fault of the disk (%v, struck=%v): %w", a, a.struck.Load(), err)
}

// attempt does something that may fail.
func (p *program) attempt() error {
	switch p.rng.IntN(9) {
	case 0, 1:
		p.note("checkpoint")
		return p.checkpoint()
	case 2:
		p.note("sync")
		return p.sync()
	case 3:
		p.note("switch")
		return p.store.SwitchJournal(context.Background())
	case 4:
		if err := p.convert(); err != nil || p.conv == nil {
			return err
		}
		return p.waitConversion()
	case 5:
		return p.bytes()
	default:
		return p.update()
	}
}

// failing lets the disk fail while the program goes on. After a failed sync
// nothing may be accepted any more, even if the disk is well again. Then the
// process ends, and the next one builds on what it finds, which a cache that is
// given up, or a power cut, may take back.
func (p *program) failing() error {
	if err := p.releaseViews(); err != nil {
		return err
	}
	p.stopConversion()
	p.doubt = true
	a := p.arm()
	p.note("failing %v", a)
	unknown := false
	for range 2 + p.rng.IntN(5) {
		err := p.attempt()
		if errors.Is(err, context.Canceled) {
			err = nil
		}
		if err := a.explained(err); err != nil {
			return err
		}
		unknown = unknown || errors.Is(err, blockstore.ErrOutcomeUnknown)
	}
	p.stopConversion()
	p.disk.ClearFaults()
	must := unknown || a.struck.Load() && a.Kind == fsx.OpSync && a.Name == volume
	refusal, err := p.refuses()
	switch {
	case err != nil:
		return fmt.Errorf("after a fault of the disk (%v, struck=%v): %w", a, a.struck.Load(), err)
	case must && refusal == nil:
		return fmt.Errorf("after a fault of the disk (%v) writes go on", a)
	case refusal != nil:
		p.saw("refused until opened again")
	}
	if refusal == nil && p.rng.IntN(2) == 0 {
		return p.reopen()
	}
	p.note("restart")
	return p.restart(p.rng.IntN(2) == 0, p.rng.IntN(3) == 0)
}

// refuses returns why the store refuses writes, if it does, until it is opened again,
// all of them; it still reads. Otherwise it is to go on as if nothing had happened.
func (p *program) refuses() (refusal, err error) {
	_ = p.store.Checkpoint(context.Background()) // also waits for one in the background
	refusal = p.update()
	if refusal != nil && !errors.Is(refusal, blockstore.ErrState) {
		return nil, refusal
	}
	if refusal != nil {
		_, werr := p.store.File().WriteAt([]byte("x"), 0)
		others := []error{p.store.Checkpoint(context.Background()), p.store.SwitchJournal(context.Background()), werr,
			p.store.UpdateLazy(func(tx *blockstore.Tx) error { return tx.Resize(1) })}
		for i, other := range others {
			if other == nil {
				return nil, fmt.Errorf("updates are refused (%w), and write %d is not", refusal, i)
			}
		}
	}
	p.doubt = refusal != nil
	return refusal, p.glance()
}

// failingOpen lets the disk fail while a process recovers what another one left.
func (p *program) failingOpen() error {
	if err := p.releaseViews(); err != nil {
		return err
	}
	p.disk.SetHook(nil)
	disk := p.disk.Kill()
	p.conv = nil
	_ = p.store.Close()
	p.watch(disk)
	a := p.arm()
	p.note("open with failing %v", a)
	err := p.openAgain()
	p.disk.ClearFaults()
	if err := a.explained(err); err != nil {
		return err
	}
	if err != nil {
		p.saw("opens that failed")
		if p.ring, err = p.keys.ring(); err != nil {
			return err
		}
	} else {
		_ = p.store.Close() // it may have failed in the background
	}
	p.disk.SetHook(nil)
	next := p.disk.Kill()
	if p.rng.IntN(2) == 0 {
		next.DropCaches()
	}
	if p.rng.IntN(3) == 0 {
		next = next.Crash(p.rng)
	}
	return p.goOn(next)
}

// full lets the disk fill up. What does not fit is refused and not there, and
// the store goes on when there is space again, unless the file system needs
// space to overwrite too.
func (p *program) full() error {
	if err := p.releaseViews(); err != nil {
		return err
	}
	p.stopConversion()
	if !reserves {
		if err := p.checkpoint(); err != nil {
			return err
		}
	}
	space, over := int64(p.rng.IntN(1<<p.rng.IntN(19))), p.rng.IntN(4) == 0
	p.note("full disk, %d bytes, overwrites fail=%v", space, over)
	p.disk.SetFailOverwrite(over)
	p.disk.SetCapacity(p.disk.Used() + space)
	p.doubt = true
	failed := false
	for range 2 + p.rng.IntN(6) {
		err := p.attempt()
		switch {
		case err == nil:
		case errors.Is(err, syscall.ENOSPC):
			failed = true
			p.saw("refused for space")
		default:
			return fmt.Errorf("on a full disk: %w", err)
		}
	}
	p.stopConversion()
	p.disk.SetCapacity(0)
	p.disk.SetFailOverwrite(false)
	refusal, err := p.refuses()
	if err != nil {
		return fmt.Errorf("there is space again: %w", err)
	}
	if refusal == nil {
		return p.glance()
	}
	if !over {
		return fmt.Errorf("a full disk (refusals=%v) has ended the store for good: %w", failed, refusal)
	}
	p.note("restart")
	return p.restart(p.rng.IntN(2) == 0, p.rng.IntN(3) == 0)
}
