package journal

import (
	"context"
	"errors"
	"fmt"

	"github.com/cofferdb/coffer/dek"
)

// errStop ends a [Follow] without an error.
var errStop = errors.New("journal: that is enough")

// Stop is what a function called by [Follow] returns where it wants no more frames.
func Stop() error { return errStop }

// Follow reads a folder's segments from a position on, through sessions that
// were closed cleanly as well, and writes nothing: for roll-forward. It gives
// frames to apply, and what headers say to begin, as [NewFeed] says, until apply
// returns [Stop] or the journal ends, and returns where that was. keys are
// allowed besides those that closing frames name.
//
// Segments must be there one after the other and continue each other in
// sequence and chain: a gap is [ErrMissing], naming the segment. What follows the last
// frame that is whole is a tail, unless something authentic says that it was
// durable ([ErrDamaged]). A last segment that was closed for another one, which is not there, is [ErrMissing] too.
// A folder without segments behind from is the end, at from.
func Follow(ctx context.Context, o Options, from Position, keys []dek.ID, begin func(SegmentInfo) error, apply func(Frame) error) (Position, error) {
	o, err := o.check()
	if err != nil {
		return from, err
	}
	segs, err := archive(&o, from)
	if err != nil || segs == nil {
		return from, err
	}
	f := NewFeed(o, from, keys, begin, apply)
	defer f.Close()
	for i, images := range segs {
		var limit *predecessor
		if i+1 < len(segs) {
			limit = &segs[i+1][0].hdr.pred
		}
		if err := f.segment(ctx, images, limit); errors.Is(err, errStop) {
			return f.End(), nil
		} else if err != nil {
			return f.End(), err
		}
	}
	if !f.reached() {
		return f.End(), fmt.Errorf("journal: frame %d, to go on from, is not in the folder: %w", from.Seq, errLost)
	}
	if f.ended != nil {
		return f.End(), &SegmentError{Segment: f.ended.number, Err: fmt.Errorf("the segment before was closed for it: %w", ErrMissing)}
	}
	return f.End(), nil
}

// archive returns the images of each segment to be read, by number; nil where there are none.
func archive(o *Options, from Position) ([][]*found, error) {
	slots, err := readFolder(o.FS, o.Dir)
	if err != nil {
		return nil, err
	}
	var segs [][]*found
	next := max(from.Segment, 1)
	for _, images := range groupSegments(slots, o.Volume) {
		h := &images[0].hdr
		switch {
		case !h.ours(o) || h.number < next:
			if n := len(segs); n > 0 && h.ours(o) && segs[n-1][0].hdr.number == h.number {
				return nil, &SegmentError{Segment: h.number, Slot: images[0].name, Err: errDuplicate}
			}
			continue
		case h.number > next && !(len(segs) == 0 && h.first == from.Seq+1):
			return nil, &SegmentError{Segment: next, Err: ErrMissing}
		}
		segs, next = append(segs, images), h.number+1
	}
	return segs, nil
}

// segment gives one segment of a folder to the feed, up to where its successor says it ends.
func (f *Feed) segment(ctx context.Context, images []*found, limit *predecessor) error {
	if err := f.Segment(images[0].hdr.marshal()); err != nil {
		return err
	}
	w := newWalker(&f.seg.hdr, imagesOf(images), nil)
	defer w.close()
	for limit == nil || w.seq <= limit.end {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("journal: follow: %w", err)
		}
		s, err := w.next()
		if err != nil {
			return segmentError(images, w.seq, w.off, err)
		}
		if s == nil {
			return f.stopped(ctx, w, images, limit)
		}
		if err := f.Frame(s.raw); err != nil {
			return err
		}
	}
	return nil
}

// stopped decides what a place without a whole frame is: the journal's end, or damage.
func (f *Feed) stopped(ctx context.Context, w *walker, images []*found, limit *predecessor) error {
	if limit != nil {
		return segmentError(images, w.seq, w.off, errLost)
	}
	w.cipher = f.seg.cipher // headers found in the search are to be authentic
	e, err := w.search(ctx)
	if err == nil && e.durable >= w.seq {
		err = errLost
	}
	if err != nil {
		return segmentError(images, w.seq, w.off, err)
	}
	return nil
}
