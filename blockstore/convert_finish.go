package blockstore

import (
	"context"
	"fmt"
	"time"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
)

// scrubGroups is how many tag blocks one checkpoint writes anew at the end.
const scrubGroups = 512

// finish, after the proof that no record is stale: overwrite the older slots
// of the tag blocks, drop the old key from the label and the journal, and give it back.
func (v *Converter) finish() (kept int, err error) {
	if err := v.s.rewriteTags(v.ctx); err != nil {
		return 0, err
	}
	if v.op == opNone {
		return 0, v.dropEpochs()
	}
	if v.op != opDecrypt {
		if err := v.s.wipeFree(v.ctx); err != nil {
			return 0, err
		}
	}
	err = v.s.backups.drop(v.ctx, v.waitsForBackup, func() error {
		v.setState("finishing")
		kept, err = v.dropKey()
		return err
	})
	return kept, err
}

// waitsForBackup says so in the progress: what a backup has copied names the old key.
func (v *Converter) waitsForBackup() { v.setState("waiting for a backup") }

// dropKey takes the old slot out of the label and the old key out of the journal.
func (v *Converter) dropKey() (kept int, err error) {
	s := v.s
	var from uint8
	var key dek.ID
	err = s.changeLabel(func(next *label) error {
		from = next.conv.from
		key = next.slots[from].key
		next.slots[from] = keySlot{}
		next.conv = conversion{}
		next.macSlot = next.writeSlot
		if len(next.journalKeys) == maxJournalKeys {
			return fmt.Errorf("blockstore: the journal needs %d keys already: %w", maxJournalKeys, fault.State)
		}
		if next.write().suite == None {
			next.journalKey = dek.ID{}
			next.journalKeys = append(next.journalKeys, dek.ID{})
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	s.ciphers.drop(from)
	if err := s.switchJournal(v.ctx, s.label.Load().journalKey); err != nil {
		return 0, err
	}
	req := checkpointRequest{discard: true, label: func(*label) {}} // the label in any case, without the old keys
	for {
		if err := s.settleAll(v.ctx, req); err != nil {
			return 0, err
		}
		req.label = nil
		if l := s.label.Load(); key == l.journalKey || !l.allowsJournalKey(key) {
			break
		}
		select {
		case <-v.ctx.Done():
			return 0, v.ctx.Err()
		case <-time.After(retryAfter):
		}
	}
	for _, g := range s.journal.Segments() {
		if g.Err == nil && g.Key == key && key != s.label.Load().journalKey {
			kept++
		}
	}
	return kept, nil
}

// rewriteTags writes every tag block anew, into its other slot.
func (s *Store) rewriteTags(ctx context.Context) error {
	var groups []uint64
	scrub := func() error {
		defer func() { groups = groups[:0] }()
		if len(groups) == 0 {
			return nil
		}
		return s.checkpoint(ctx, checkpointRequest{groups: groups})
	}
	err := s.eachGroup(ctx, func(g uint64, _ *metaBlock, err error) error {
		if err != nil {
			return err
		}
		if groups = append(groups, g); len(groups) == scrubGroups {
			return scrub()
		}
		return nil
	})
	if err != nil {
		return err
	}
	return scrub()
}
