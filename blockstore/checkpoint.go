package blockstore

import (
	"context"
	"fmt"
	"time"

	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/journal"
)

// checkpointRequest says what a checkpoint does beside moving redo forward.
type checkpointRequest struct {
	clean   bool              // the last one: the label says that no journal is needed
	discard bool              // free journal segments are removed, not recycled
	groups  []uint64          // tag blocks to write anew although nothing in them changed
	label   func(next *label) // further changes of the label
}

// plan is what a checkpoint has decided to do.
type plan struct {
	pos    journal.Position // everything up to here goes in place
	blocks []uint64
	holes  []rangeHole
	size   int64
	saving bool   // old images are saved for snapshots before pos
	oldest uint64 // oldest snapshot
}

// Checkpoint brings everything durable to its place and shortens the journal.
// It runs beside readers and the writer.
func (s *Store) Checkpoint(ctx context.Context) error {
	if s.insideTx() {
		return ErrNested
	}
	if err := s.gate.enter(); err != nil {
		return err
	}
	defer s.gate.leave()
	return s.settleAll(ctx, checkpointRequest{})
}

// settleAll makes everything appended durable and then runs a checkpoint.
func (s *Store) settleAll(ctx context.Context, req checkpointRequest) error {
	if err := s.usable(); err != nil {
		return err
	}
	if err := s.journal.Sync(ctx); err != nil {
		return s.failUnlessStopped(ctx, fmt.Errorf("blockstore: checkpoint: %w", err))
	}
	return s.checkpoint(ctx, req)
}

// nudge asks for a checkpoint in the background where the journal has grown enough.
func (s *Store) nudge() {
	if s.redo() <= s.opts.CheckpointBytes || s.opts.Tune.Inline {
		return
	}
	select {
	case s.background <- struct{}{}:
	default:
	}
}

// throttle makes a writer run the checkpoint itself where the background does not keep up.
func (s *Store) throttle() error {
	limit := 2 * s.opts.CheckpointBytes
	if s.opts.Tune.Inline {
		limit = s.opts.CheckpointBytes
	}
	if s.redo() <= limit {
		return nil
	}
	return s.checkpoint(s.ctx, checkpointRequest{})
}

// maxRanges is how many ranges of holes may wait for a checkpoint: reads search them one by one.
const maxRanges = 512

// redo returns what the journal holds since the last checkpoint, in bytes; too
// many ranges count as too much of it.
func (s *Store) redo() int64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if n := int64(len(s.over.holes)); n > maxRanges {
		return max(s.redoLocked(), n*s.opts.CheckpointBytes/maxRanges)
	}
	return s.redoLocked()
}

// run is the goroutine that makes checkpoints in the background.
func (s *Store) run() {
	s.resealEpochs()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-s.background:
			if err := s.checkpoint(s.ctx, checkpointRequest{}); err != nil && s.ctx.Err() == nil {
				s.opts.Logger.Warn("coffer: checkpoint in the background failed", "volume", s.volume.String(), "cause", err)
			}
			s.resealEpochs()
		}
	}
}

// checkpoint follows the order of FORMAT.md "Checkpoint". An error from the
// first write on refuses all further writes: what is on disk is a state that
// recovery knows, what is in memory no longer is.
func (s *Store) checkpoint(ctx context.Context, req checkpointRequest) error {
	s.ckptMu.Lock()
	defer s.ckptMu.Unlock()
	if err := s.usable(); err != nil {
		return err
	}
	p, err := s.plan(ctx)
	if err != nil {
		return err
	}
	old := s.label.Load()
	if p.pos == old.redo && !req.clean && req.label == nil && len(req.groups) == 0 {
		return nil
	}
	if p.saving {
		if err := s.saveImages(p); err != nil {
			s.mu.Lock()
			s.over.frozen = false
			s.mu.Unlock()
			return fmt.Errorf("blockstore: checkpoint: save images for a snapshot: %w", err)
		}
		if len(p.holes) > 0 {
			// Who looked for an image before it was saved is still to read in
			// place, by the old tree, and to fill the cache: a range of holes
			// takes no latch that would wait for them later.
			s.passLatches()
		}
	}
	start := time.Now()
	if err := s.runCheckpoint(p, req); err != nil {
		return s.fail(fmt.Errorf("blockstore: checkpoint: %w", err))
	}
	s.stats.checkpoints.Add(1)
	s.opts.Logger.Debug("coffer: checkpoint", "volume", s.volume.String(), "blocks", len(p.blocks), "sequence", p.pos.Seq, "took", time.Since(start))
	return s.releaseJournal(ctx, p, req)
}

