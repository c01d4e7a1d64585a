package blockstore

import (
	"fmt"
	"slices"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
)

// neededKeys are those of a label's slots, of its journal, and of the segments copied.
func neededKeys(l *label, segments []dek.ID) []dek.ID {
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
	return keys[:min(len(keys), maxBackupKeys)]
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
