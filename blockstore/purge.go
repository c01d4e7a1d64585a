package blockstore

import (
	"context"
	"fmt"

	"github.com/cofferdb/coffer/internal/fault"
)

// Purge overwrites what is left in the files of former keys and contents: the
// older slot of every tag block, everything that lies in the volume where no
// record says that there is data, both copies of the label, and, until the store
// is closed, every journal file before it is removed. The volume goes on
// meanwhile. Segments kept for roll-forward stay as they are. A conversion that is
// not over, and a volume under suite none, are refused ([ErrState]).
//
// It reaches what a file system overwrites in place. What a flash disk, a file
// system that copies on write, a snapshot or a backup keeps is out of reach.
func (s *Store) Purge(ctx context.Context) error {
	if err := s.enterWrite(); err != nil {
		return err
	}
	defer s.gate.leave()
	l := s.label.Load()
	if l.conv.op != opNone {
		s.convMu.Lock()
		running := s.conv != nil && !s.conv.finished()
		s.convMu.Unlock()
		return fault.Hint(fmt.Errorf("blockstore: purge: %w", s.conversionError(l, running)), "finish it, or turn it around, first")
	}
	if l.write().suite == None {
		return fault.Hint(fmt.Errorf("blockstore: purge a volume under suite none: %w", fault.State), "encrypt it first")
	}
	s.journal.Wipe()
	if err := s.switchJournal(ctx, l.journalKey); err != nil {
		return err
	}
	if err := s.settleAll(ctx, checkpointRequest{discard: true, label: func(*label) {}}); err != nil {
		return err
	}
	if err := s.rewriteTags(ctx); err != nil {
		return err
	}
	if err := s.wipeFree(ctx); err != nil {
		return err
	}
	return s.settleAll(ctx, checkpointRequest{discard: true, label: func(*label) {}})
}
