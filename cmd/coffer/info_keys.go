package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/cofferdb/coffer/blockstore"
	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/keyfile"
)

// infoKeys prints what needs each key of a volume.
func (p *program) infoKeys(ctx context.Context, path string, asJSON bool) error {
	c, err := p.ownedCensus(ctx, path)
	if c == nil && err == nil {
		c, err = blockstore.CountKeys(ctx, path, nil)
	}
	if err != nil {
		return err
	}
	if asJSON {
		return p.printJSON(c)
	}
	t := p.table()
	t.row("KEY", "BLOCKS", "JOURNAL SEGMENTS", "BACKUPS", "LABEL")
	for _, k := range c.Keys {
		t.row(k.ID, k.Blocks, k.Segments, k.Backups, yesNo(k.Label))
	}
	if err := t.flush(); err != nil {
		return err
	}
	if c.PlainBlocks > 0 {
		p.note("%s under suite none", count(c.PlainBlocks, "block"))
	}
	if c.Unreadable > 0 {
		p.warn("the tag blocks of %s cannot be read: any key of the volume may be needed there", count(c.Unreadable, "group"))
	}
	for _, problem := range c.Problems {
		p.warn("not counted: %s", problem)
	}
	if c.Conversion != nil {
		p.note("%s", conversionText(c.Conversion))
	}
	return nil
}

// notNeededBy refuses where a volume has anything under a key, or cannot tell,
// by what its files say: nothing vouches for that yet. A volume that a process
// has open is asked there, and settled, because that process has proved it.
func (p *program) notNeededBy(ctx context.Context, volume string, id dek.ID) (settled bool, err error) {
	if c, err := p.ownedCensus(ctx, volume); c != nil || err != nil {
		if err == nil {
			err = notCounted(volume, id, c, true)
		}
		return true, err
	}
	info, err := inspect(volume)
	if err != nil {
		return false, err
	}
	c, err := blockstore.CountKeys(ctx, volume, nil)
	if err != nil {
		return false, err
	}
	return false, notCounted(volume, id, c, len(info.Keys) > 0)
}

// provenNotNeededBy is notNeededBy over what the volume's keys vouch for, those
// of the key file. Where they do not reach, it says so.
func (p *program) provenNotNeededBy(ctx context.Context, volume string, id dek.ID, f *keyfile.File) (err error) {
	ring := dek.NewKeyring()
	defer func() { err = errors.Join(err, ring.Close()) }()
	if _, err := f.Activate(ring, dek.Database, dek.DecryptOnly); err != nil {
		return err
	}
	s, err := blockstore.Open(volume, ring, &blockstore.Options{ReadOnly: true, Logger: p.logger()})
	switch {
	case errors.Is(err, fault.NotActivated):
		p.warn("the keys that volume %s is under are not in %s: that it does not need %s is what its files say, and is not proved", volume, f.Path(), id)
		return nil
	case errors.Is(err, blockstore.ErrPlain):
		p.warn("volume %s is not encrypted: that it does not need %s is what its files say, and is not proved", volume, id)
		return nil
	case err != nil:
		return fault.Hint(fmt.Errorf("whether volume %s needs key %s cannot be told: %w", volume, id, err), fault.HintOf(err))
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	c, err := s.CountKeys(ctx)
	if err != nil {
		return err
	}
	return notCounted(volume, id, c, true)
}

// notCounted refuses where a census has anything under a key, or does not say.
func notCounted(volume string, id dek.ID, c *blockstore.KeyCensus, keyed bool) error {
	use := c.Use(id)
	switch {
	case use.Blocks > 0 || use.Segments > 0:
		return needs(volume, id, fmt.Sprintf("%s and %s", count(use.Blocks, "block"), count(use.Segments, "journal segment")), "Re-key the volume first: coffer rekey.")
	case use.Backups > 0:
		return needs(volume, id, count(use.Backups, "recorded backup"), "Where they are gone, drop their records: coffer backup forget.")
	case use.Label:
		return needs(volume, id, "its label", "Re-key the volume first: coffer rekey.")
	case c.Unreadable > 0 && keyed || len(c.Problems) > 0:
		return fault.Hint(statef("whether volume %s needs key %s cannot be told: it is damaged", volume, id), "coffer verify says what is damaged.")
	}
	return nil
}

func needs(volume string, id dek.ID, what, hint string) error {
	return fault.Hint(statef("volume %s needs key %s: %s", volume, id, what), hint)
}
