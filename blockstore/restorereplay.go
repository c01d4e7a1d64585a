package blockstore

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/journal"
)

// restorePoint is how far a restore has got.
type restorePoint struct {
	journal.Position
	anchor *[32]byte // chain value at the expected anchor's sequence
	own    bool      // replaying the backup's own frames
	rep    *replay
}

// begin gives the file its first label: the groups are as of the backup's
// beginning or later, and its frames, whole images, make them one state.
func (r *restorer) begin(root childRef) error {
	s, h := r.s, r.newest().start
	l := r.proof.l.clone()
	l.size, l.root, l.redo, l.clean, l.registry = h.size, root, h.from, false, registryRef{}
	l.stepBack()
	if heightFor(l.blocks()) > l.height {
		return fmt.Errorf("blockstore: the backup's label has a tree too low for its beginning: %w", fault.Damaged)
	}
	s.label.Store(l)
	s.meta = newMetaTree(s.file, l)
	s.over = newOverlay(l.size)
	s.over.base = l.redo.Seq
	s.ended = l.redo
	s.sealsUsed, s.firstCopy = l.write().current().reserved, 0
	s.ckptMu.Lock()
	defer s.ckptMu.Unlock()
	if err := s.writeLabel(l.clone()); err != nil {
		return err
	}
	r.end = restorePoint{Position: h.from, own: true, rep: &replay{s: s, l: s.label.Load().clone(), end: h.from}}
	return nil
}

