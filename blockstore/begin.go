package blockstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/journal"
)

// begin makes durable what was accepted, in the order of FORMAT.md "Opening":
// the journal's accepted end, the label with a new session, a new segment.
func (s *Store) begin(l *label, rec *replay) error {
	s.session = NewUUID()
	l = l.clone()
	l.stepBack()
	s.sealsUsed = l.write().current().reserved // what a process that died had reserved counts as used
	if rec.recovered == nil {
		return s.beginFresh(l, rec)
	}
	if err := s.reserveReplayed(); err != nil {
		return err
	}
	if err := rec.recovered.Settle(s.ctx); err != nil {
		return fmt.Errorf("blockstore: make the journal durable: %w", err)
	}
	if err := s.keepLineage(l, rec); err != nil {
		return err
	}
	next := s.nextSession(rec)
	next.mustReach = max(next.mustReach, rec.end.Segment)
	next.durableThrough = max(next.durableThrough, rec.end.Seq)
	if err := s.writeLabel(next); err != nil {
		return err
	}
	j, err := rec.recovered.Continue(next.journalKey, next.generation, s.session)
	if err != nil {
		return fmt.Errorf("blockstore: begin a journal segment: %w", err)
	}
	s.journal = j
	return nil
}

// nextSession returns the label of the session that begins.
func (s *Store) nextSession(rec *replay) *label {
	next := s.label.Load().clone()
	next.clean = false
	next.begin(s.session, rec.end.Seq)
	next.stepBack()
	return next
}

// keepLineage runs a checkpoint where the label is about to forget a session
// whose frames recovery still needs: a process that dies again and again before
// its first checkpoint would otherwise leave frames of no known session.
func (s *Store) keepLineage(l *label, rec *replay) error {
	if len(l.lineage) < maxLineage || l.lineage[1].first <= l.redo.Seq+1 {
		return nil
	}
	if err := s.writeLabel(l.clone()); err != nil { // durable, before a slot it does not name is written
		return err
	}
	p := &plan{pos: rec.end, oldest: latest, blocks: s.over.blocksUpTo(l.redo.Seq, rec.end.Seq), holes: s.over.holes, size: s.over.sizeAt(latest)}
	if err := s.runCheckpoint(p, checkpointRequest{}); err != nil {
		return s.fail(fmt.Errorf("blockstore: checkpoint before the session begins: %w", err))
	}
	return nil
}

// beginFresh opens a volume that needs no journal. The label that says so is
// written again first: it may only be in the system's cache, of a process that
// was killed. The first segment is durable, and empty, before a label says that there is one.
func (s *Store) beginFresh(l *label, rec *replay) error {
	same := l.clone()
	if rec.discarded {
		same.stream, same.clean = NewUUID(), true // what the journal holds is of no stream the label knows
	}
	if err := s.writeLabel(same); err != nil {
		return err
	}
	j, err := journal.Start(s.journalOptions(same), same.redo, same.journalKey, same.generation, s.session)
	if err != nil {
		if errors.Is(err, fault.State) && !rec.discarded {
			return fault.Hint(fmt.Errorf("%w (%w)", ErrJournalGoesOn, err), discardHint)
		}
		return fmt.Errorf("blockstore: begin the journal: %w", err)
	}
	next := s.nextSession(rec)
	next.redo = j.Durable()
	next.mustReach = next.redo.Segment
	next.durableThrough = same.redo.Seq
	if err := s.writeLabel(next); err != nil {
		return errors.Join(err, j.Close(context.Background()))
	}
	s.journal = j
	j.SetGeneration(next.generation)
	return nil
}

const discardHint = "put the journal folder that belongs to this volume back, or discard what it holds explicitly (in Go Options.DiscardJournal)"
