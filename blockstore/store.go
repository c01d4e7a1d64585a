package blockstore

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/fsx"
	"github.com/cofferdb/coffer/journal"
)

const latchCount = 64

// Store is an open volume. It may be used by many goroutines at once.
//
// Lock order: ckptMu, writer, then either mu or a latch; metaTree.mu and the
// locks of cache and spill are leaves. mu is held during I/O only for images in
// the spill file; a latch is held during the I/O on its own blocks, and mu may
// be taken under it.
type Store struct {
	path   string
	opts   Options
	file   fsx.File
	lay    layout
	volume UUID
	holder string

	keys    *dek.Keyring
	ciphers cipherSet
	meta    *metaTree
	cache   *pageCache
	spill   *spillFile
	journal *journal.Journal      // nil when read-only
	label   atomic.Pointer[label] // the durable label; never changed in place
	session UUID
	ended   journal.Position // read-only: the recovered end
	tail    *journal.Tail    // what recovery cut, nil if nothing

	// latches keep a block in place from being read while a checkpoint
	// overwrites it; a latch covers every latchCount-th group.
	latches [latchCount]sync.RWMutex

	writer   sync.Mutex    // held by the one write transaction until its commit has its place in the journal
	writerID atomic.Uint64 // goroutine that holds writer, 0 if none
	// metaSpace is the set of metadata blocks whose pairs were given their space; writer guards it.
	metaSpace map[metaKey]struct{}

	mu    sync.RWMutex // guards the fields below
	over  overlay
	snaps map[*snapshot]struct{}
	// readers are the goroutines inside View, with how many times.
	readers map[uint64]int
	spans   []txSpan // transactions of several frames, some of which may not be durable
	changed uint64   // last commit that is no re-seal

	ckptMu    sync.Mutex // one checkpoint or label change at a time; guards the fields below
	sealsUsed uint64     // under the current epoch of the write slot
	reserved  bool       // seals were reserved in this session
	firstCopy int        // copy of the label to be written first

	convMu sync.Mutex            // guards conv
	conv   *Converter            // the conversion that runs, nil if none
	pacing atomic.Pointer[pacer] // of the conversion that runs, nil if none

	backups backupGate

	lazy       atomic.Uint64         // last lazy commit that its caller was told of
	appended   atomic.Uint64         // last frame of the newest commit, which may not have been handed to the journal yet
	failure    atomic.Pointer[error] // why writes are refused until the volume is opened again
	gate       gate
	background chan struct{} // asks for a checkpoint
	ahead      chan struct{} // one for each hint that is being followed
	done       sync.WaitGroup
	stop       context.CancelFunc
	ctx        context.Context
	stats      counters
}

// snapshot is a point in the history that a reader looks at.
type snapshot struct {
	seq uint64
	pos journal.Position
}

// txSpan is a transaction whose records take up more than one frame. last is 0
// while it is still being written.
type txSpan struct{ first, last uint64 }

func (s *Store) latch(block uint64) *sync.RWMutex { return &s.latches[block/perGroup%latchCount] }

// fail refuses all writes from now on. The first cause stays.
func (s *Store) fail(err error) error {
	if s.failure.CompareAndSwap(nil, &err) {
		s.opts.Logger.Error("coffer: writes are refused until the volume is opened again", "volume", s.volume.String(), "cause", err)
	}
	return err
}

// failUnlessStopped is fail for calls that a context may have ended: that
// leaves the journal as it is and is no failure.
func (s *Store) failUnlessStopped(ctx context.Context, err error) error {
	if ctx.Err() != nil && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)) {
		return err
	}
	return s.fail(err)
}

// usable returns why a write cannot begin, or nil.
func (s *Store) usable() error {
	switch p := s.failure.Load(); {
	case s.opts.ReadOnly:
		return ErrReadOnly
	case p != nil:
		return fault.Hint(fmt.Errorf("blockstore: an earlier write failed, nothing more is accepted until the volume is opened again: %w",
			errors.Join(*p, fault.State)), "close the volume and open it again")
	}
	return nil
}

// Path returns where the volume is, symbolic links resolved.
func (s *Store) Path() string { return s.path }

// ReadOnly reports whether nothing can be written: because the store was opened
// so, or because its write key may only decrypt.
func (s *Store) ReadOnly() bool { return s.opts.ReadOnly }

// UUID returns the volume's UUID.
func (s *Store) UUID() UUID { return s.volume }

// BlockSize returns the size of a block in bytes.
func (s *Store) BlockSize() int { return int(s.lay.blockSize) }

// Size returns the durable byte length.
func (s *Store) Size() int64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.over.sizeAt(s.durableSeq())
}

// Blocks returns the number of blocks that hold Size bytes.
func (s *Store) Blocks() uint64 { return s.lay.blocks(s.Size()) }

func (s *Store) durableSeq() uint64 {
	if s.journal == nil {
		return s.ended.Seq
	}
	return s.journal.DurableSeq()
}