// plan chooses how far to go: to the durable head, but not past the oldest
// snapshot unless the journal has grown beyond twice its cap; then the images
// that snapshot still needs are saved first.
func (s *Store) plan(ctx context.Context) (*plan, error) {
	pos, err := s.wholePosition(ctx)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p := &plan{pos: pos, oldest: s.oldest()}
	redo := s.label.Load().redo
	if p.oldest < pos.Seq {
		if s.redoLocked() <= 2*s.opts.CheckpointBytes {
			p.pos = s.oldestWhole(redo)
		} else {
			p.saving = true
		}
	}
	s.over.frozen = p.saving
	p.size = s.over.sizeAt(p.pos.Seq)
	if p.pos.Seq <= redo.Seq && p.pos.Segment <= redo.Segment {
		p.pos, p.size, p.saving, s.over.frozen = redo, s.over.sizeAt(redo.Seq), false, false
		return p, nil
	}
	p.blocks = s.over.blocksUpTo(redo.Seq, p.pos.Seq)
	for _, h := range s.over.holes {
		if h.seq > redo.Seq && h.seq <= p.pos.Seq {
			p.holes = append(p.holes, h)
		}
	}
	return p, nil
}

// wholePosition returns a durable position that is not inside a transaction of several records.
func (s *Store) wholePosition(ctx context.Context) (journal.Position, error) {
	if pos, ok := s.tryWhole(); ok {
		return pos, nil
	}
	s.writer.Lock()
	defer s.writer.Unlock()
	s.mu.Lock()
	var last uint64 // of the transactions that have their place and may not be handed over yet
	for _, sp := range s.spans {
		last = max(last, sp.last)
	}
	s.mu.Unlock()
	if err := s.journal.Wait(ctx, last); err != nil {
		return journal.Position{}, s.failUnlessStopped(ctx, fmt.Errorf("blockstore: checkpoint: %w", err))
	}
	pos, ok := s.tryWhole()
	if !ok {
		return pos, fmt.Errorf("blockstore: checkpoint: a transaction is neither whole nor open: %w", fault.State)
	}
	return pos, nil
}

func (s *Store) tryWhole() (journal.Position, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	pos := s.journal.Durable()
	return pos, s.whole(pos)
}

// whole reports whether pos is between transactions, and forgets spans that are whole by now. mu is held.
func (s *Store) whole(pos journal.Position) bool {
	durable := s.journal.DurableSeq()
	keep := s.spans[:0]
	ok := true
	for _, sp := range s.spans {
		if sp.first <= pos.Seq && (sp.last == 0 || pos.Seq < sp.last) {
			ok = false
		}
		if sp.last == 0 || sp.last > durable || sp.last > s.oldestPosition() {
			keep = append(keep, sp)
		}
	}
	s.spans = keep
	return ok
}

// oldestWhole returns the position of the oldest snapshot, or redo if that lies inside a transaction. mu is held.
func (s *Store) oldestWhole(redo journal.Position) journal.Position {
	pos := redo
	o := s.oldest()
	for n := range s.snaps {
		if n.seq == o && s.whole(n.pos) {
			pos = n.pos
		}
	}
	return pos
}

