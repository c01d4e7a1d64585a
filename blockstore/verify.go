package blockstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/fsx"
	"github.com/cofferdb/coffer/journal"
)

// VerifyOptions of a verification.
type VerifyOptions struct {
	// Workers is how many goroutines read and check; 0 is the store's number.
	Workers int
	// Progress, where set, is told now and then how many of how many blocks were looked at.
	Progress func(done, total uint64)
}

// maxProblems bounds the list of a report; Report.Found counts all.
const maxProblems = 10000

// Problem is one thing that is not as it should be.
type Problem struct {
	Kind   string `json:"kind"`   // label, registry, tree, tag, block or journal
	Block  uint64 `json:"block"`  // number of the block, or of the first one that a tag or tree block leads to
	Blocks uint64 `json:"blocks"` // how many blocks cannot be read for it; 0 where the problem is none of a block's
	Detail string `json:"detail"`
	// Unsettled: the volume was not closed cleanly, and without keys it cannot
	// be told whether the block merely runs ahead of its record.
	Unsettled bool `json:"unsettled,omitempty"`
	err       error
}

// Report is the result of a verification.
type Report struct {
	WithKeys  bool      `json:"with_keys"` // authenticated; otherwise checksums and hashes only
	OK        bool      `json:"ok"`        // nothing is wrong; what is unsettled, or lost by acceptance, does not count
	Clean     bool      `json:"closed_cleanly"`
	Blocks    uint64    `json:"blocks"`
	Checked   uint64    `json:"checked"`  // images
	Holes     uint64    `json:"holes"`    // blocks never written or trimmed
	Lost      uint64    `json:"lost"`     // given up earlier, by explicit acceptance
	Replayed  uint64    `json:"replayed"` // images that only the journal holds so far
	Unsettled uint64    `json:"unsettled"`
	Found     uint64    `json:"found"` // problems, unsettled ones not counted
	Problems  []Problem `json:"problems"`
	TailBytes int64     `json:"tail_bytes"` // cut off the journal's end, as after a power failure

	mu sync.Mutex
}

// Err returns nil where nothing is wrong, else an error with the markers of the first problem.
func (r *Report) Err() error {
	if r.OK {
		return nil
	}
	for _, p := range r.Problems {
		if !p.Unsettled {
			return fmt.Errorf("blockstore: verify found %d problems, the first: %w", r.Found, p.err)
		}
	}
	return fmt.Errorf("blockstore: verify found %d problems: %w", r.Found, fault.Damaged)
}

func (r *Report) add(p Problem) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p.Detail = p.err.Error()
	if p.Unsettled {
		r.Unsettled++
	} else {
		r.Found++
		r.OK = false
	}
	if len(r.Problems) < maxProblems {
		r.Problems = append(r.Problems, p)
	}
}

// Verify reads and authenticates everything the volume holds as it is on disk:
// both labels, every tree and tag block and every block. It runs beside readers and the writer.
func (s *Store) Verify(ctx context.Context, o VerifyOptions) (*Report, error) {
	if s.insideTx() {
		return nil, ErrNested
	}
	if err := s.gate.enter(); err != nil {
		return nil, err
	}
	defer s.gate.leave()
	setDefault(&o.Workers, s.opts.Workers)
	r := &Report{OK: true, Problems: []Problem{}, WithKeys: true, Clean: s.journal == nil && s.label.Load().clean, Blocks: s.Blocks()}
	if s.tail != nil {
		r.TailBytes = s.tail.Bytes
	}
	if err := s.verifyLabels(r); err != nil {
		return nil, err
	}
	if err := s.verifyRegistry(r); err != nil {
		return nil, err
	}
	if err := s.verifyGroups(ctx, o, r); err != nil {
		return nil, err
	}
	return r, nil
}

