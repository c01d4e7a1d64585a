package blockstore

import (
	"fmt"

	"github.com/cofferdb/coffer/internal/fault"
)

// Extent says what lies at off: how many bytes from there on, up to n and up to
// the end of the volume, are a hole, which reads as zeros, or are none. It looks
// at no data and needs no key but that which the store was opened with. What is
// data may be zeros all the same, and two calls may name one extent in parts. It
// sees every write before it. An off at the end or behind it is [ErrUsage].
func (f *File) Extent(off, n int64) (length int64, hole bool, err error) {
	if err := f.s.gate.enter(); err != nil {
		return 0, false, err
	}
	defer f.s.gate.leave()
	snap := f.s.acquireHead()
	defer f.s.release(snap)
	f.s.mu.RLock()
	size := f.s.over.sizeAt(snap.seq)
	f.s.mu.RUnlock()
	if off < 0 || n <= 0 || off >= size {
		return 0, false, fmt.Errorf("blockstore: extent at offset %d, %d bytes, of %d: %w", off, n, size, fault.Usage)
	}
	stop := off + min(n, size-off)
	bs := f.s.lay.blockSize
	b, end := uint64(off/bs), f.s.lay.blocks(stop)
	hole, b, err = f.s.extent(snap.seq, b, end)
	if err != nil {
		return 0, false, err
	}
	return min(int64(b)*bs, stop) - off, hole, nil
}

// extent returns what block b is as of snapshot snap, and the block up to which
// the same was found, at most end.
func (s *Store) extent(snap, b, end uint64) (hole bool, to uint64, err error) {
	for first := b; b < end; {
		if n := s.absentFrom(b, end); n > 0 {
			if b > first && !hole {
				return hole, b, nil
			}
			hole, b = true, b+n
			continue
		}
		kinds, err := s.holesIn(snap, b, min(end, (b/perGroup+1)*perGroup))
		if err != nil {
			return false, 0, err
		}
		for _, h := range kinds {
			if b > first && h != hole {
				return hole, b, nil
			}
			hole, b = h, b+1
		}
	}
	return hole, b, nil
}

// absentFrom is holesFrom, which looks through all that is in memory, where it may find something.
func (s *Store) absentFrom(b, end uint64) uint64 {
	if s.meta.absent(b/perGroup, 0, false) == 0 {
		return 0
	}
	return s.holesFrom(b, end)
}

// holesIn says which blocks from first up to end, of one group, are holes as of
// snapshot snap. The order of the looks is that of readImages.
func (s *Store) holesIn(snap, first, end uint64) ([]bool, error) {
	l := s.latch(first)
	l.RLock()
	defer l.RUnlock()
	kinds := make([]verKind, end-first)
	s.mu.RLock()
	for i := range kinds {
		v, hole := s.over.find(first+uint64(i), snap)
		switch {
		case v != nil:
			kinds[i] = v.kind
		case hole:
			kinds[i] = verHole
		}
	}
	s.mu.RUnlock()
	m, err := s.meta.get(metaKey{0, first / perGroup})
	if err != nil {
		return nil, &BlockError{"read", first, err}
	}
	holes := make([]bool, len(kinds))
	for i, k := range kinds {
		switch {
		case k != 0:
			holes[i] = k == verHole
		case m == nil:
			holes[i] = true
		default:
			r, err := m.record(int((first + uint64(i)) % perGroup))
			if err != nil {
				return nil, &BlockError{"read", first + uint64(i), err}
			}
			holes[i] = r.kind == recordNever || r.kind == recordHole
		}
	}
	return holes, nil
}
