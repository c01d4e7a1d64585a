package journal

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/cofferdb/coffer/internal/fsx"
)

// Report is what [Scrub] found.
type Report struct {
	Segments  int            // with a readable header
	Frames    int            // with a right checksum
	Bytes     int64          // of these frames
	Bad       []SegmentError // frames that were durable and are not whole; segments of a volume that contradict each other
	Unsettled []Tail         // ends that are no damage: traces of frames never acknowledged, as a power cut leaves them; what is left of a segment nobody needs

	from uint64
}

// Scrub checks the segments of a volume without keys: headers and frames by
// their checksums, and that segments continue each other. It authenticates
// nothing. from is the number of the first segment that recovery needs (of the
// label's redo position): below it a slot may be half removed or half recycled,
// and nothing in it counts as bad. Slots without a readable header are what a
// power cut may leave. A folder that is not there has no segments. It writes nothing.
func Scrub(ctx context.Context, fsys fsx.FS, dir string, volume [16]byte, from uint64) (Report, error) {
	r := Report{from: from}
	slots, err := readFolder(fsys, dir)
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return r, err
	}
	segs := groupSegments(slots, volume)
	for i, images := range segs {
		r.Segments++
		var next *predecessor
		if i+1 < len(segs) {
			next = r.successor(images[0], segs[i+1][0])
		}
		if err := r.segment(ctx, images, next); err != nil {
			return r, fmt.Errorf("journal: scrub: %w", err)
		}
	}
	return r, nil
}

// groupSegments returns the images of each of the volume's segments, by stream and number.
func groupSegments(slots []*found, volume [16]byte) [][]*found {
	var segs [][]*found
	for _, s := range slots {
		if s.err != nil || s.hdr.volume != volume {
			continue
		}
		at := slices.IndexFunc(segs, func(g []*found) bool { return g[0].hdr == s.hdr })
		if at >= 0 {
			segs[at] = append(segs[at], s)
		} else {
			segs = append(segs, []*found{s})
		}
	}
	slices.SortStableFunc(segs, func(a, b []*found) int {
		x, y := a[0].hdr, b[0].hdr
		if c := slices.Compare(x.stream[:], y.stream[:]); c != 0 {
			return c
		}
		if x.number < y.number {
			return -1
		}
		return 1
	})
	return segs
}

// successor returns what the next segment says of this one, if it is the next.
// Numbers that are skipped are no damage: segments that nobody needs go one by
// one. Where one continues another in number it must in identity.
func (r *Report) successor(s, next *found) *predecessor {
	p := &next.hdr.pred
	switch {
	case next.hdr.stream != s.hdr.stream || next.hdr.number > s.hdr.number+1:
		return nil
	case next.hdr.number == s.hdr.number:
		r.bad(next, 0, 0, errDuplicate)
		return nil
	case p.segment == [16]byte{}: // begun on a clean volume: its predecessor may be anything
		return nil
	case p.segment != s.hdr.segment:
		r.bad(next, 0, 0, errPredecessor)
		return nil
	}
	return p
}

func (r *Report) bad(s *found, seq uint64, off int64, err error) {
	if s.hdr.number < r.from {
		r.Unsettled = append(r.Unsettled, Tail{Segment: s.hdr.number, Offset: off})
		return
	}
	r.Bad = append(r.Bad, SegmentError{Segment: s.hdr.number, Slot: s.name, Seq: seq, Offset: off, Err: err})
}

// segment checks the frames of one segment.
func (r *Report) segment(ctx context.Context, images []*found, next *predecessor) error {
	h := &images[0].hdr
	w := newWalker(h, imagesOf(images), nil)
	defer w.close()
	ended := false
	for next == nil || w.seq <= next.end {
		if err := ctx.Err(); err != nil {
			return err
		}
		f, err := w.next()
		if err != nil && !errors.Is(err, ErrTampered) {
			return err
		}
		if err != nil {
			r.bad(images[0], w.seq, w.off, err)
			return nil
		}
		if f == nil {
			return r.stopped(ctx, w, images[0], next, ended)
		}
		ended = f.kind == kindClose
		r.Frames++
		r.Bytes += int64(len(f.raw))
	}
	if next.chain != w.prev || next.offset != uint64(w.off) {
		r.bad(images[0], w.seq-1, w.off, errPredecessor)
	}
	return nil
}

// stopped decides what the place is where no frame is whole.
func (r *Report) stopped(ctx context.Context, w *walker, s *found, next *predecessor, ended bool) error {
	e, err := w.search(ctx)
	switch {
	case err != nil:
		return err
	case next != nil || w.seq <= e.durable:
		r.bad(s, w.seq, w.off, errLost)
	case !ended && (e.traces || w.off%int64(w.hdr.unit) != 0 || e.bytes > 0 && !w.hdr.recycled):
		r.Unsettled = append(r.Unsettled, Tail{Segment: w.hdr.number, Offset: w.off, Bytes: e.bytes})
	}
	return nil
}