// verifyLabels checks both copies. Of a store that writes they are what it
// wrote last, to the byte; after a crash, read-only, one may be older.
func (s *Store) verifyLabels(r *Report) error {
	s.ckptMu.Lock() // no label is written meanwhile
	defer s.ckptMu.Unlock()
	copies, err := readLabels(s.file)
	if err != nil {
		return err
	}
	for i, p := range copies.problems() {
		switch err := s.checkCopy(copies.raw[i], copies.l[i]); {
		case p != "":
			r.add(Problem{Kind: "label", err: fmt.Errorf("copy %d: %s: %w", i+1, p, fault.Both(fault.Tampered, fault.Damaged))})
		case err != nil:
			r.add(Problem{Kind: "label", err: fmt.Errorf("copy %d: %w", i+1, err)})
		}
	}
	return nil
}

// verifyRegistry checks the records of backups.
func (s *Store) verifyRegistry(r *Report) error {
	s.ckptMu.Lock()
	defer s.ckptMu.Unlock()
	return r.registry(s.file, s.label.Load())
}

func (r *Report) registry(f fsx.File, l *label) error {
	_, err := readRegistry(f, l)
	if !isBad(err) {
		return err
	}
	r.add(Problem{Kind: "registry", err: err})
	return nil
}

func (s *Store) checkCopy(raw []byte, c *label) error {
	if c == nil {
		return nil // reported as it was found
	}
	l := s.label.Load()
	if s.journal != nil {
		want := l.encode()
		if err := signLabel(want, s.ciphers.key(l.macSlot), s.volume); err != nil {
			return err
		}
		if !bytes.Equal(raw, want) {
			return fmt.Errorf("not the label that was written last: %w", fault.Tampered)
		}
		return nil
	}
	have, known := &c.slots[c.macSlot], &l.slots[c.macSlot]
	if known.state != slotLive || known.key != have.key || known.suite != have.suite {
		return fmt.Errorf("its MAC is under a key that the volume does not use: %w", fault.Tampered)
	}
	return checkMAC(raw, c, s.ciphers.key(c.macSlot))
}

