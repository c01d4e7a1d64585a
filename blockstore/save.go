package blockstore

import (
	"errors"

	"github.com/cofferdb/coffer/internal/fault"
)

// saveImages keeps, for snapshots before the plan's position, what the
// checkpoint is about to overwrite or turn into holes: as the oldest version of
// each block, in the spill file. It runs before anything is written in place,
// so that a full disk only holds the checkpoint back.
func (s *Store) saveImages(p *plan) error {
	for _, b := range p.blocks {
		if err := s.saveImage(b, p.oldest); err != nil {
			return err
		}
	}
	for _, h := range p.holes {
		if err := s.saveUnder(h, p.oldest); err != nil {
			return err
		}
	}
	return nil
}

// saveUnder saves the images under a range that becomes holes.
func (s *Store) saveUnder(h rangeHole, oldest uint64) error {
	for g := h.first / perGroup; g <= (h.first+h.n-1)/perGroup; g++ {
		if skip := s.meta.absent(g, 0, false); skip > 0 {
			g += skip - 1
			continue
		}
		first, end := max(h.first, g*perGroup), min(h.first+h.n, (g+1)*perGroup)
		for b := first; b < end; b++ {
			if err := s.saveImage(b, oldest); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Store) saveImage(b, oldest uint64) error {
	s.mu.RLock()
	_, hole := s.over.find(b, oldest)
	tail := s.over.chains[b].tail()
	s.mu.RUnlock()
	if tail != nil && tail.seq <= oldest {
		return nil
	}
	base, err := s.baseVersion(b, hole)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over.lingering[b] = struct{}{}
	if tail = s.over.chains[b].tail(); tail == nil {
		s.over.chains[b] = base
	} else {
		tail.older = base
	}
	return nil
}

// baseVersion reads what lies in place into the spill file. A block that
// cannot be read leaves the snapshot's reader with the loss, nobody else.
func (s *Store) baseVersion(b uint64, hole bool) (*version, error) {
	r, err := s.meta.record(b)
	if err != nil && !isBad(err) {
		return nil, err
	}
	switch {
	case err == nil && (hole || r.kind == recordNever || r.kind == recordHole):
		return &version{kind: verHole}, nil
	case err != nil || r.kind == recordLost:
		return &version{kind: verLost}, nil
	}
	batch := []placed{{block: b, rec: r, dst: make([]byte, s.lay.blockSize)}}
	s.openPlaced(batch, false)
	if err := batch[0].err; err != nil {
		if !isBad(err) {
			return nil, err
		}
		s.opts.Logger.Warn("coffer: a snapshot loses a damaged block", "volume", s.volume.String(), "block", b, "cause", err)
		return &version{kind: verLost}, nil
	}
	ref, err := s.spill.put(batch[0].dst)
	if err != nil {
		return nil, err
	}
	return &version{kind: verPage, spill: ref}, nil
}

// isBad reports whether an error says that what was read is not what was
// written, as opposed to that it could not be read.
func isBad(err error) bool { return errors.Is(err, fault.Tampered) || errors.Is(err, fault.Damaged) }
