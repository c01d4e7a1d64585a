package blockstore

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/cofferdb/coffer/journal"
)

// View runs fn on a snapshot of the durable state. It never blocks a writer
// and never sees half a commit. Transactions do not nest.
func (s *Store) View(fn func(*Tx) error) error {
	if s.insideTx() {
		return ErrNested
	}
	if err := s.gate.enter(); err != nil {
		return err
	}
	defer s.gate.leave()
	s.pacing.Load().note()
	n := s.acquire()
	defer s.release(n)
	id := goroutineID()
	s.mu.Lock()
	tx := &Tx{s: s, snap: n.seq, size: s.over.sizeAt(n.seq)}
	s.readers[id]++
	s.mu.Unlock()
	defer func() {
		tx.finished = true
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.readers[id]--; s.readers[id] == 0 {
			delete(s.readers, id)
		}
	}()
	return fn(tx)
}

// Update runs fn as the one writer and makes what it wrote one atomic commit,
// durable when Update returns nil, with everything that fn has read. An error of fn, or a panic, undoes
// everything. [ErrOutcomeUnknown] means that a sync failed: the commit may or
// may not be there when the volume is opened again.
func (s *Store) Update(fn func(*Tx) error) error {
	if s.insideTx() {
		return ErrNested
	}
	if err := s.gate.enter(); err != nil {
		return err
	}
	defer s.gate.leave()
	defer s.foreground()()
	seq, err := s.update(fn, false)
	if err != nil {
		return err
	}
	if seq == 0 { // nothing written; but what fn has read may be of commits that are lazy, or on their way to the journal
		seq = s.appended.Load()
	}
	return s.await(seq)
}

// await returns when a commit is durable.
func (s *Store) await(seq uint64) error {
	if err := s.journal.Wait(context.Background(), seq); err != nil {
		return s.fail(fmt.Errorf("blockstore: commit: %w", err))
	}
	return nil
}

// UpdateLazy is Update without waiting for durability: [Store.Sync] or any
// later durable commit brings it. Readers see it only then; after a crash it
// is there whole, or not at all.
func (s *Store) UpdateLazy(fn func(*Tx) error) error {
	if s.insideTx() {
		return ErrNested
	}
	if err := s.gate.enter(); err != nil {
		return err
	}
	defer s.gate.leave()
	s.pacing.Load().note() // a conversion makes room
	seq, err := s.update(fn, false)
	s.acknowledge(seq)
	return err
}

// UpdateAnchor is Update that also returns an anchor of a state that contains the commit.
func (s *Store) UpdateAnchor(fn func(*Tx) error) (Anchor, error) {
	if err := s.Update(fn); err != nil {
		return Anchor{}, err
	}
	return s.Anchor(), nil
}

// Sync makes every commit so far durable.
func (s *Store) Sync(ctx context.Context) error {
	if s.opts.ReadOnly {
		return nil
	}
	if err := s.gate.enter(); err != nil {
		return err
	}
	defer s.gate.leave()
	if err := s.journal.Sync(ctx); err != nil {
		return s.failUnlessStopped(ctx, fmt.Errorf("blockstore: sync: %w", err))
	}
	return nil
}

// update appends fn's writes as one commit and returns its sequence, 0 if there was nothing to write.
func (s *Store) update(fn func(*Tx) error, reseal bool) (uint64, error) {
	if err := s.mayWrite(); err != nil {
		return 0, err
	}
	frames, seq, err := s.transact(fn, reseal)
	if err != nil || seq == 0 {
		return 0, err
	}
	return seq, s.deliver(frames, seq)
}

// mayWrite refuses a write transaction that could not end well, and makes room for it in the journal.
func (s *Store) mayWrite() error {
	if err := s.usable(); err != nil {
		return err
	}
	if err := s.sealable(); err != nil {
		return err
	}
	return s.throttle()
}

// deliver hands a commit that has its place over to the journal.
func (s *Store) deliver(frames []frame, seq uint64) error {
	if f := s.opts.Tune.Appended; f != nil {
		f()
	}
	if err := s.handOver(frames); err != nil {
		return err
	}
	s.nudge()
	return nil
}

// transact runs fn under the writer lock and takes the commit's place in the journal.
func (s *Store) transact(fn func(*Tx) error, reseal bool) (frames []frame, seq uint64, err error) {
	tx, err := s.lockWriter(reseal)
	if err != nil {
		return nil, 0, err
	}
	s.writerID.Store(goroutineID())
	defer func() {
		s.writerID.Store(0)
		tx.unlockWriter()
	}()
	if err := fn(tx); err != nil {
		return nil, 0, err
	}
	return tx.place()
}

// lockWriter takes the writer's place and returns a transaction in it.
func (s *Store) lockWriter(reseal bool) (*Tx, error) {
	s.writer.Lock()
	if err := s.usable(); err != nil {
		s.writer.Unlock()
		return nil, err
	}
	tx := &Tx{s: s}
	tx.becomeWriter()
	tx.state.reseal = reseal
	return tx, nil
}

// becomeWriter makes tx a transaction that writes on top of the appended head. The writer lock is held.
func (tx *Tx) becomeWriter() {
	tx.s.mu.RLock()
	size := tx.s.over.sizeAt(latest)
	tx.s.mu.RUnlock()
	tx.snap, tx.state, tx.before = latest, newTxState(size), size
}

