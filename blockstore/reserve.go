package blockstore

import (
	"fmt"

	"github.com/cofferdb/coffer/internal/fault"
)

// reserve makes sure that the volume file has space for blocks written for the
// first time and for the metadata over them, so that a checkpoint cannot fail
// for want of it. The writer lock is held.
func (s *Store) reserve(st *txState) error {
	if err := s.readable(st); err != nil {
		return err
	}
	return s.reserveBlocks(sortedBlocks(st.writes), func(b uint64) (bool, error) {
		if st.writes[b].page == nil {
			return true, nil
		}
		return s.allocated(b)
	})
}

// reserveBlocks reserves the space of the blocks, in order, that have none yet by allocated.
func (s *Store) reserveBlocks(blocks []uint64, allocated func(b uint64) (bool, error)) error {
	var from, to int64 // the run of bytes collected so far
	for _, b := range blocks {
		have, err := allocated(b)
		if err != nil {
			return err
		}
		if have {
			continue
		}
		off := s.lay.block(b)
		if off != to {
			if err := s.allocate(from, to); err != nil {
				return err
			}
			from = off
		}
		to = off + s.lay.blockSize
	}
	return s.allocate(from, to)
}

// reserveReplayed reserves again what recovered commits need: a power cut may
// have taken back reservations that no sync had covered. It changes no byte of
// the volume, so a refusal for want of space leaves everything as it was.
func (s *Store) reserveReplayed() error {
	err := s.reserveBlocks(s.over.blocksUpTo(0, latest), func(b uint64) (bool, error) {
		if v, hole := s.over.find(b, latest); hole || v == nil || v.kind != verPage {
			return true, nil
		}
		return false, s.allocateMeta(b / perGroup)
	})
	if err != nil {
		return fault.Hint(fmt.Errorf("blockstore: space for what the journal holds: %w", err),
			"free space on the disk and open the volume again, or open it read-only; nothing is lost")
	}
	return nil
}

// readable refuses a transaction that a checkpoint could not bring to its
// place: one that changes single records of a tag block that cannot be read.
func (s *Store) readable(st *txState) error {
	check := func(b uint64) error {
		if _, err := s.meta.get(metaKey{0, b / perGroup}); err != nil {
			return &BlockError{"write", b, err}
		}
		return nil
	}
	for b, w := range st.writes {
		if w.kind == verPage {
			continue // allocated looks at it
		}
		if err := check(b); err != nil {
			return err
		}
	}
	for _, r := range st.ranges {
		if end := r.first + r.n; end%perGroup != 0 {
			if err := check(end - 1); err != nil {
				return err
			}
		}
		if r.first%perGroup != 0 {
			if err := check(r.first); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Store) allocate(from, to int64) error {
	if from == to {
		return nil
	}
	if err := s.file.Allocate(from, to-from); err != nil {
		return fault.Hint(fmt.Errorf("blockstore: reserve space for %d bytes: %w", to-from, err), "free space on the disk; nothing was committed")
	}
	return nil
}

// allocated reports whether block b has its space. Where nothing in its group
// was ever written it reserves the group's metadata.
func (s *Store) allocated(b uint64) (bool, error) {
	s.mu.RLock()
	v, _ := s.over.find(b, latest)
	s.mu.RUnlock()
	if v != nil && v.kind == verPage {
		return true, nil // looked at when that was written
	}
	g := b / perGroup
	m, err := s.meta.get(metaKey{0, g})
	if err != nil {
		return false, &BlockError{"write", b, err}
	}
	if m == nil {
		return false, s.allocateMeta(g)
	}
	r, err := m.record(int(b % perGroup))
	if err != nil {
		return false, &BlockError{"write", b, err}
	}
	return r.kind == recordData, nil
}

func (s *Store) allocateMeta(g uint64) error {
	if s.metaSpace == nil {
		s.metaSpace = make(map[metaKey]struct{})
	}
	for level := uint8(0); level <= maxLevel; level++ {
		k := metaKey{level, g / span[level]}
		if _, ok := s.metaSpace[k]; ok {
			continue
		}
		off := s.lay.pair(k)
		if err := s.allocate(off, off+pairSize); err != nil {
			return err
		}
		s.metaSpace[k] = struct{}{}
	}
	return nil
}