// verifyGroups checks tree blocks, tag blocks and data blocks, group by group.
func (s *Store) verifyGroups(ctx context.Context, o VerifyOptions, r *Report) error {
	groups := groupsFor(r.Blocks)
	for level := uint8(1); level <= maxLevel; level++ {
		if err := s.meta.eachAbove(level, groups, func(k metaKey) error { return s.verifyMeta(k, r) }); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var done atomic.Uint64
	progress := func(groups uint64) {
		if o.Progress != nil {
			o.Progress(min(done.Add(groups*perGroup), r.Blocks), r.Blocks)
		}
	}
	walk := &groupWalk{tree: s.meta, damaged: true, end: groups, skipped: func(first, n uint64) {
		s.verifySkipped(first, n, r)
		progress(n)
	}}
	var wg sync.WaitGroup
	for range o.Workers {
		wg.Go(func() {
			for ctx.Err() == nil {
				g, ok := walk.take()
				if !ok {
					return
				}
				if err := s.verifyGroup(g, r); err != nil {
					cancel(err)
				}
				progress(1)
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

// verifySkipped counts the blocks of groups that have nothing in the tree, or nothing that can be read.
func (s *Store) verifySkipped(first, n uint64, r *Report) {
	end := min((first+n)*perGroup, r.Blocks)
	s.mu.RLock()
	replayed := s.over.count(first*perGroup, end)
	s.mu.RUnlock()
	m, err := s.meta.get(metaKey{0, first})
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Replayed += replayed
	if m == nil && err == nil {
		r.Holes += end - first*perGroup - replayed
	}
}

// verifyMeta checks a metadata block as it lies on disk now.
func (s *Store) verifyMeta(k metaKey, r *Report) error {
	err := s.meta.fresh(k)
	if err == nil {
		return nil
	}
	if !errors.Is(err, fault.Tampered) && !errors.Is(err, fault.Damaged) {
		return err
	}
	kind := "tree"
	if k.level == 0 {
		kind = "tag"
	}
	r.add(metaProblem(k, kind, r.Blocks, err))
	return nil
}

// metaProblem is a metadata block that cannot be read, and with it all blocks below.
func metaProblem(k metaKey, kind string, blocks uint64, err error) Problem {
	first := k.index * span[k.level] * perGroup
	return Problem{Kind: kind, Block: first, Blocks: min(span[k.level]*perGroup, blocks-min(first, blocks)), err: err}
}

// fresh reads a metadata block from disk, past the cache.
func (t *metaTree) fresh(k metaKey) error {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if k.level > t.height || k.index*span[k.level] >= span[t.height] {
		return nil
	}
	ref, err := t.ref(k)
	if err != nil || !ref.present {
		return nil // what is wrong above is reported there
	}
	_, err = t.load(k, ref)
	return err
}

// verifyGroup opens every block of a group, in batches.
func (s *Store) verifyGroup(g uint64, r *Report) error {
	if err := s.verifyMeta(metaKey{0, g}, r); err != nil {
		return err
	}
	end := min((g+1)*perGroup, r.Blocks)
	for b := g * perGroup; b < end; b += readBatch {
		if err := s.verifyBatch(b, min(b+readBatch, end), r); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) verifyBatch(first, end uint64, r *Report) error {
	l := s.latch(first)
	l.RLock()
	defer l.RUnlock()
	var batch []placed
	var holes, lost, replayed uint64
	for b := first; b < end; b++ {
		if s.inOverlay(b) {
			replayed++
			continue
		}
		rec, err := s.meta.record(b)
		switch {
		case err != nil:
			if !errors.Is(err, fault.Tampered) && !errors.Is(err, fault.Damaged) {
				return err
			}
		case rec.kind == recordNever, rec.kind == recordHole:
			holes++
		case rec.kind == recordLost:
			lost++
		default:
			batch = append(batch, placed{block: b, rec: rec, dst: make([]byte, s.lay.blockSize)})
		}
	}
	s.openPlaced(batch, false)
	for i := range batch {
		if batch[i].err != nil {
			r.add(Problem{Kind: "block", Block: batch[i].block, Blocks: 1, err: batch[i].err})
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Holes, r.Lost, r.Replayed, r.Checked = r.Holes+holes, r.Lost+lost, r.Replayed+replayed, r.Checked+uint64(len(batch))
	return nil
}

// VerifyFile verifies a volume that nobody has open for writing, and writes
// nothing. With keys everything is authenticated, in the state that a replay of
// the journal in memory gives; of journal segments that recovery does not need
// only the checksums are checked. With nil keys checksums and the tree's hashes
// are all there is to check. Give an empty keyring for a volume under suite none.
func VerifyFile(ctx context.Context, path string, keys *dek.Keyring, o *Options, v VerifyOptions) (*Report, error) {
	if keys == nil {
		return verifyKeyless(ctx, path, o, v)
	}
	opts, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	opts.ReadOnly = true
	s, err := Open(path, keys, &opts)
	if err != nil {
		return nil, err
	}
	r, err := s.Verify(ctx, v)
	if err == nil { // what recovery needs was authenticated by the open; this is for the rest, kept segments too
		err = scrubJournal(ctx, r, opts.FS, s.path, s.label.Load())
	}
	return r, errors.Join(err, s.Close())
}

// scrubJournal checks the checksums of all journal segments.
func scrubJournal(ctx context.Context, r *Report, fsys fsx.FS, path string, l *label) error {
	rep, err := journal.Scrub(ctx, fsys, journalDir(path), l.volume, l.redo.Segment)
	if err != nil {
		return fmt.Errorf("blockstore: scrub the journal: %w", err)
	}
	for _, bad := range rep.Bad {
		r.add(Problem{Kind: "journal", err: &bad})
	}
	if !r.WithKeys {
		for _, t := range rep.Unsettled {
			r.TailBytes += t.Bytes
		}
	}
	if !l.clean && rep.Segments == 0 {
		r.add(Problem{Kind: "journal", err: ErrJournalMissing})
	}
	return nil
}