// unlockWriter ends a write transaction, and gives up what it holds where it has no place in the journal.
func (tx *Tx) unlockWriter() {
	tx.finished = true
	if !tx.placed {
		tx.abandon()
	}
	tx.s.writer.Unlock()
}

// place takes the commit's place in the journal and makes it part of the
// appended head. The sequence is 0 where nothing was written.
func (tx *Tx) place() (frames []frame, seq uint64, err error) {
	if tx.err != nil {
		return nil, 0, tx.err
	}
	if tx.state.empty(tx.before) {
		return nil, 0, nil
	}
	if frames, err = tx.records(); err != nil {
		return nil, 0, err
	}
	tx.placed = true
	return frames, tx.install(frames), nil
}

// frame is a record with its place in the journal.
type frame struct {
	ticket  journal.Ticket
	payload []byte
}

// records encodes what is left to write, reserves space for it in the volume
// and takes tickets. Nothing is changed where it fails.
func (tx *Tx) records() ([]frame, error) {
	if err := tx.s.reserve(tx.state); err != nil {
		return nil, err
	}
	payloads, err := tx.encode(true)
	if err != nil {
		return nil, err
	}
	s := tx.s
	frames := make([]frame, 0, len(payloads))
	for _, p := range payloads {
		t, err := tx.s.journal.Ticket(len(p))
		if err != nil {
			for _, f := range frames {
				f.ticket.Abort()
			}
			return nil, s.refused(fmt.Errorf("blockstore: commit: %w", err))
		}
		frames = append(frames, frame{t, p})
	}
	return frames, nil
}

// encode turns the transaction's unemitted state into records; with commit the
// last is the commit record.
func (tx *Tx) encode(commit bool) ([][]byte, error) {
	st := tx.state
	flags := uint8(0)
	if st.reseal {
		flags = redoReseal
	}
	now := tx.s.opts.Tune.Now().UnixNano()
	var out [][]byte
	most := min(redoPayload, tx.s.journal.MaxPayload())
	want := st.memory + int64(len(st.writes)+len(st.ranges)-st.emit+1)*redoOpHeader
	w := newRedoWriter(most, want)
	part := func() {
		f := flags
		if st.parts == 0 {
			f |= redoFirst
		}
		out = append(out, w.finish(redoPart, f, 0, now))
		st.parts++
		want -= int64(len(w.buf))
		w = newRedoWriter(most, max(want, 0))
	}
	for _, r := range st.ranges[st.emit:] {
		if !w.fits(0) {
			part()
		}
		w.op(opHole, r.first, r.n, nil)
	}
	st.emit = len(st.ranges)
	if commit && st.size != tx.before {
		if !w.fits(0) {
			part()
		}
		w.op(opResize, uint64(st.size), 0, nil)
	}
	for _, b := range sortedBlocks(st.writes) {
		v := st.writes[b]
		if v.kind == verPage && v.page == nil {
			continue // went out in a part
		}
		if !w.fits(len(v.page)) {
			part()
		}
		switch v.kind {
		case verLost:
			w.op(opLost, b, 0, nil)
		case verHole:
			w.op(opHole, b, 1, nil)
		default:
			w.op(opImage, b, 0, v.page)
		}
	}
	if commit {
		f := flags
		if st.parts == 0 {
			f |= redoFirst
		}
		out = append(out, w.finish(redoCommit, f, st.parts, now))
	} else if w.ops > 0 {
		part()
	}
	for _, p := range out {
		st.redo += redoCost(len(p))
	}
	return out, nil
}

func sortedBlocks(m map[uint64]write) []uint64 {
	out := make([]uint64, 0, len(m))
	for b := range m {
		out = append(out, b)
	}
	slices.Sort(out)
	return out
}

// install makes the commit part of the appended head.
func (tx *Tx) install(frames []frame) uint64 {
	s := tx.s
	seq := frames[len(frames)-1].ticket.Seq()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over.install(seq, tx.state)
	s.appended.Store(seq)
	if !tx.state.reseal {
		s.changed = seq
	}
	if tx.span != nil {
		s.endSpan(tx.span.first, seq)
	} else if len(frames) > 1 {
		s.spans = append(s.spans, txSpan{frames[0].ticket.Seq(), seq})
	}
	s.stats.commits.Add(1)
	return seq
}

// handOver seals and appends the records, several at a time where there are several.
func (s *Store) handOver(frames []frame) error {
	if len(frames) == 1 {
		return s.failed(frames[0].ticket.Commit(frames[0].payload))
	}
	var wg sync.WaitGroup
	errs := make([]error, s.opts.Workers)
	for w := range errs {
		wg.Go(func() {
			for i := w; i < len(frames); i += len(errs) {
				if err := frames[i].ticket.Commit(frames[i].payload); err != nil {
					errs[w] = err
				}
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return s.failed(err)
		}
	}
	return nil
}

// refused poisons the store where the journal that refused a ticket is
// poisoned itself; a full disk, for one, is no such case.
func (s *Store) refused(err error) error {
	if s.journal.Err() != nil {
		return s.fail(err)
	}
	return err
}

// failed poisons the store where a commit that readers of the appended head
// may have built on did not reach the journal.
func (s *Store) failed(err error) error {
	if err == nil {
		return nil
	}
	return s.fail(fmt.Errorf("blockstore: commit: %w", err))
}
