package blockstore

import (
	"errors"
	"sync"

	"github.com/cofferdb/coffer/internal/fault"
)

// groupWalk hands out the groups of a volume to several goroutines, in order.
// What is absent from the tree is passed over in one step, so that the work
// goes by what was written and not by the length, which may be anything.
type groupWalk struct {
	tree    *metaTree
	damaged bool                  // pass over, too, what lies below a tree block that cannot be read
	skipped func(first, n uint64) // told of groups passed over; may be nil

	mu   sync.Mutex // guards next
	next uint64
	end  uint64
}

// take returns the next group to look at; ok is false at the end.
func (w *groupWalk) take() (g uint64, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.next < w.end {
		n := min(w.tree.absent(w.next, 0, w.damaged), w.end-w.next)
		if n == 0 {
			w.next++
			return w.next - 1, true
		}
		if w.skipped != nil {
			w.skipped(w.next, n)
		}
		w.next += n
	}
	return 0, false
}

// absent returns how many groups from g on have nothing in the tree because a
// block over them, at a level above the one given, was never written; with
// damaged also because it cannot be read. 0 says that g has to be looked at.
func (t *metaTree) absent(g uint64, above uint8, damaged bool) uint64 {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if g >= span[t.height] {
		return maxGroups
	}
	for level := t.height; level > above; level-- {
		m, err := t.walk(metaKey{level, g / span[level]})
		if err != nil && !(damaged && (errors.Is(err, fault.Tampered) || errors.Is(err, fault.Damaged))) {
			return 0
		}
		if m == nil {
			return span[level] - g%span[level]
		}
	}
	return 0
}

// eachAbove calls fn for every tree block of a level that is there or should be, over the groups up to groups.
func (t *metaTree) eachAbove(level uint8, groups uint64, fn func(k metaKey) error) error {
	for g := uint64(0); g < groups; {
		if n := t.absent(g, level, true); n > 0 {
			g += min(n, groups-g)
			continue
		}
		if err := fn(metaKey{level, g / span[level]}); err != nil {
			return err
		}
		g += span[level]
	}
	return nil
}
