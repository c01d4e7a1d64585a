package blockstore

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/fsx"
)

// metaCacheBlocks bounds the clean metadata blocks kept in memory: 8 KiB each.
const metaCacheBlocks = 2048

// metaTree reads tag and tree blocks through the Merkle tree whose root the
// label holds. Blocks it returns are immutable.
//
// Lock order: metaTree.mu before metaTree.cacheMu.
type metaTree struct {
	file   fsx.File
	lay    layout
	volume UUID

	// mu is held shared for a whole walk and exclusively when a new root is
	// published, so that no walker looks into a slot that the next checkpoint
	// may write.
	mu     sync.RWMutex
	root   childRef
	height uint8

	cacheMu sync.Mutex // guards cache
	cache   *lru[metaKey, *metaBlock]
}

func newMetaTree(file fsx.File, l *label) *metaTree {
	return &metaTree{file: file, lay: l.layout(), volume: l.volume, root: l.root, height: l.height,
		cache: newLRU[metaKey, *metaBlock](metaCacheBlocks)}
}

// get returns a metadata block as of the published root, nil where nothing
// below it was ever written.
func (t *metaTree) get(k metaKey) (*metaBlock, error) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.walk(k)
}

// record returns the record of a data block as of the published root.
func (t *metaTree) record(block uint64) (record, error) {
	m, err := t.get(metaKey{0, block / perGroup})
	if m == nil || err != nil {
		return record{}, err
	}
	return m.record(int(block % perGroup))
}

func (t *metaTree) walk(k metaKey) (*metaBlock, error) {
	if k.level > t.height || k.index*span[k.level] >= span[t.height] {
		return nil, nil
	}
	if m, ok := t.cached(k); ok {
		return m, nil
	}
	ref, err := t.ref(k)
	if err != nil || !ref.present {
		return nil, err
	}
	m, err := t.load(k, ref)
	if err != nil {
		return nil, err
	}
	t.cacheMu.Lock()
	t.cache.put(k, m)
	t.cacheMu.Unlock()
	return m, nil
}

func (t *metaTree) cached(k metaKey) (*metaBlock, bool) {
	t.cacheMu.Lock()
	defer t.cacheMu.Unlock()
	return t.cache.get(k)
}

// ref returns what k's parent, or the label, says of it.
func (t *metaTree) ref(k metaKey) (childRef, error) {
	if k.level == t.height {
		return t.root, nil
	}
	parent, err := t.walk(metaKey{k.level + 1, k.index / fanOut})
	if err != nil || parent == nil {
		return childRef{}, err
	}
	return parent.entry(int(k.index % fanOut))
}

// named returns what the published tree says of a metadata block, without reading it.
func (t *metaTree) named(k metaKey) (childRef, error) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if k.level > t.height || k.index*span[k.level] >= span[t.height] {
		return childRef{}, nil
	}
	return t.ref(k)
}

func (t *metaTree) load(k metaKey, ref childRef) (*metaBlock, error) {
	data := make([]byte, metaSize)
	if err := readFull(t.file, data, t.lay.slot(k, ref.slot)); err != nil {
		return nil, fmt.Errorf("blockstore: read %v: %w", k, err)
	}
	if err := checkMeta(k, t.volume, ref, data); err != nil {
		return nil, err
	}
	return &metaBlock{k, ref.slot, data}, nil
}

var errCutShort = errors.New("the file is cut short")

// readFull reads all of b; a file that ends before is cut short.
func readFull(f io.ReaderAt, b []byte, off int64) error {
	n, err := f.ReadAt(b, off)
	if n == len(b) {
		return nil
	}
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: %d of %d bytes at offset %d: %w", errCutShort, n, len(b), off,
			fault.Both(fault.Tampered, fault.Damaged))
	}
	return err
}

// metaEdit collects the metadata blocks that a checkpoint changes. Each is
// written exactly once, to the slot that the durable label does not name.
type metaEdit struct {
	tree  *metaTree
	dirty map[metaKey]*metaBlock
}

