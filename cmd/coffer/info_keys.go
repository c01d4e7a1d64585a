package main

import (
	"context"
	"fmt"

	"github.com/cofferdb/coffer/blockstore"
	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
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

// notNeededBy refuses where a volume has anything under a key, or cannot tell.
func notNeededBy(ctx context.Context, volume string, id dek.ID) error {
	info, err := inspect(volume)
	if err != nil {
		return err
	}
	c, err := blockstore.CountKeys(ctx, volume, nil)
	if err != nil {
		return err
	}
	use := c.Use(id)
	switch {
	case use.Blocks > 0 || use.Segments > 0:
		return needs(volume, id, fmt.Sprintf("%s and %s", count(use.Blocks, "block"), count(use.Segments, "journal segment")), "Re-key the volume first: coffer rekey.")
	case use.Backups > 0:
		return needs(volume, id, count(use.Backups, "recorded backup"), "Where they are gone, drop their records: coffer backup forget.")
	case use.Label:
		return needs(volume, id, "its label", "Re-key the volume first: coffer rekey.")
	case c.Unreadable > 0 && len(info.Keys) > 0 || len(c.Problems) > 0:
		return fault.Hint(statef("whether volume %s needs key %s cannot be told: it is damaged", volume, id), "coffer verify says what is damaged.")
	}
	return nil
}

func needs(volume string, id dek.ID, what, hint string) error {
	return fault.Hint(statef("volume %s needs key %s: %s", volume, id, what), hint)
}
