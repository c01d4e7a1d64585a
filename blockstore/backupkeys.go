package blockstore

import (
	"fmt"
	"slices"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
)

// neededKeys are those of a label's slots, of its journal, and of the segments
// copied. A backup has room for 64: with more it would not name all that it cannot
// be restored without, and is refused.
func neededKeys(l *label, segments []dek.ID) ([]dek.ID, error) {
	keys := []dek.ID{}
	add := func(id dek.ID) {
		if !id.IsZero() && !slices.Contains(keys, id) {
			keys = append(keys, id)
		}
	}
	for i := range l.slots {
		add(l.slots[i].key)
	}
	add(l.journalKey)
	for _, id := range segments {
		add(id)
	}
	if len(keys) > maxBackupKeys {
		return nil, fault.Hint(fmt.Errorf("the journal was under too many keys while the backup ran: it would need %d keys, and has room to name %d: %w",
			len(keys), maxBackupKeys, fault.State), "back up again; while a backup runs do not change the journal's key again and again")
	}
	return keys, nil
}

// stillListed checks that what was copied first can be read with the label of the end.
func stillListed(first, last *label) error {
	for i := range first.slots {
		a, b := &first.slots[i], &last.slots[i]
		if a.state != slotLive {
			continue
		}
		ok := b.state == slotLive && a.key == b.key && a.suite == b.suite
		for _, e := range a.epochs {
			have := b.epoch(e.number)
			ok = ok && have != nil && have.salt == e.salt
		}
		if !ok {
			return fmt.Errorf("a key or epoch was dropped while the backup ran: %w", fault.State)
		}
	}
	return nil
}
