package blockstore

// write is what a transaction makes of one block.
type write struct {
	kind  verKind
	page  []byte    // nil when spilled
	spill *spillRef // where an image that left memory is
}

// txState is what a transaction changed so far, also what replay rebuilds of
// one. Writes made before a trim that covers them are gone from writes.
type txState struct {
	writes map[uint64]write
	ranges []rangeHole // in order; seq unused
	size   int64
	memory int64  // bytes of images in memory
	redo   int64  // bytes of redo
	parts  uint64 // part records emitted or read
	emit   int    // ranges[:emit] are in parts already
	reseal bool
}

func newTxState(size int64) *txState { return &txState{writes: make(map[uint64]write), size: size} }

func (t *txState) empty(sizeBefore int64) bool {
	return len(t.writes) == 0 && len(t.ranges) == 0 && t.parts == 0 && t.size == sizeBefore
}

// find returns what the transaction itself made of a block.
func (t *txState) find(block uint64) (w write, hole, ok bool) {
	if w, ok := t.writes[block]; ok {
		return w, false, true
	}
	for _, r := range t.ranges {
		if r.covers(block) {
			return write{}, true, true
		}
	}
	return write{}, false, false
}

// set puts a write in, taking the place of an earlier one.
func (t *txState) set(block uint64, w write, free func(*spillRef)) {
	t.forget(block, free)
	t.writes[block] = w
	t.memory += int64(len(w.page))
}

func (t *txState) forget(block uint64, free func(*spillRef)) {
	old, ok := t.writes[block]
	if !ok {
		return
	}
	t.memory -= int64(len(old.page))
	if old.spill != nil {
		free(old.spill)
	}
	delete(t.writes, block)
}

// fewBlocks is up to how many blocks a trim is kept as versions of single
// blocks; ranges are searched one by one.
const fewBlocks = 64

// trim makes n blocks from first on holes.
func (t *txState) trim(first, n uint64, free func(*spillRef)) {
	if n <= fewBlocks {
		for b := first; b < first+n; b++ {
			t.set(b, write{kind: verHole}, free)
		}
		return
	}
	t.trimRange(first, n, free)
}

func (t *txState) trimRange(first, n uint64, free func(*spillRef)) {
	r := rangeHole{first: first, n: n}
	for b := range t.writes {
		if r.covers(b) {
			t.forget(b, free)
		}
	}
	t.ranges = append(t.ranges, r)
}

// drop gives back what the transaction spilled.
func (t *txState) drop(free func(*spillRef)) {
	for _, w := range t.writes {
		if w.spill != nil {
			free(w.spill)
		}
	}
	t.writes = nil
}
