package blockstore

import (
	"context"

	"github.com/cofferdb/coffer/dek"
)

// goesBack reports whether c asks to turn the unfinished conversion around, and
// fills in what it left out.
func (c *Conversion) goesBack(l *label) bool {
	if !c.Back || l.conv.op == opNone {
		return false
	}
	from := &l.slots[l.conv.from]
	suite := c.Suite
	if from.suite != None { // towards plaintext only by name
		setDefault(&suite, from.suite)
	}
	if suite != from.suite || suite != None && c.Key != from.key {
		return false
	}
	c.Suite, c.Key = from.suite, from.key
	return true
}

// turnAround makes where an unfinished conversion comes from its target: the
// blocks that were re-sealed are now the ones to be. One label says so.
func (s *Store) turnAround(ctx context.Context, key dek.ID) error {
	l := s.label.Load()
	from, to := l.conv.to, l.conv.from
	op := opRekey
	switch None {
	case l.slots[to].suite:
		op = opDecrypt
	case l.slots[from].suite:
		op = opEncrypt
	}
	var err error
	if op != opDecrypt && l.journalKey == l.slots[from].key && l.journalKey != key {
		err = s.setJournalKey(ctx, key)
	} else {
		err = s.switchJournal(ctx, l.journalKey)
	}
	if err != nil {
		return err
	}
	return s.changeLabel(func(next *label) error {
		next.conv = conversion{op, from, to}
		next.macSlot = to
		if op == opDecrypt {
			next.macSlot = from
		}
		if next.writeSlot != to {
			next.writeSlot = to
			s.sealsUsed = next.write().current().reserved
		}
		return nil
	})
}
