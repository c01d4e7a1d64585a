package crashtest

import (
	"context"
	"fmt"
	"math/rand/v2"
)

// step does one thing.
func (p *program) step() error {
	if err := p.checkViews(); err != nil {
		return err
	}
	if err := p.special(); err != errNothing {
		return err
	}
	switch n := p.rng.IntN(100); {
	case n < 42:
		return p.update()
	case n < 48:
		return p.bytes()
	case n < 50:
		return p.look()
	case n < 55:
		p.note("sync")
		return p.sync()
	case n < 63:
		p.note("checkpoint")
		return p.checkpoint()
	case n < 67:
		p.note("switch")
		return p.store.SwitchJournal(context.Background())
	case n < 70:
		return p.journalKey()
	case n < 73:
		return p.openView()
	case n < 74:
		return p.view(2)
	case n < 85 && p.config.epochs: // seldom a conversion: it begins with one epoch
		return p.update()
	case n < 88:
		return p.convert()
	case n < 92:
		return p.reopen()
	case n < 96:
		return p.die()
	default:
		return p.crash()
	}
}

// errNothing: this program has nothing special to do now.
var errNothing = fmt.Errorf("nothing")

// special does what only some programs do.
func (p *program) special() error {
	c := &p.config
	if c.epochs {
		if err := p.lookAtEpochs(); err != nil {
			return err
		}
	}
	switch n := p.rng.IntN(100); {
	case n < 8 && c.crowds:
		return p.crowd()
	case n >= 8 && n < 14 && c.trouble:
		return p.failing()
	case n >= 14 && n < 16 && c.trouble:
		return p.failingOpen()
	case n >= 16 && n < 22 && c.trouble:
		return p.full()
	case n >= 22 && n < 28 && c.damage:
		return p.damage()
	case n >= 28 && n < 36 && c.readers:
		return p.openView()
	case n >= 36 && n < 40 && c.readers:
		return p.view(3 + p.rng.IntN(4))
	case n >= 40 && n < 48:
		return p.burst(p.rng)
	case n == 48:
		return p.purge()
	case n >= 97:
		return p.backup()
	case n == 96:
		return p.rescue()
	case n >= 49 && n < 70 && c.epochs:
		return p.burst(p.rng)
	}
	return errNothing
}

// meanwhile does something that changes the volume, while something else goes on.
func (p *program) meanwhile() error {
	switch p.rng.IntN(8) {
	case 0:
		p.note("checkpoint")
		return p.checkpoint()
	case 1:
		return p.bytes()
	case 2, 3:
		return p.burst(p.rng)
	default:
		return p.update()
	}
}

// burst makes many commits without waiting for any.
func (p *program) burst(rng *rand.Rand) error {
	n := 3 + rng.IntN(14)
	p.note("burst of %d", n)
	for range n {
		if err := p.commit(rng, 1, true); err != nil {
			return err
		}
	}
	return nil
}

func (p *program) journalKey() error {
	if i, err := p.store.Info(); err != nil || !i.Encrypted || i.Conversion != nil {
		return err
	}
	id := p.keys[p.rng.IntN(keyCount)].ID()
	p.note("journal key %v", id)
	return p.store.SetJournalKey(context.Background(), id)
}

// purge overwrites what is free; a volume with damage, under suite none or in a conversion refuses it.
func (p *program) purge() error {
	i, err := p.store.Info()
	if err != nil || !i.Encrypted || i.Conversion != nil || len(p.ledger.head().bad()) > 0 {
		return err
	}
	if err := p.releaseViews(); err != nil {
		return err
	}
	p.note("purge")
	p.saw("purges")
	return p.store.Purge(context.Background())
}

// lookAtEpochs notes when epochs of the write key have gone, which only re-seals in the background do.
func (p *program) lookAtEpochs() error {
	i, err := p.store.Info()
	if err != nil {
		return err
	}
	n := 0
	for _, k := range i.Keys {
		if k.Write && i.Conversion == nil && p.conv == nil {
			n = k.Epochs
		}
	}
	if n > 0 && n < p.epochs && n > 1 {
		p.saw("old epochs re-sealed")
	}
	p.epochs = n
	return nil
}
