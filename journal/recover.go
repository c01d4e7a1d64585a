package journal

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"

	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/secmem"
)

// Recovered is an accepted journal that is not yet believed: [Recovered.Settle]
// comes before anything else is written on the strength of it. It holds a lease
// for the key of each segment it read. It is not for concurrent use.
type Recovered struct {
	End         Position      // of the last accepted frame
	DurableMark uint64        // highest sequence number that something authentic, or the floor, says was durable
	Tail        *Tail         // nil where nothing was cut
	Segments    []SegmentInfo // every slot of this volume, and unreadable ones
	Frames      int           // accepted frames after the floor, of all kinds
	Bytes       int64         // their size in the file

	o       Options
	from    Floor
	all     []*found   // every slot in the folder
	segs    []*segment // read, by number
	raw     []rawFrame // of the last segment: what Settle copies
	images  []*found   // of the last segment
	settled bool
	spent   bool // Continue was tried
	once    sync.Once
}

// rawFrame is an accepted frame as it lies in its slot.
type rawFrame struct {
	seq  uint64
	off  int64
	data []byte
}

// Recover reads a journal from a floor on and calls apply for every accepted
// data frame with Seq > from.Position.Seq, in order. It writes nothing, so it
// serves read-only opens too. The caller makes sure that nobody writes to the
// folder meanwhile, and calls [Recovered.Close] when done.
//
// A bad frame ends what is accepted and is reported as Tail, unless something
// authentic, or the floor, says it was durable. Errors, each usually inside a
// [SegmentError]: [ErrMissing]; [ErrDamaged] for a frame that was durable;
// [ErrTampered]; [ErrNotActivated]; [ErrVersion]; [ErrUsage]; whatever the file
// system or apply returned. After an error what was applied counts for nothing.
func Recover(ctx context.Context, o Options, from Floor, apply func(Frame) error) (*Recovered, error) {
	o, err := o.check()
	if err != nil {
		return nil, err
	}
	if len(from.Keys) == 0 {
		return nil, fmt.Errorf("journal: floor names no key: %w", fault.Usage)
	}
	r := &Recovered{o: o, from: from}
	if err := r.read(ctx, apply); err != nil {
		_ = r.Close()
		return nil, err
	}
	return r, nil
}

// Close gives back the leases and files, unless [Recovered.Continue] passed them on. It may be called again.
func (r *Recovered) Close() error {
	r.once.Do(func() {
		closeFound(r.all)
		for _, s := range r.segs {
			s.lease.Release()
		}
		r.raw = nil
	})
	return nil
}

// start is the number of the segment to start reading at.
func (r *Recovered) start() uint64 { return max(r.from.Position.Segment, 1) }

func (r *Recovered) read(ctx context.Context, apply func(Frame) error) (err error) {
	r.all, err = readFolder(r.o.FS, r.o.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return &SegmentError{Segment: r.start(), Err: errors.Join(ErrMissing, err)}
	}
	if err != nil {
		return err
	}
	chain, err := r.sort()
	if err != nil {
		return err
	}
	r.DurableMark = max(r.from.DurableThrough, r.from.Position.Seq)
	for i, images := range chain {
		s, err := r.enter(images)
		if err != nil {
			return segmentError(images, 0, 0, err)
		}
		var limit *predecessor
		if i+1 < len(chain) {
			limit = &chain[i+1][0].hdr.pred
		} else {
			r.images = images
		}
		if err := r.scan(ctx, s, images, limit, apply); err != nil {
			return err
		}
	}
	if r.End.Seq < r.DurableMark {
		return &SegmentError{Segment: r.End.Segment, Seq: r.End.Seq + 1, Err: errLost}
	}
	r.list()
	return nil
}

// sort returns the images of each segment from the start on, by number, without a gap.
func (r *Recovered) sort() ([][]*found, error) {
	byNumber := map[uint64][]*found{}
	last := uint64(0)
	for _, s := range r.all {
		if s.err != nil {
			if !headerIsForeign(&s.hdr, s.err, &r.o) {
				return nil, &SegmentError{Segment: s.hdr.number, Slot: s.name, Err: s.err}
			}
			continue
		}
		n := s.hdr.number
		if !s.hdr.ours(&r.o) || n < r.start() {
			continue
		}
		if first := byNumber[n]; first != nil && first[0].hdr != s.hdr {
			return nil, &SegmentError{Segment: n, Slot: s.name, Err: errDuplicate}
		}
		byNumber[n] = append(byNumber[n], s)
		last = max(last, n)
	}
	var chain [][]*found
	for n := r.start(); n <= max(last, r.start(), r.from.MustReach); n++ {
		images := byNumber[n]
		if images == nil {
			return nil, &SegmentError{Segment: n, Err: ErrMissing}
		}
		chain = append(chain, images)
	}
	return chain, nil
}

// enter checks a segment's header: the key, the MAC, the generation, and what it continues.
func (r *Recovered) enter(images []*found) (*segment, error) {
	h := &images[0].hdr
	if !slices.Contains(r.from.Keys, h.key) {
		return nil, fmt.Errorf("key %v: %w", h.key, errKeyNotNamed)
	}
	s := &segment{hdr: *h}
	if err := s.unlock(&r.o); err != nil {
		return nil, err
	}
	r.segs = append(r.segs, s)
	if !h.authentic(s.cipher) {
		return nil, errHeaderMAC
	}
	if h.generation > r.from.Generation {
		return nil, errGeneration
	}
	at := r.from.Position
	if len(r.segs) == 1 {
		if h.first > at.Seq+1 || h.first == at.Seq+1 && h.pred.chain != at.Chain {
			return nil, errPosition
		}
		return s, nil
	}
	if p := r.segs[len(r.segs)-2]; h.pred.number != p.hdr.number || h.pred.segment != p.hdr.segment {
		return nil, errPredecessor
	}
	return s, nil
}

