package blockstore

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/fsx"
)

// KeyUse is what needs a key, as far as the volume knows.
type KeyUse struct {
	ID       dek.ID `json:"id"`
	Blocks   uint64 `json:"blocks"`           // data blocks whose record names it
	Segments int    `json:"journal_segments"` // in the volume's journal folder, kept ones too
	Backups  int    `json:"backups"`          // recorded in the volume
	Label    bool   `json:"label"`            // the label names it, as the key of new blocks, of the journal, or of a conversion: opening needs it
}

// KeyCensus counts everything under each key: blocks from the records of every
// tag block, segments from their headers, backups from their records.
type KeyCensus struct {
	// Keys are those that the label, a segment or a backup names, the write key first.
	Keys []KeyUse `json:"keys"`
	// PlainBlocks are under suite none.
	PlainBlocks uint64 `json:"plain_blocks"`
	// Unreadable groups of blocks have a tag block, or a tree block over it, that is damaged or
	// makes no sense: any key of the label may be needed there.
	Unreadable uint64 `json:"unreadable_groups"`
	// Problems are what else could not be counted.
	Problems []string `json:"problems"`
	// Conversion is not over: blocks in the journal are still to come.
	Conversion *ConversionInfo `json:"conversion,omitempty"`
}

// Use returns what needs a key; zero where nothing does.
func (c *KeyCensus) Use(id dek.ID) KeyUse {
	if i := slices.IndexFunc(c.Keys, func(k KeyUse) bool { return k.ID == id }); i >= 0 {
		return c.Keys[i]
	}
	return KeyUse{ID: id}
}

// CountKeys counts what needs each key of a closed volume. It needs no key: the
// records are those of the tree under the root that the label names, whose MAC
// only [Store.CountKeys] or a verification with the key checks. A volume that is
// in use is [ErrInUse].
func CountKeys(ctx context.Context, path string, o *Options) (_ *KeyCensus, err error) {
	info, err := Inspect(path, o)
	if err != nil {
		return nil, err
	}
	opts, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	file, err := openLocked(opts.FS, fsx.Resolve(opts.FS, path), true)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	copies, err := readLabels(file)
	if err != nil {
		return nil, err
	}
	l, err := copies.choose()
	if err != nil {
		return nil, err
	}
	if l.generation != info.Generation {
		return nil, fmt.Errorf("blockstore: the volume changed meanwhile: %w", ErrInUse)
	}
	return census(ctx, newMetaTree(file, l), l, info)
}

// CountKeys counts what needs each key, as of the last checkpoint. Nothing that
// a commit after it holds is under a key that the label does not name.
func (s *Store) CountKeys(ctx context.Context) (*KeyCensus, error) {
	if err := s.gate.enter(); err != nil {
		return nil, err
	}
	defer s.gate.leave()
	info, err := s.Info()
	if err != nil {
		return nil, err
	}
	return census(ctx, s.meta, s.label.Load(), info)
}

func census(ctx context.Context, tree *metaTree, l *label, info *Info) (*KeyCensus, error) {
	c := &KeyCensus{Keys: []KeyUse{}, Problems: []string{}, Conversion: info.Conversion}
	named := append([]dek.ID{info.WriteKey, info.JournalKey}, info.JournalKeys...)
	for _, k := range info.Keys {
		named = append(named, k.ID)
	}
	for _, id := range named {
		if k := c.use(id); k != nil {
			k.Label = true
		}
	}
	if err := c.blocks(ctx, tree, l); err != nil {
		return nil, err
	}
	for _, g := range info.Segments {
		if g.Problem != "" {
			c.Problems = append(c.Problems, fmt.Sprintf("journal file %s: %s", g.Slot, g.Problem))
		} else if k := c.use(g.Key); k != nil {
			k.Segments++
		}
	}
	for _, b := range info.Backups {
		for _, id := range b.Keys {
			if k := c.use(id); k != nil {
				k.Backups++
			}
		}
	}
	if info.BackupsProblem != "" {
		c.Problems = append(c.Problems, "the records of backups: "+info.BackupsProblem)
	}
	return c, nil
}

// use returns the entry of a key, nil for none.
func (c *KeyCensus) use(id dek.ID) *KeyUse {
	if id.IsZero() {
		return nil
	}
	i := slices.IndexFunc(c.Keys, func(k KeyUse) bool { return k.ID == id })
	if i < 0 {
		i = len(c.Keys)
		c.Keys = append(c.Keys, KeyUse{ID: id})
	}
	return &c.Keys[i]
}

func (c *KeyCensus) blocks(ctx context.Context, tree *metaTree, l *label) error {
	var bySlot [maxSlots]uint64
	walk := &groupWalk{tree: tree, damaged: true, end: groupsFor(l.blocks())}
	walk.skipped = func(first, n uint64) {
		if _, err := tree.get(metaKey{0, first}); err != nil { // below a tree block that cannot be read
			c.Unreadable += n
		}
	}
	for g, ok := walk.take(); ok; g, ok = walk.take() {
		if err := ctx.Err(); err != nil {
			return err
		}
		m, err := tree.get(metaKey{0, g})
		if err == nil && m != nil {
			err = countRecords(m, l, &bySlot)
		}
		if err != nil && !isBad(err) {
			return err
		}
		if err != nil {
			c.Unreadable++
		}
	}
	for i, n := range bySlot {
		if k := c.use(l.slots[i].key); k != nil {
			k.Blocks += n
		} else {
			c.PlainBlocks += n
		}
	}
	return nil
}

// countRecords adds the data blocks of a tag block to those of their key slots.
// A record that makes no sense, or names a slot that is not in use, is an error; the others count.
func countRecords(m *metaBlock, l *label, bySlot *[maxSlots]uint64) (bad error) {
	for i := range perGroup {
		r, err := m.record(i)
		switch {
		case err != nil:
			bad = err
		case r.kind != recordData:
		case l.slots[r.slot].state != slotLive:
			bad = fmt.Errorf("blockstore: a record names key slot %d, which is not in use: %w", r.slot, fault.Tampered)
		default:
			bySlot[r.slot]++
		}
	}
	return bad
}
