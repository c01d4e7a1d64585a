package blockstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/fsx"
	"github.com/cofferdb/coffer/internal/seal"
)

// keyless is a verification without keys.
type keyless struct {
	file fsx.File
	l    *label
	lay  layout
	tree *metaTree
	r    *Report
}

func verifyKeyless(ctx context.Context, path string, o *Options, v VerifyOptions) (r *Report, err error) {
	opts, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	path = fsx.Resolve(opts.FS, path)
	file, err := openLocked(opts.FS, path, true)
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
	k := &keyless{file: file, l: l, lay: l.layout(), tree: newMetaTree(file, l), r: &Report{OK: true, Problems: []Problem{}, Clean: l.clean, Blocks: l.blocks()}}
	for i, p := range copies.problems() {
		if p != "" {
			k.r.add(Problem{Kind: "label", err: fmt.Errorf("copy %d: %s: %w", i+1, p, fault.Damaged)})
		}
	}
	if err := k.r.registry(file, l); err != nil {
		return nil, err
	}
	if err := k.groups(ctx, v); err != nil {
		return nil, err
	}
	return k.r, scrubJournal(ctx, k.r, opts.FS, path, l)
}

func (k *keyless) groups(ctx context.Context, v VerifyOptions) error {
	groups := groupsFor(k.r.Blocks)
	for level := uint8(1); level <= k.l.height; level++ {
		if err := k.tree.eachAbove(level, groups, func(key metaKey) error { return k.meta(key, "tree") }); err != nil {
			return err
		}
	}
	buf := make([]byte, readBatch*k.lay.blockSize)
	walk := &groupWalk{tree: k.tree, damaged: true, end: groups, skipped: k.skipped}
	for g, ok := walk.take(); ok; g, ok = walk.take() {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := k.group(g, buf); err != nil {
			return err
		}
		if v.Progress != nil {
			v.Progress(min((g+1)*perGroup, k.r.Blocks), k.r.Blocks)
		}
	}
	return nil
}

// skipped counts the blocks of groups that were never written.
func (k *keyless) skipped(first, n uint64) {
	if m, err := k.tree.get(metaKey{0, first}); m == nil && err == nil {
		k.r.Holes += min((first+n)*perGroup, k.r.Blocks) - first*perGroup
	}
}

func (k *keyless) meta(key metaKey, kind string) error {
	err := k.tree.fresh(key)
	if err == nil || !errors.Is(err, fault.Tampered) && !errors.Is(err, fault.Damaged) {
		return err
	}
	k.r.add(metaProblem(key, kind, k.r.Blocks, err))
	return nil
}

func (k *keyless) group(g uint64, buf []byte) error {
	if err := k.meta(metaKey{0, g}, "tag"); err != nil {
		return err
	}
	end := min((g+1)*perGroup, k.r.Blocks)
	m, err := k.tree.get(metaKey{0, g})
	if err != nil {
		if errors.Is(err, fault.Tampered) || errors.Is(err, fault.Damaged) {
			return nil // reported above, at the highest block that is wrong
		}
		return err
	}
	if m == nil {
		k.r.Holes += end - g*perGroup
		return nil
	}
	for b := g * perGroup; b < end; b++ {
		if err := k.block(b, m, buf[:k.lay.blockSize]); err != nil {
			return err
		}
	}
	return nil
}

func (k *keyless) block(b uint64, m *metaBlock, buf []byte) error {
	rec, err := m.record(int(b % perGroup))
	if err != nil {
		k.r.add(Problem{Kind: "tag", Block: b, Blocks: 1, err: err})
		return nil
	}
	switch rec.kind {
	case recordNever, recordHole:
		k.r.Holes++
		return nil
	case recordLost:
		k.r.Lost++
		return nil
	}
	k.r.Checked++
	err = readFull(k.file, buf, k.lay.block(b))
	if err == nil && seal.Checksum(buf) != rec.crc {
		err = fmt.Errorf("checksum of the ciphertext is wrong: %w", fault.Damaged)
	} else if err != nil && !errors.Is(err, fault.Damaged) {
		return &BlockError{"verify", b, err}
	}
	if err != nil {
		k.r.add(Problem{Kind: "block", Block: b, Blocks: 1, Unsettled: !k.l.clean, err: &BlockError{"verify", b, err}})
	}
	return nil
}
