package blockstore

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/cofferdb/coffer/internal/fault"
)

// groups writes what a backup has of the state to be restored: tag blocks that
// the newest one lists by their hash, and the blocks whose record in the
// listed tag block is the one they were backed up with.
func (r *restorer) groups(ctx context.Context, b *backupFile) error {
	final := baseGroups{l: r.newest().list()}
	count := r.progress()
	return b.read(ctx, func(c *backupScan, k backupKind, payload []byte) error {
		if err := count(c, k, payload); err != nil || k != backupGroup {
			return err
		}
		g, err := decodeGroup(payload, c.start.blockSize)
		if err != nil {
			return err
		}
		hash, err := final.find(g.number)
		if err != nil || hash == nil {
			return err
		}
		tag := &metaBlock{key: metaKey{0, g.number}, data: g.tag}
		if sha256.Sum256(g.tag) == *hash {
			if _, err := r.s.file.WriteAt(g.tag, r.s.lay.slot(tag.key, 0)); err != nil {
				return err
			}
		} else if tag, err = r.tagOf(g.number, *hash); err != nil {
			return err
		}
		return r.blocks(&g, tag)
	})
}

// tagOf reads a tag block that was written before.
func (r *restorer) tagOf(g uint64, hash [32]byte) (*metaBlock, error) {
	k := metaKey{0, g}
	data := make([]byte, metaSize)
	if err := readFull(r.s.file, data, r.s.lay.slot(k, 0)); err != nil {
		if !errors.Is(err, fault.Damaged) {
			return nil, err
		}
		clear(data)
	}
	if sha256.Sum256(data) != hash {
		return nil, fmt.Errorf("blockstore: no backup of the chain has %v as it is listed: %w", k, fault.Both(fault.Tampered, fault.Damaged))
	}
	return &metaBlock{key: k, data: data}, checkMetaHeader(k, r.s.volume, data)
}

// blocks writes those blocks of a group that the tag block names, adjacent ones with one write.
func (r *restorer) blocks(g *groupRecord, tag *metaBlock) error {
	own := &metaBlock{key: tag.key, data: g.tag}
	bs := int(r.s.lay.blockSize)
	var run []byte // of g.data, which is in order
	var first uint64
	flush := func() error {
		if len(run) == 0 {
			return nil
		}
		_, err := r.s.file.WriteAt(run, r.s.lay.block(first))
		run = nil
		return err
	}
	at := 0
	err := g.each(bs, func(i int, data []byte) error {
		from := at
		at += bs
		want, err := tag.record(i)
		if err != nil {
			return err
		}
		have, err := own.record(i)
		if err != nil {
			return err
		}
		block := g.number*perGroup + uint64(i)
		if want.kind != recordData || want != have {
			return flush()
		}
		if len(run) > 0 && first+uint64(len(run)/bs) == block {
			run = g.data[from-len(run) : at]
			return nil
		}
		if err := flush(); err != nil {
			return err
		}
		run, first = g.data[from:at], block
		return nil
	})
	if err != nil {
		return err
	}
	return flush()
}

// treeBuilder writes a tree over tag blocks that are given in order, lowest level first, all in slot 0.
type treeBuilder struct {
	s          *Store
	generation uint64
	height     uint8
	open       [maxLevel + 1]*metaBlock
	root       childRef
}

// add enters a block into its parent.
func (t *treeBuilder) add(k metaKey, ref childRef) error {
	if k.level == t.height {
		t.root = ref
		return nil
	}
	up := metaKey{k.level + 1, k.index / fanOut}
	if m := t.open[up.level]; m != nil && m.key != up {
		if err := t.close(up.level); err != nil {
			return err
		}
	}
	if t.open[up.level] == nil {
		t.open[up.level] = newMetaBlock(up, t.s.volume)
	}
	t.open[up.level].setEntry(int(k.index%fanOut), ref)
	return nil
}

// close writes the open block of a level and enters it above.
func (t *treeBuilder) close(level uint8) error {
	m := t.open[level]
	if m == nil {
		return nil
	}
	t.open[level] = nil
	m.finish(t.generation)
	if _, err := t.s.file.WriteAt(m.data, t.s.lay.slot(m.key, 0)); err != nil {
		return err
	}
	return t.add(m.key, childRef{true, 0, m.hash()})
}

// tree builds the tree over what the newest backup lists, and proves that all of it is there.
func (r *restorer) tree(ctx context.Context) (childRef, error) {
	l := r.proof.l
	t := &treeBuilder{s: r.s, generation: l.generation, height: l.height}
	list := r.newest().list()
	for {
		if err := ctx.Err(); err != nil {
			return childRef{}, err
		}
		g, hash, ok, err := list.next()
		if err != nil {
			return childRef{}, err
		}
		if !ok {
			break
		}
		if g >= span[t.height] {
			return childRef{}, fmt.Errorf("blockstore: the backup lists group %d, beyond the tree: %w", g, fault.Damaged)
		}
		m, err := r.tagOf(g, hash)
		if err != nil {
			return childRef{}, err
		}
		if err := t.add(m.key, childRef{true, 0, hash}); err != nil {
			return childRef{}, err
		}
	}
	for level := uint8(1); level <= t.height; level++ {
		if err := t.close(level); err != nil {
			return childRef{}, err
		}
	}
	return t.root, nil
}
