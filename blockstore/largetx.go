package blockstore

import "fmt"

// spillOut writes the images a large transaction holds to the journal, as
// part records, and to the spill file, so that its memory is bounded.
func (tx *Tx) spillOut() error {
	s, st := tx.s, tx.state
	if err := s.reserve(st); err != nil {
		return err
	}
	payloads, err := tx.encode(false)
	if err != nil {
		return err
	}
	for b, w := range st.writes {
		if w.page == nil {
			continue
		}
		ref, err := s.spill.put(w.page)
		if err != nil {
			return err
		}
		st.writes[b] = write{kind: verPage, spill: ref}
		st.memory -= int64(len(w.page))
	}
	for _, p := range payloads {
		t, err := s.journal.Ticket(len(p))
		if err != nil {
			return s.refused(fmt.Errorf("blockstore: large transaction: %w", err))
		}
		if tx.span == nil {
			tx.span = &txSpan{first: t.Seq()}
			s.mu.Lock()
			s.spans = append(s.spans, *tx.span)
			s.mu.Unlock()
		}
		tx.span.last = t.Seq()
		if err := t.Commit(p); err != nil {
			return s.failed(err)
		}
	}
	return nil
}

// abandon gives up what the transaction holds. Part records that went out have no commit and are ignored by replay.
func (tx *Tx) abandon() {
	tx.state.drop(tx.s.spill.release)
	if tx.span == nil {
		return
	}
	tx.s.mu.Lock()
	defer tx.s.mu.Unlock()
	tx.s.endSpan(tx.span.first, tx.span.last) // a checkpoint that began inside would leave parts without their beginning
	tx.s.over.grow(tx.span.last, tx.state.redo)
}

// endSpan closes the span that began at first with the last of its frames. mu is held.
func (s *Store) endSpan(first, last uint64) {
	for i := range s.spans {
		if s.spans[i].first == first {
			s.spans[i].last = last
			return
		}
	}
}
