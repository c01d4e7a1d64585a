package journal

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/guid"
)

// Journal is a journal open for writing. All methods may be called from many goroutines.
//
// Lock order: admin, then slot.io, then mu. Sealing holds none of them.
type Journal struct {
	o          Options
	generation atomic.Uint64
	durableSeq atomic.Uint64
	wipe       atomic.Bool // see Wipe

	// admin guards which slots there are and what they are for: the fields of this group.
	admin    sync.Mutex
	names    map[int]bool // numbers of slots that exist
	prepared *slot        // the next segment's, made ahead
	spare    []*slot      // to be recycled
	kept     []*segment   // below the redo position, by number
	junk     []*found     // slots needed by nobody, found in the folder
	removed  bool
	held     uint64 // segments of this number and above are not given up, for who copies them; 0 none

	// mu guards the rest, and what segments say it guards.
	mu      sync.Mutex
	segs    []*segment // from the redo position on, by number; the last one takes tickets
	writing *segment   // the one whose frames are written now
	queue   queue      // tickets not yet written, by sequence number
	nextSeq uint64     // of the next ticket
	handed  uint64     // highest sequence number handed over
	backlog int64      // bytes handed over and not yet written
	written Position   // the last frame written
	durable Position   // the last frame synced
	leading bool       // somebody writes; who does owns batch and the end of the segment being written
	waiters int
	wake    chan struct{} // closed when anything a waiter may wait for has changed
	err     error         // poisoned
	closed  bool

	batch    []entry // the leader's
	batchBuf []byte  // the leader's

	kick chan struct{} // to the goroutine that works ahead
	stop chan struct{}
	idle sync.WaitGroup
}

func newJournal(o Options) *Journal {
	return &Journal{
		o: o, names: map[int]bool{}, wake: make(chan struct{}),
		kick: make(chan struct{}, 1), stop: make(chan struct{}),
	}
}

// compose makes the next segment, without a slot.
func (j *Journal) compose(pred predecessor, key dek.ID, generation uint64, session [16]byte) (*segment, error) {
	s := &segment{hdr: header{
		unit: uint32(j.o.Unit), number: pred.number + 1, segment: guid.New(), volume: j.o.Volume, stream: j.o.Stream,
		session: session, key: key, generation: generation, first: pred.end + 1, pred: pred,
		created: seconds(j.o.Now()), capacity: uint64(j.o.SegmentBytes),
	}}
	s.end, s.last, s.chain = int64(j.o.Unit), pred.end, pred.chain
	if err := s.unlock(&j.o); err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	if err := s.mayWrite(); err != nil {
		s.free()
		return nil, err
	}
	return s, nil
}

// begin puts the first segment of this opening into a slot and starts the work ahead.
func (j *Journal) begin(s *segment) error {
	head := rawFrame{data: s.hdr.encode(s.cipher)}
	place, err := makeSlot(&j.o, j.names, min(firstFill, j.o.SegmentBytes), head)
	if err != nil {
		s.free()
		return fmt.Errorf("journal: %w", err)
	}
	place.used, place.key, s.begun = true, s.hdr.key, true
	s.slots = []*slot{place}
	j.generation.Store(s.hdr.generation)
	j.segs = append(j.segs, s)
	j.writing, j.nextSeq, j.handed = s, s.hdr.first, s.last
	j.written = Position{Segment: s.hdr.number, Seq: s.last, Chain: s.chain}
	j.durable = j.written
	j.durableSeq.Store(s.last)
	j.queue.reset(s.hdr.first)
	if !j.o.Inline {
		j.idle.Add(1)
		go j.workAhead()
	}
	return nil
}

// MaxPayload is the longest record in bytes: Options.MaxFramePayload, or less where a segment holds less.
func (j *Journal) MaxPayload() int { return j.o.MaxFramePayload }

// SetGeneration sets what frames and headers carry from now on: the generation that both copies of the caller's label durably have.
func (j *Journal) SetGeneration(g uint64) { j.generation.Store(g) }

// Durable is the durable end. After a switch it names the new segment as soon as that one's header is durable.
func (j *Journal) Durable() Position {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.durable
}

// DurableSeq is Durable().Seq without a lock.
func (j *Journal) DurableSeq() uint64 { return j.durableSeq.Load() }

// Key is the key of the segment that takes tickets; zero where it is plain.
func (j *Journal) Key() dek.ID {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.taking().hdr.key
}

// Err is nil, or why the journal accepts nothing more ([ErrOutcomeUnknown]).
func (j *Journal) Err() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.err
}

// taking is the segment that takes tickets. mu is held.
func (j *Journal) taking() *segment { return j.segs[len(j.segs)-1] }

// poison makes the journal refuse everything from now on. mu is held.
func (j *Journal) poison(err error) {
	if j.err == nil {
		j.err = fmt.Errorf("journal: %w: %w", fault.OutcomeUnknown, err)
		j.o.Logger.Error("journal: write failed, nothing more is accepted until it is reopened", "dir", j.o.Dir, "error", err)
	}
	j.broadcast()
}

// broadcast wakes everybody who waits. mu is held.
func (j *Journal) broadcast() {
	if j.waiters > 0 {
		close(j.wake)
		j.wake = make(chan struct{})
		j.waiters = 0
	}
}

// Close waits for open tickets, makes everything durable, and gives leases and
// files back. It removes nothing. Where ctx ends first, or the journal is
// poisoned, the error says so; what was not durable then is lost or not, and
// everything is given back all the same. Closing again does nothing.
func (j *Journal) Close(ctx context.Context) error {
	j.mu.Lock()
	if j.closed {
		j.mu.Unlock()
		return nil
	}
	j.closed = true
	last := j.nextSeq - 1
	err := j.await(ctx, last, 0)
	for j.leading {
		_ = j.sleep(context.Background())
	}
	if j.err == nil && j.durable.Seq < last {
		j.poison(ErrClosed) // late committers learn of it
	}
	j.mu.Unlock()
	close(j.stop)
	j.idle.Wait()
	j.giveBack()
	return err
}
