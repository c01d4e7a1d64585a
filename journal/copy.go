package journal

import (
	"context"
	"fmt"
	"slices"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
)

// Hold keeps the segments numbered from and above, whatever [Journal.Release]
// says, until [Journal.LetGo]. There is one hold at a time ([ErrState]).
func (j *Journal) Hold(from uint64) error {
	j.admin.Lock()
	defer j.admin.Unlock()
	if j.held != 0 {
		return fmt.Errorf("journal: segments are held already: %w", fault.State)
	}
	j.held = max(from, 1)
	return nil
}

// LetGo ends a hold. What was kept for it goes with the next [Journal.Release].
func (j *Journal) LetGo() {
	j.admin.Lock()
	defer j.admin.Unlock()
	j.held = 0
}

// SetRetain changes what Options.Retain said; it counts from the next [Journal.Release] on.
func (j *Journal) SetRetain(n int) error {
	if n < -1 {
		return fmt.Errorf("journal: %d segments to be kept: %w", n, fault.Usage)
	}
	j.admin.Lock()
	defer j.admin.Unlock()
	j.o.Retain = n
	return nil
}

// Copier takes segments in order: a header's unit, then the frames of that segment as they
// lie in the slot, without what pads them. What it is given is valid during the call.
type Copier interface {
	Segment(header []byte) error
	Frame(raw []byte) error
}

// Copy gives every frame from the beginning of segment from to position to,
// which is durable, to a copier; the segments are held. Frames are read from the
// files and checked by their checksums, beside whoever appends.
func (j *Journal) Copy(ctx context.Context, from uint64, to Position, c Copier) error {
	segs, err := j.between(max(from, 1), to.Segment)
	if err != nil {
		return err
	}
	for i, images := range segs {
		end := to.Seq
		if i+1 < len(segs) {
			end = segs[i+1][0].hdr.pred.end
		}
		if err := copySegment(ctx, images, end, c); err != nil {
			return err
		}
	}
	return nil
}

// between reads the headers of the segments with these numbers, which are all there.
func (j *Journal) between(from, to uint64) ([][]*found, error) {
	j.admin.Lock()
	j.mu.Lock()
	var names [][]string
	at := from
	for _, s := range slices.Concat(j.kept, j.segs) {
		if s.hdr.number != at || at > to {
			continue
		}
		var images []string
		for _, p := range s.slots {
			images = append(images, p.name)
		}
		names = append(names, images)
		at++
	}
	j.mu.Unlock()
	j.admin.Unlock()
	if at != to+1 {
		return nil, &SegmentError{Segment: at, Err: ErrMissing}
	}
	segs := make([][]*found, len(names))
	for i, images := range names {
		for _, name := range images {
			f, err := findSlot(j.o.FS, j.o.Dir, name)
			if err == nil {
				err = f.err
			}
			if err != nil {
				return nil, &SegmentError{Segment: from + uint64(i), Slot: name, Err: err}
			}
			segs[i] = append(segs[i], f)
		}
	}
	return segs, nil
}

// copySegment gives a segment's header and its frames up to end to a copier.
func copySegment(ctx context.Context, images []*found, end uint64, c Copier) error {
	h := &images[0].hdr
	if err := c.Segment(h.marshal()); err != nil {
		return err
	}
	w := newWalker(h, imagesOf(images), nil)
	defer w.close()
	for w.seq <= end {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("journal: copy: %w", err)
		}
		f, err := w.next()
		if f == nil && err == nil {
			err = errLost
		}
		if err != nil {
			return segmentError(images, w.seq, w.off, err)
		}
		if err := c.Frame(f.raw); err != nil {
			return err
		}
	}
	return nil
}

// KeyOf returns the ID of the key that a segment's header names; zero: plain, or no header.
func KeyOf(header []byte) dek.ID {
	h, err := decodeHeader(header)
	if err != nil {
		return dek.ID{}
	}
	return h.key
}