// acquire registers a snapshot of the durable head.
func (s *Store) acquire() *snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := &snapshot{pos: s.ended}
	if s.journal != nil {
		n.pos = s.journal.Durable()
	}
	n.seq = n.pos.Seq
	s.snaps[n] = struct{}{}
	return n
}

// acquireHead registers a snapshot of the appended head: everything committed,
// durable or not. After a failure it is the durable one.
func (s *Store) acquireHead() *snapshot {
	n := s.acquire()
	if s.failure.Load() != nil || s.journal == nil {
		return n
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.over.commits; len(c) > 0 {
		n.seq = max(n.seq, c[len(c)-1].seq)
	}
	return n
}

// release forgets a snapshot, and with it the versions that only it needed.
func (s *Store) release(n *snapshot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.snaps, n)
	if len(s.over.lingering) == 0 || s.over.frozen {
		return // the checkpoint under way drops what is not needed when it is done
	}
	s.over.settle(s.over.base, s.snapshots(), nil, s.freeVersion)
}

// snapshots returns the sequences of all snapshots in order; mu is held.
func (s *Store) snapshots() []uint64 {
	out := make([]uint64, 0, len(s.snaps))
	for n := range s.snaps {
		out = append(out, n.seq)
	}
	slices.Sort(out)
	return out
}

// oldest returns the sequence of the oldest snapshot; mu is held.
func (s *Store) oldest() uint64 {
	o := ^uint64(0)
	for n := range s.snaps {
		o = min(o, n.seq)
	}
	return o
}

// oldestPosition returns the sequence of the oldest position that a checkpoint
// could stop at for a snapshot; mu is held. A snapshot that sees lazy commits
// sees beyond its position, which was durable when it was taken.
func (s *Store) oldestPosition() uint64 {
	o := ^uint64(0)
	for n := range s.snaps {
		o = min(o, n.pos.Seq)
	}
	return o
}

func (s *Store) freeVersion(v *version) {
	if v.spill != nil {
		s.spill.release(v.spill)
	}
}

// journalDir returns the folder of a volume's journal.
func journalDir(path string) string { return path + ".journal" }

func (s *Store) journalOptions(l *label) journal.Options {
	return journal.Options{FS: s.opts.FS, Dir: journalDir(s.path), Keys: s.keys, Volume: l.volume, Stream: l.stream,
		SegmentBytes: s.opts.SegmentBytes, Retain: s.retain(l), Spare: s.spareSegments(), Logger: s.opts.Logger,
		Holder: "journal of " + s.holder, Inline: s.opts.Tune.Inline, Now: s.opts.Tune.Now}
}

// spareSegments is how many segments a checkpoint may free at once: all of them
// are recycled, so that a steady load makes no new files.
func (s *Store) spareSegments() int {
	return int(min(2*s.opts.CheckpointBytes/s.opts.SegmentBytes+1, 64))
}

func (s *Store) init(path string, file fsx.File, keys *dek.Keyring, o Options, l *label) {
	o.SegmentBytes = max(o.SegmentBytes, 8*int64(l.blockSize)) // a segment holds a few images at least
	s.path, s.opts, s.file, s.keys = path, o, file, keys
	s.volume, s.lay = l.volume, l.layout()
	s.holder = fmt.Sprintf("volume %v", l.volume)
	s.meta = newMetaTree(file, l)
	s.cache = newPageCache(o.CacheBytes, l.blockSize)
	spillDir := filepath.Dir(path)
	if o.ReadOnly {
		spillDir = "" // the system's: the volume's may not be writable
	}
	s.spill = newSpillFile(o.FS, spillDir, l.blockSize)
	s.over = newOverlay(l.size)
	s.over.base = l.redo.Seq
	s.snaps = make(map[*snapshot]struct{})
	s.readers = make(map[uint64]int)
	s.ended = l.redo
	s.label.Store(l)
	s.ctx, s.stop = context.WithCancel(context.Background())
	s.ciphers.init(keys, l.volume, s.holder)
	s.background = make(chan struct{}, 1)
	s.ahead = make(chan struct{}, aheadAtOnce)
	s.gate.idle = make(chan struct{})
}

// gate counts the calls under way, so that Close can wait for them.
type gate struct {
	mu     sync.Mutex // guards the fields below
	active int
	closed bool
	idle   chan struct{} // closed when closed is set and active is 0
}

// enter admits a call, which must leave. It fails once the store is closing.
func (g *gate) enter() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return ErrClosed
	}
	g.active++
	return nil
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.active--; g.closed && g.active == 0 {
		close(g.idle)
	}
}

// shut lets nobody in any more and waits until everybody has left. It reports
// whether this call was the one that closed the gate.
func (g *gate) shut() bool {
	g.mu.Lock()
	first := !g.closed
	g.closed = true
	if first && g.active == 0 {
		close(g.idle)
	}
	g.mu.Unlock()
	<-g.idle
	return first
}
