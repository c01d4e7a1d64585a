package crashtest

import (
	"fmt"

	"github.com/cofferdb/coffer/internal/fsx"
)

// reopen closes cleanly and opens again.
func (p *program) reopen() error {
	p.note("close and open")
	if err := p.close(); err != nil {
		return err
	}
	return p.openAgain()
}

// close closes the volume, which makes everything durable. A conversion stops where it is.
func (p *program) close() error {
	if err := p.releaseViews(); err != nil {
		return err
	}
	p.conv = nil
	return p.acknowledged(p.store.Close)
}

func (p *program) openAgain() error {
	if err := p.ring.Close(); err != nil {
		return err
	}
	p.ring, p.store = nil, nil
	s, ring, err := p.open(p.config.on(p.disk))
	if err == nil {
		p.store, p.ring, p.doubt = s, ring, false
	}
	return err
}

// die kills the process, or cuts the power, in the middle of something and goes
// on from what is found. A kill leaves what was written in the system's cache,
// where the next process builds on it and a later cut may still lose it.
func (p *program) die() error {
	if err := p.releaseViews(); err != nil {
		return err
	}
	n, kill := 1+p.rng.IntN(14), p.rng.IntN(2) == 0
	p.note("die after %d operations, kill=%v", n, kill)
	var image *fsx.Mem
	old := p.disk
	old.SetHook(func(op fsx.Op) error {
		if op.Kind == fsx.OpRead {
			return nil
		}
		if n--; n > 0 {
			return nil
		}
		if image == nil {
			if image = old.KillInHook(); !kill {
				image = image.Crash(p.hook.rng)
			}
		}
		return fsx.ErrKilled
	})
	p.doubt, p.dying = true, true // a write that fails in the background takes readers back
	defer func() { p.dying = false }()
	err := p.last()
	p.conv = nil
	if err == nil {
		err = p.acknowledged(p.store.Close)
	} else {
		_ = p.store.Close()
	}
	old.SetHook(nil)
	if err != nil && !isDead(err) {
		return fmt.Errorf("while dying: %w", err)
	}
	if image == nil {
		image = old.Kill()
	}
	return p.goOn(image)
}

// last is what a process does when it dies.
func (p *program) last() error {
	switch p.rng.IntN(6) {
	case 0:
		return p.update()
	case 1:
		if err := p.update(); err != nil {
			return err
		}
		return p.checkpoint()
	case 2:
		return p.convert()
	case 3:
		if p.config.crowds {
			return p.crowd()
		}
		return p.burst(p.rng)
	case 4:
		return p.bytes()
	}
	return nil
}

// crash cuts the power, or kills the process first, and goes on from what is found.
func (p *program) crash() error {
	if err := p.releaseViews(); err != nil {
		return err
	}
	p.note("crash")
	return p.restart(p.rng.IntN(2) == 0, p.rng.IntN(3) > 0)
}

// restart ends the process as it is, with the machine or without it, and goes
// on. With drop a machine that lives forgets what it can read again.
func (p *program) restart(drop, cut bool) error {
	p.disk.SetHook(nil)
	disk := p.disk.Kill()
	p.conv = nil
	_ = p.store.Close() // of the dead process: only its goroutines and leases matter
	if drop {
		disk.DropCaches()
	}
	if cut {
		disk = disk.Crash(p.rng)
	}
	return p.goOn(disk)
}

// goOn opens what a dead process left and takes the state it finds for the model.
func (p *program) goOn(disk *fsx.Mem) error {
	p.watch(disk)
	if err := p.openAgain(); err != nil {
		return err
	}
	is, err := p.matches(p.store, picture{states: p.ledger.possible()})
	if err != nil {
		return err
	}
	p.ledger.reset(is)
	return nil
}
