package blockstore

import (
	"errors"
	"fmt"

	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/journal"
)

// replay rebuilds the overlay from the journal.
type replay struct {
	s         *Store
	l         *label
	recovered *journal.Recovered // nil where no journal was needed
	end       journal.Position
	discarded bool
	pending   *txState  // of a transaction whose commit has not been seen
	anchor    *[32]byte // chain value at the expected anchor's sequence, where a frame shows it
}

// recover reads what the journal holds after the label's redo position. It writes nothing.
func (s *Store) recover(l *label) (*replay, error) {
	r := &replay{s: s, l: l, end: l.redo}
	o := s.journalOptions(l)
	if l.clean {
		on, err := journal.GoesOn(o, l.redo)
		if err != nil {
			return nil, fmt.Errorf("blockstore: look at the journal: %w", err)
		}
		if on && !s.opts.DiscardJournal {
			return nil, fault.Hint(ErrJournalGoesOn, discardHint)
		}
		r.discarded = on
		return r, nil
	}
	if s.opts.DiscardJournal {
		r.discarded = true
		return r, nil
	}
	floor := journal.Floor{Position: l.redo, Generation: l.generation, DurableThrough: l.durableThrough,
		Keys: l.journalKeys, MustReach: l.mustReach, Sealed: l.slots[l.macSlot].suite != None}
	rec, err := journal.Recover(s.ctx, o, floor, r.apply)
	if err != nil {
		if errors.Is(err, journal.ErrMissing) {
			err = fmt.Errorf("%w: %w", ErrJournalMissing, err)
		} else {
			err = fmt.Errorf("blockstore: recover: %w", err)
		}
		return nil, fault.Hint(err, discardHint)
	}
	r.recovered, r.end = rec, rec.End
	s.ended, s.tail = rec.End, rec.Tail
	if rec.Tail != nil {
		s.opts.Logger.Info("coffer: the journal's tail was cut, as after a power failure", "volume", l.volume.String(),
			"segment", rec.Tail.Segment, "offset", rec.Tail.Offset, "bytes", rec.Tail.Bytes)
	}
	return r, nil
}

// apply takes one accepted frame.
func (r *replay) apply(f journal.Frame) error {
	if !r.l.hasSession(UUID(f.Session)) {
		return fmt.Errorf("blockstore: frame %d is of a session the label does not list: %w", f.Seq, fault.Tampered)
	}
	if a := r.s.opts.ExpectAnchor; a != nil && a.Seq == f.Seq {
		chain := f.Chain
		r.anchor = &chain
	}
	rec, err := parseRedo(f.Payload, int(r.s.lay.blockSize))
	if err != nil {
		return fmt.Errorf("frame %d: %w", f.Seq, err)
	}
	if rec.first {
		r.drop()
	}
	if r.pending == nil {
		if !rec.first {
			return fmt.Errorf("blockstore: frame %d goes on with a transaction that has no beginning: %w", f.Seq, fault.Damaged)
		}
		r.pending = newTxState(r.s.over.sizeAt(latest))
	}
	t := r.pending
	t.redo += redoCost(len(f.Payload))
	for _, op := range rec.ops {
		if err := r.op(t, op); err != nil {
			return err
		}
	}
	if !rec.commit {
		t.parts++
		return nil
	}
	if rec.parts != t.parts {
		return fmt.Errorf("blockstore: commit in frame %d binds %d records, %d are there: %w", f.Seq, rec.parts, t.parts, fault.Damaged)
	}
	r.s.over.install(f.Seq, t)
	r.pending = nil
	return nil
}

func (r *replay) op(t *txState, op redoOp) error {
	free := r.s.spill.release
	switch op.kind {
	case opImage:
		t.set(op.a, write{kind: verPage, page: append([]byte(nil), op.data...)}, free)
	case opHole:
		if op.b == 1 {
			t.set(op.a, write{kind: verHole}, free)
		} else {
			t.trimRange(op.a, op.b, free) // as a range: what a shrink drops has no tag block afterwards
		}
	case opLost:
		t.set(op.a, write{kind: verLost}, free)
	case opResize:
		t.size = int64(op.a)
	}
	if t.memory <= r.s.opts.Tune.TxMemory {
		return nil
	}
	for b, w := range t.writes {
		if w.page == nil {
			continue
		}
		ref, err := r.s.spill.put(w.page)
		if err != nil {
			return err
		}
		t.memory -= int64(len(w.page))
		t.writes[b] = write{kind: verPage, spill: ref}
	}
	return nil
}

// drop forgets a transaction that never committed.
func (r *replay) drop() {
	if r.pending != nil {
		r.pending.drop(r.s.spill.release)
		r.pending = nil
	}
}
