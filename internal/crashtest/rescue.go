package crashtest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/cofferdb/coffer/blockstore"
)

// rescue takes the ways out of an emergency: what comes out is whole, and one of
// the states that the volume may have been in.
func (p *program) rescue() error {
	for _, s := range p.ledger.possible() { // what was damaged and written anew may not be durable yet
		if len(s.bad()) > 0 {
			return p.update() // damage ends an export, and is listed by a salvage
		}
	}
	if p.rng.IntN(2) == 0 {
		return p.salvage()
	}
	return p.export()
}

// export copies the volume out while it is used. Its writes may be cut as all others; the volume does not mind.
func (p *program) export() error {
	const path = "exported"
	p.note("export")
	// A power cut may have left one that was removed, or that was finished and never looked at.
	if err := p.disk.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	from := p.ledger.watch()
	defer p.ledger.unwatch()
	var busy error
	left := 3
	_, err := p.store.Export(context.Background(), path, blockstore.ExportOptions{Progress: func(string, uint64, uint64) {
		if left--; left >= 0 && busy == nil {
			busy = p.meanwhile()
		}
	}})
	if err = errors.Join(busy, err); err != nil {
		return fmt.Errorf("export: %w", err)
	}
	p.saw("exports")
	disk := p.disk.Clone()
	if err := p.disk.Remove(path); err != nil {
		return err
	}
	disk.SetCapacity(0)
	s, err := blockstore.Open(path, nil, p.config.on(disk))
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	return p.isOneOf(s, p.ledger.since(from))
}

// salvage takes what a process that is killed now would leave; of what is not damaged that is everything.
func (p *program) salvage() error {
	const path = "salvaged"
	p.note("salvage")
	from := p.ledger.watch()
	defer p.ledger.unwatch()
	disk := p.disk.Clone()
	disk.SetCapacity(0)
	states := p.ledger.since(from)
	ring, err := p.keys.ring()
	if err != nil {
		return err
	}
	defer func() { _ = ring.Close() }()
	o := p.config.on(disk)
	r, err := blockstore.Salvage(context.Background(), volume, ring, path, blockstore.SalvageOptions{Options: *o})
	if err == nil {
		err = r.Err()
	}
	if err != nil {
		return fmt.Errorf("salvage: %w", err)
	}
	p.saw("salvages")
	s, err := blockstore.Open(path, ring, o)
	if err != nil {
		return fmt.Errorf("salvage: %w", err)
	}
	return p.isOneOf(s, states)
}

// isOneOf compares a volume with states, verifies and closes it.
func (p *program) isOneOf(s *blockstore.Store, states []state) error {
	is, err := p.matches(s, picture{states: states})
	if err == nil {
		err = verify(s, is, false)
	}
	return errors.Join(err, s.Close())
}
