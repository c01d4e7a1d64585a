package journal

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/cofferdb/coffer/internal/fault"
)

// Prefixed is what [Prefix] accepted.
type Prefixed struct {
	End   Position // of what was applied
	Tail  *Tail    // as in [Recovered]; nil where nothing was cut, and where there is a cause
	Cause error    // why Recover would refuse the journal; nil where it would not
}

// Prefix is [Recover] for a journal that is damaged, altered or gone: it calls
// apply for every data frame that Recover would accept before the first thing
// it refuses, in order, and returns where that ended and why. What was applied is authentic and without a
// gap from the floor on; what comes after it is lost. It writes nothing.
//
// Errors, where nothing is to be believed: the context's; [ErrNotActivated] and
// [ErrVersion], since another keyring or build could read on; [ErrUsage]; and
// what the file system returned, except for a slot or frame that cannot be read.
func Prefix(ctx context.Context, o Options, from Floor, apply func(Frame) error) (p Prefixed, err error) {
	o, err = o.check()
	if err != nil {
		return p, err
	}
	if len(from.Keys) == 0 {
		return p, fmt.Errorf("journal: floor names no key: %w", fault.Usage)
	}
	r := &Recovered{o: o, from: from, End: from.Position}
	defer func() { _ = r.Close() }() // only gives back leases
	p.End = from.Position
	p.Cause, err = r.readPrefix(ctx, func(f Frame) error {
		if err := apply(f); err != nil {
			return err
		}
		p.End = Position{Segment: f.Segment, Seq: f.Seq, Chain: f.Chain}
		return nil
	})
	for _, hard := range []error{context.Canceled, context.DeadlineExceeded, fault.NotActivated, fault.Version} {
		if errors.Is(p.Cause, hard) {
			return Prefixed{}, p.Cause
		}
	}
	if p.Cause == nil {
		p.End, p.Tail = r.End, r.Tail
	}
	return p, err
}

func (r *Recovered) readPrefix(ctx context.Context, apply func(Frame) error) (cause, err error) {
	r.all, err = readSlots(r.o.FS, r.o.Dir, func(s *found, err error) error {
		s.err = fmt.Errorf("%w: %w", errNoHeader, err)
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		return &SegmentError{Segment: r.start(), Err: errors.Join(ErrMissing, err)}, nil
	}
	if err != nil {
		return nil, err
	}
	chain, cause := r.sortPrefix()
	r.DurableMark = max(r.from.DurableThrough, r.from.Position.Seq)
	for i, images := range chain {
		s, err := r.enter(images)
		if err != nil {
			return errors.Join(segmentError(images, 0, 0, err), cause), nil
		}
		var limit *predecessor
		if i+1 < len(chain) {
			limit = &chain[i+1][0].hdr.pred
		}
		if err := r.scan(ctx, s, images, limit, apply); err != nil {
			return errors.Join(cause, err), nil
		}
	}
	if cause == nil && r.End.Seq < r.DurableMark {
		cause = &SegmentError{Segment: r.End.Segment, Seq: r.End.Seq + 1, Err: errLost}
	}
	return cause, nil
}

// sortPrefix returns the segments from the start on up to the first that is not
// there or that two different slots claim to be, and what is wrong with that one.
func (r *Recovered) sortPrefix() (chain [][]*found, cause error) {
	byNumber, twice := map[uint64][]*found{}, map[uint64]bool{}
	last := max(r.start(), r.from.MustReach)
	for _, s := range r.all {
		n := s.hdr.number
		if s.err != nil || !s.hdr.ours(&r.o) || n < r.start() {
			continue
		}
		if first := byNumber[n]; first != nil && first[0].hdr != s.hdr {
			twice[n] = true
		}
		byNumber[n] = append(byNumber[n], s)
		last = max(last, n)
	}
	for n := r.start(); n <= last; n++ {
		switch {
		case twice[n]:
			return chain, &SegmentError{Segment: n, Err: errDuplicate}
		case byNumber[n] == nil:
			return chain, &SegmentError{Segment: n, Err: r.missing(byNumber)}
		}
		chain = append(chain, byNumber[n])
	}
	return chain, nil
}
