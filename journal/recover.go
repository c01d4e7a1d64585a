package journal

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"

	"github.com/cofferdb/coffer/internal/fault"
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

// Close gives back the leases, unless [Recovered.Continue] passed them on. It may be called again.
func (r *Recovered) Close() error {
	r.once.Do(func() {
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
			return nil, &SegmentError{Segment: n, Err: r.missing(byNumber)}
		}
		chain = append(chain, images)
	}
	return chain, nil
}

// missing is ErrMissing, and ErrTampered as well where a segment that is there
// was begun under a newer label: then an older label was put back. Nothing is
// accepted either way, so that the header need not authenticate.
func (r *Recovered) missing(byNumber map[uint64][]*found) error {
	for _, images := range byNumber {
		if images[0].hdr.generation > r.from.Generation {
			return fault.Both(ErrMissing, errGeneration)
		}
	}
	return ErrMissing
}

// enter checks a segment's header: the key, the MAC, the generation, and what it continues.
func (r *Recovered) enter(images []*found) (*segment, error) {
	h := &images[0].hdr
	if !slices.Contains(r.from.Keys, h.key) {
		return nil, fmt.Errorf("key %v: %w", h.key, errKeyNotNamed)
	}
	if n := len(r.segs); r.from.Sealed && h.key.IsZero() && n > 0 && !r.segs[n-1].hdr.key.IsZero() {
		return nil, fmt.Errorf("a plain segment behind one under a key: %w", errKeyNotNamed)
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