// scan accepts the frames of a segment, up to where its successor says it ends.
func (r *Recovered) scan(ctx context.Context, s *segment, images []*found, limit *predecessor, apply func(Frame) error) error {
	defer s.lock()
	w := newWalker(&s.hdr, imagesOf(images), s.cipher)
	defer func() { secmem.Wipe(w.plain[:cap(w.plain)]) }()
	fail := func(err error) error { return segmentError(images, w.seq, w.off, err) }
	ended := false // by a closing frame
	for limit == nil || w.seq <= limit.end {
		if err := ctx.Err(); err != nil {
			return err
		}
		f, err := w.next()
		switch {
		case err != nil:
			return fail(err)
		case f == nil && limit != nil:
			return fail(errLost)
		case f == nil:
			if err := r.cut(ctx, s, w, ended); err != nil {
				return fail(err)
			}
			return r.leave(s, w, nil)
		case ended:
			return fail(errAfterClose)
		}
		if err := r.take(s, w, f, limit == nil, len(images) > 1, apply); err != nil {
			return segmentError(images, f.seq, f.off, err)
		}
		ended = f.kind == kindClose
	}
	if err := r.leave(s, w, limit); err != nil {
		return fail(err)
	}
	return nil
}

// take accepts one frame: its generation, the position to start from, what Settle needs of it, and its record.
func (r *Recovered) take(s *segment, w *walker, f *step, last, copies bool, apply func(Frame) error) error {
	if f.generation > r.from.Generation {
		return errGeneration
	}
	if f.kind == kindClose {
		if c, ok := decodeClosing(f.payload); !ok || c.number != s.hdr.number+1 {
			return errForged
		}
	}
	r.DurableMark = max(r.DurableMark, f.durable)
	if last {
		r.raw = append(r.raw, rawFrame{f.seq, f.off, slices.Clone(f.raw)})
		// With several images nobody can tell which of them is durable: all of it is copied.
		for !copies && len(r.raw) > 0 && r.raw[0].seq <= r.DurableMark {
			r.raw = r.raw[1:]
		}
	}
	if f.seq == r.from.Position.Seq && f.chain != r.from.Position.Chain {
		return errPosition
	}
	if f.seq <= r.from.Position.Seq {
		return nil
	}
	r.Frames++
	r.Bytes += int64(len(f.raw))
	if f.kind != kindData {
		return nil
	}
	err := apply(Frame{
		Segment: s.hdr.number, Seq: f.seq, Session: s.hdr.session, Generation: f.generation,
		Chain: f.chain, Payload: f.payload,
	})
	if s.cipher.Encrypted() {
		secmem.Wipe(f.payload)
	}
	if err != nil {
		return fmt.Errorf("apply: %w", err)
	}
	return nil
}

// cut decides what a place without a good frame is, in the last segment: the end, the tail, or damage.
func (r *Recovered) cut(ctx context.Context, s *segment, w *walker, ended bool) error {
	e, err := w.search(ctx)
	if err != nil {
		return err
	}
	r.DurableMark = max(r.DurableMark, e.durable)
	if w.seq <= r.DurableMark {
		return errLost
	}
	unfinished := w.off%int64(s.hdr.unit) != 0 // more was written with the last frame
	if !ended && (e.traces || unfinished || e.bytes > 0 && !s.hdr.recycled) {
		r.Tail = &Tail{Segment: s.hdr.number, Offset: w.off, Bytes: e.bytes}
	}
	return nil
}

// leave records where the segment ends and compares it with what its successor says.
func (r *Recovered) leave(s *segment, w *walker, limit *predecessor) error {
	s.last, s.chain, s.end = w.seq-1, w.prev, w.off
	r.End = Position{Segment: s.hdr.number, Seq: s.last, Chain: s.chain}
	if limit == nil {
		return nil
	}
	if limit.end != s.last || limit.chain != s.chain || limit.offset != uint64(s.end) {
		return errPredecessor
	}
	if len(r.segs) == 1 && s.last < r.from.Position.Seq {
		return errPosition
	}
	r.DurableMark = max(r.DurableMark, limit.end)
	return nil
}

// list describes the slots: below the start they are kept or free, which only Release decides.
func (r *Recovered) list() {
	seen := map[uint64]bool{}
	for _, f := range r.all {
		i := f.info()
		switch {
		case f.err != nil: // unreadable, needed by nobody
		case f.hdr.volume != r.o.Volume:
			continue
		case f.hdr.stream != r.o.Stream:
			i.State = StateFree
		case i.Number < r.start():
			i.State = StateKept
		default:
			s := r.segs[i.Number-r.start()]
			i.State, i.Last, i.Bytes = StateLive, s.last, s.end
			i.Copy = seen[i.Number]
			seen[i.Number] = true
		}
		r.Segments = append(r.Segments, i)
	}
	sortInfos(r.Segments)
}

func imagesOf(slots []*found) []*image {
	images := make([]*image, len(slots))
	for i, s := range slots {
		images[i] = &image{name: s.name, file: s.file, size: s.size}
	}
	return images
}

func segmentError(images []*found, seq uint64, off int64, err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("journal: recover: %w", err)
	}
	e := &SegmentError{Segment: images[0].hdr.number, Seq: seq, Offset: off, Err: err}
	if len(images) == 1 {
		e.Slot = images[0].name
	}
	return e
}
