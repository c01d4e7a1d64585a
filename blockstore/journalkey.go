package blockstore

import (
	"context"
	"fmt"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
)

// SwitchJournal closes the current journal segment and opens the next, under
// the journal key of this moment.
func (s *Store) SwitchJournal(ctx context.Context) error {
	if err := s.enterWrite(); err != nil {
		return err
	}
	defer s.gate.leave()
	return s.switchJournal(ctx, s.label.Load().journalKey)
}

// SetJournalKey makes another activated key the journal key and switches. The
// old key is needed until the segments under it are: see [Info].
func (s *Store) SetJournalKey(ctx context.Context, id dek.ID) error {
	if err := s.enterWrite(); err != nil {
		return err
	}
	defer s.gate.leave()
	if id.IsZero() {
		return fmt.Errorf("blockstore: the journal of an encrypted volume is never plain: %w", fault.Usage)
	}
	if l := s.label.Load(); l.conv.op != opNone && l.slots[l.conv.from].key == id {
		return fmt.Errorf("blockstore: the volume is being converted away from key %v: %w", id, s.conversionError(l, true))
	}
	return s.setJournalKey(ctx, id)
}

func (s *Store) enterWrite() error {
	if err := s.usable(); err != nil {
		return err
	}
	if s.insideWriter() {
		return ErrNested
	}
	return s.gate.enter()
}

// setJournalKey names the key in the label before a segment is under it.
func (s *Store) setJournalKey(ctx context.Context, id dek.ID) error {
	if !id.IsZero() {
		if err := withKey(s.keys, id, func(*dek.Key) error { return nil }); err != nil {
			return err
		}
	}
	err := s.changeLabel(func(next *label) error {
		next.journalKey = id
		if next.allowsJournalKey(id) {
			return nil
		}
		if len(next.journalKeys) == maxJournalKeys {
			return fault.Hint(fmt.Errorf("blockstore: the journal needs %d keys already: %w", maxJournalKeys, fault.State), "run a checkpoint first")
		}
		next.journalKeys = append(next.journalKeys, id)
		return nil
	})
	if err != nil {
		return err
	}
	return s.switchJournal(ctx, id)
}

func (s *Store) switchJournal(ctx context.Context, id dek.ID) error {
	err := s.journal.Switch(ctx, id)
	if err == nil {
		return nil
	}
	err = fmt.Errorf("blockstore: switch the journal: %w", err)
	if s.journal.Err() == nil { // nothing was switched: the disk is full, the key may not be used, or ctx has ended
		return err
	}
	return s.fail(err)
}

// changeLabel writes a changed label, between checkpoints.
func (s *Store) changeLabel(change func(next *label) error) error {
	s.ckptMu.Lock()
	defer s.ckptMu.Unlock()
	if err := s.usable(); err != nil {
		return err
	}
	next := s.label.Load().clone()
	if err := change(next); err != nil {
		return err
	}
	return s.writeLabel(next)
}

// pruneJournalKeys keeps the keys of segments that recovery from next.redo reads, and the current one.
func (s *Store) pruneJournalKeys(next *label) {
	if s.journal == nil { // before a session begins
		return
	}
	keys := []dek.ID{next.journalKey}
	for _, g := range s.journal.Segments() {
		if next.clean || g.Number < next.redo.Segment || g.Err != nil {
			continue
		}
		known := false
		for _, k := range keys {
			known = known || k == g.Key
		}
		if !known && next.allowsJournalKey(g.Key) {
			keys = append(keys, g.Key)
		}
	}
	next.journalKeys = keys
}