// runCheckpoint writes blocks, metadata and label; ckptMu is held.
func (s *Store) runCheckpoint(p *plan, req checkpointRequest) error {
	if err := s.ensureSeals(len(p.blocks)); err != nil {
		return err
	}
	edit := s.meta.edit()
	if err := s.applyHoles(edit, p); err != nil {
		return err
	}
	if err := s.writeBlocks(edit, p); err != nil {
		return err
	}
	for _, g := range req.groups {
		if _, err := edit.block(metaKey{0, g}, false); err != nil {
			return err
		}
	}
	old := s.label.Load()
	next := old.clone()
	next.height = max(next.height, heightFor(s.lay.blocks(p.size)))
	root, err := edit.flush(next.height, old.generation+1)
	if err != nil {
		return err
	}
	next.root, next.size, next.redo = root, p.size, p.pos
	if req.label != nil {
		req.label(next)
	}
	if req.clean {
		next.clean = true
		next.write().current().reserved = s.sealsUsed
	} else {
		s.topUp(next)
	}
	s.pruneJournalKeys(next)
	if err := s.file.SyncData(); err != nil {
		return fmt.Errorf("sync the volume: %w", err)
	}
	if err := s.writeLabel(next); err != nil {
		return err
	}
	s.settle(p, edit, next)
	return nil
}

// settle makes the checkpoint what readers see; its label is durable.
func (s *Store) settle(p *plan, edit *metaEdit, next *label) {
	edit.publish(next.root, next.height) // before the overlay forgets: who finds nothing there looks here
	if f := s.opts.Tune.Settling; f != nil {
		f()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range p.holes {
		s.cache.dropRange(h.first, h.n)
	}
	for _, b := range p.blocks {
		v, hole := s.over.find(b, p.pos.Seq)
		if hole || v == nil || v.page == nil {
			s.cache.drop(b)
			continue
		}
		s.cache.put(b, v.page)
	}
	s.over.settle(p.pos.Seq, s.snapshots(), p.blocks, s.freeVersion)
}

// passLatches waits until everybody who holds a latch now has let it go.
func (s *Store) passLatches() {
	for i := range s.latches {
		l := &s.latches[i]
		l.Lock()
		defer l.Unlock()
	}
}

// releaseJournal tells the journal what recovery needs no more, and cuts the
// file where the volume became shorter.
func (s *Store) releaseJournal(ctx context.Context, p *plan, req checkpointRequest) error {
	l := s.label.Load()
	if err := s.journal.Release(context.WithoutCancel(ctx), l.redo, req.discard); err != nil {
		return fmt.Errorf("blockstore: release journal segments: %w", err) // nothing is lost, the next checkpoint tries again
	}
	if len(p.holes) == 0 {
		return nil
	}
	return s.cutFile(p.size)
}

// cutFile shortens the file to what size needs. The writer waits, so that no
// space it reserves beyond is cut off; all latches keep out who still reads
// there by a record from before the checkpoint.
func (s *Store) cutFile(size int64) error {
	s.writer.Lock()
	defer s.writer.Unlock()
	blocks := s.lay.blocks(size)
	end := s.lay.end(blocks)
	have, err := s.file.Size()
	if err != nil {
		return fmt.Errorf("blockstore: size of the volume file: %w", err)
	}
	if have <= end || s.laterSize() > size {
		return nil
	}
	for i := range s.latches {
		l := &s.latches[i]
		l.Lock()
		defer l.Unlock()
	}
	for k := range s.metaSpace {
		if s.lay.pair(k) >= end {
			delete(s.metaSpace, k)
		}
	}
	if err := s.file.Truncate(end); err != nil {
		return s.fail(fmt.Errorf("blockstore: cut the volume file: %w", err))
	}
	return nil
}

// laterSize returns the byte length at the appended head: space reserved beyond a checkpoint's is not cut.
func (s *Store) laterSize() int64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.over.sizeAt(latest)
}