func (t *metaTree) edit() *metaEdit { return &metaEdit{t, make(map[metaKey]*metaBlock)} }

// block returns a copy of a metadata block to change. With create false a
// block that was never written is nil.
func (e *metaEdit) block(k metaKey, create bool) (*metaBlock, error) {
	if m := e.dirty[k]; m != nil {
		return m, nil
	}
	m, err := e.tree.get(k)
	switch {
	case err != nil:
		return nil, err
	case m != nil:
		m = m.clone()
		m.slot ^= 1
	case !create:
		return nil, nil
	default:
		m = newMetaBlock(k, e.tree.volume)
	}
	e.dirty[k] = m
	return m, nil
}

// blank returns an empty block to take the place of what is there, which is not
// looked at; nil where nothing is.
func (e *metaEdit) blank(k metaKey) (*metaBlock, error) {
	if m := e.dirty[k]; m != nil {
		clear(m.data[offMetaBody:])
		return m, nil
	}
	t := e.tree
	t.mu.RLock()
	defer t.mu.RUnlock()
	if k.level > t.height || k.index*span[k.level] >= span[t.height] {
		return nil, nil
	}
	ref, err := t.ref(k)
	if err != nil || !ref.present {
		return nil, err
	}
	m := newMetaBlock(k, t.volume)
	m.slot = ref.slot ^ 1
	e.dirty[k] = m
	return m, nil
}

// flush writes every changed block below and including the root at height,
// bottom up, and returns the new root.
func (e *metaEdit) flush(height uint8, generation uint64) (childRef, error) {
	if err := e.raise(height); err != nil {
		return childRef{}, err
	}
	root := e.tree.root
	for level := uint8(0); level <= height; level++ {
		for _, k := range e.keys(level) {
			ref, err := e.writeBlock(e.dirty[k], generation)
			if err != nil {
				return childRef{}, err
			}
			if level == height {
				root = ref
				continue
			}
			parent, err := e.block(metaKey{level + 1, k.index / fanOut}, true)
			if err != nil {
				return childRef{}, err
			}
			parent.setEntry(int(k.index%fanOut), ref)
		}
	}
	return root, nil
}

// keys lists the changed blocks of a level in order.
func (e *metaEdit) keys(level uint8) []metaKey {
	var ks []metaKey
	for k := range e.dirty {
		if k.level == level {
			ks = append(ks, k)
		}
	}
	slices.SortFunc(ks, func(a, b metaKey) int { return cmp.Compare(a.index, b.index) })
	return ks
}

// raise puts new roots over the old one until the tree has the height asked for.
func (e *metaEdit) raise(height uint8) error {
	t := e.tree
	for level := t.height; level < height; level++ {
		up, err := e.block(metaKey{level + 1, 0}, true)
		if err != nil {
			return err
		}
		if level == t.height {
			up.setEntry(0, t.root) // replaced in flush where the old root changes too
		}
	}
	return nil
}

// writeBlock writes one block to its slot. An empty block is not written: its parent says none.
func (e *metaEdit) writeBlock(m *metaBlock, generation uint64) (childRef, error) {
	if m.empty() {
		return childRef{}, nil
	}
	m.finish(generation)
	if _, err := e.tree.file.WriteAt(m.data, e.tree.lay.slot(m.key, m.slot)); err != nil {
		return childRef{}, fmt.Errorf("blockstore: write %v: %w", m.key, err)
	}
	return childRef{true, m.slot, m.hash()}, nil
}

// publish makes the edit what readers see. The label that names root is durable.
func (e *metaEdit) publish(root childRef, height uint8) {
	t := e.tree
	t.mu.Lock()
	defer t.mu.Unlock()
	t.cacheMu.Lock()
	defer t.cacheMu.Unlock()
	t.root, t.height = root, height
	for k, m := range e.dirty {
		if m.empty() {
			t.cache.drop(k)
			continue
		}
		t.cache.put(k, m)
	}
}