// replay applies the backup's frames, and then those of the journal that was given.
func (r *restorer) replay(ctx context.Context) error {
	h, f := r.newest().start, r.newest().finish
	o := journal.Options{FS: r.o.FS, Dir: r.o.JournalDir, Keys: r.s.keys, Volume: h.volume, Stream: h.stream, Holder: r.s.holder}
	feed := journal.NewFeed(o, h.from, nil, nil, r.apply)
	defer feed.Close()
	err := r.newest().read(ctx, func(_ *backupScan, k backupKind, payload []byte) error {
		switch k {
		case backupSegment:
			return feed.Segment(payload)
		case backupFrame:
			return feed.Frame(payload)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("the backup's journal: %w", err)
	}
	if feed.End() != f.end {
		return fmt.Errorf("the backup's journal does not end where its end says: %w", fault.Tampered)
	}
	r.end.Position, r.end.own = f.end, false
	if r.o.JournalDir == "" {
		return r.reached(f.end)
	}
	return r.forward(ctx, o)
}

// forward goes on behind the backup.
func (r *restorer) forward(ctx context.Context, o journal.Options) error {
	l := r.proof.l
	keys := append(slices.Clone(l.journalKeys), l.journalKey)
	begin := func(i journal.SegmentInfo) error { // a session that the backup does not know yet
		if id := UUID(i.Session); !r.end.rep.l.hasSession(id) {
			r.end.rep.l.begin(id, i.First-1)
		}
		return nil
	}
	end, err := journal.Follow(ctx, o, r.end.Position, keys, begin, r.apply)
	if err != nil {
		err = fmt.Errorf("the journal in %s, behind frame %d: %w", r.o.JournalDir, end.Seq, err)
		if errors.Is(err, journal.ErrMissing) {
			return fault.Hint(err, "segments must follow each other from the backup on; --until-commit "+fmt.Sprint(end.Seq)+" ends before the gap")
		}
		return err
	}
	if r.o.UntilCommit == 0 && r.o.UntilTime.IsZero() {
		r.end.Position = end // else it stays behind the last commit that counts
	}
	return r.reached(end)
}

// reached refuses a commit that is not there.
func (r *restorer) reached(end journal.Position) error {
	if n := r.o.UntilCommit; n > end.Seq {
		return fault.Hint(fmt.Errorf("blockstore: commit %d is not there, the last sequence number is %d: %w", n, end.Seq, fault.State),
			"give the folder of the journal segments that hold it: --journal DIR")
	}
	return nil
}

// apply takes one frame, or ends a roll-forward before it.
func (r *restorer) apply(f journal.Frame) error {
	e := &r.end
	rec, err := parseRedo(f.Payload, int(r.s.lay.blockSize))
	if err != nil {
		return fmt.Errorf("frame %d: %w", f.Seq, err)
	}
	at := time.Unix(0, rec.time).UTC()
	late := rec.commit && !r.o.UntilTime.IsZero() && at.After(r.o.UntilTime)
	switch {
	case late && e.own:
		return fault.Hint(fmt.Errorf("the backup itself has a commit of %s, after %s: %w", at.Format(time.RFC3339Nano), r.o.UntilTime.Format(time.RFC3339Nano), fault.State),
			"restore an earlier backup")
	case late, !e.own && r.o.UntilCommit != 0 && f.Seq > r.o.UntilCommit:
		return journal.Stop()
	}
	if a := r.o.ExpectAnchor; a != nil && a.Seq == f.Seq {
		chain := f.Chain
		e.anchor = &chain
	}
	if err := e.rep.apply(f); err != nil {
		return err
	}
	if !rec.commit {
		return nil
	}
	r.info.Last = at
	if !e.own {
		r.info.Rolled++
	}
	e.Position = journal.Position{Segment: f.Segment, Seq: f.Seq, Chain: f.Chain}
	if r.s.over.memory < r.o.CheckpointBytes && len(r.s.over.holes) < maxRanges {
		return nil
	}
	return r.checkpoint(checkpointRequest{})
}

// checkpoint brings what was replayed to its place.
func (r *restorer) checkpoint(req checkpointRequest) error {
	s := r.s
	s.ckptMu.Lock()
	defer s.ckptMu.Unlock()
	redo := s.label.Load().redo
	p := &plan{pos: r.end.Position, oldest: latest, blocks: s.over.blocksUpTo(redo.Seq, r.end.Seq), size: s.over.sizeAt(latest)}
	for _, h := range s.over.holes {
		if h.seq > redo.Seq {
			p.holes = append(p.holes, h)
		}
	}
	return s.runCheckpoint(p, req)
}

// finish writes the last label: clean, with a journal stream and a session of its own from here on.
func (r *restorer) finish() error {
	s, e := r.s, &r.end
	e.rep.drop()
	lineage := e.rep.l
	if err := r.checkAnchor(lineage); err != nil {
		return err
	}
	lineage.begin(NewUUID(), e.Seq)
	err := r.checkpoint(checkpointRequest{clean: true, label: func(next *label) {
		next.lineage = slices.Clone(lineage.lineage)
		next.restored = next.last().ordinal
		next.stream = NewUUID()
		next.journalKeys = append(next.journalKeys[:0], next.journalKey)
		next.mustReach, next.durableThrough = e.Segment, e.Seq
	}})
	if err != nil {
		return err
	}
	l := s.label.Load()
	if err := s.file.Truncate(s.lay.end(l.blocks())); err != nil {
		return err
	}
	s.ended = e.Position
	if err := r.recordChain(); err != nil {
		return err
	}
	i := &r.info
	i.Volume, i.Sequence, i.Size, i.Blocks = s.volume, e.Seq, l.size, l.blocks()
	i.Anchor = s.Anchor()
	return nil
}

// checkAnchor says whether what is being restored contains the expected anchor.
func (r *restorer) checkAnchor(l *label) error {
	a := r.o.ExpectAnchor
	if a == nil {
		return nil
	}
	seen := l.clone()
	seen.redo = r.newest().start.from
	err := containsAnchor(seen, r.end.Position, r.end.anchor, *a)
	if err == nil {
		return nil
	}
	return fault.Hint(fmt.Errorf("what would be restored reaches to sequence %d, and does not contain the anchor's sequence %d: %w", r.end.Seq, a.Seq, err),
		"restore a later backup, or go on behind it with the journal (--journal DIR); without --expect-anchor the older state is restored")
}

// recordChain records in the new volume what it was restored from, as far as there is room.
func (r *restorer) recordChain() error {
	var list []BackupRecord
	for _, b := range r.chain {
		path, err := filepath.Abs(b.path)
		if err != nil || len(path) > maxDestination {
			path = ""
		}
		i := backupInfo(b.start, b.finish, b.size)
		list = append([]BackupRecord{i.Record(path)}, list...)
		if len(encodeRegistry(list)) > registryBytes {
			list = list[1:]
			break
		}
	}
	return r.s.changeLabel(func(next *label) error { return r.s.writeRegistry(next, list) })
}
