package blockstore

import (
	"fmt"
	"math"

	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/journal"
)

// SetRetention says how many journal segments that recovery no longer needs are
// kept for roll-forward from a backup, from now on and in later opens too: 0
// none, -1 all. They stay in the journal's folder when the volume is closed.
// Fewer than before are given up with the next checkpoint or clean close. Kept
// segments need the keys they are under, and plain ones hold plaintext.
func (s *Store) SetRetention(n int) error {
	if n < -1 || n > math.MaxInt32 {
		return fmt.Errorf("blockstore: %d segments to be kept: %w", n, fault.Usage)
	}
	if err := s.enterWrite(); err != nil {
		return err
	}
	defer s.gate.leave()
	err := s.changeLabel(func(next *label) error {
		next.retain = int32(n)
		return nil
	})
	if err != nil || s.opts.RetainSegments != 0 {
		return err
	}
	return s.journal.SetRetain(n)
}

// retain is how many segments this store keeps.
func (s *Store) retain(l *label) int {
	if s.opts.RetainSegments != 0 {
		return s.opts.RetainSegments
	}
	return int(l.retain)
}

// stateOf says of a segment found in the folder, which cannot know itself, whether recovery needs it.
func (l *label) stateOf(g *journal.SegmentInfo) journal.SegmentState {
	if g.State != journal.StateUnproven || UUID(g.Stream) != l.stream {
		return g.State
	}
	if g.Number < l.redo.Segment || l.clean && g.Number == l.redo.Segment {
		return journal.StateKept
	}
	return g.State
}
