package journal

import (
	"context"
	"fmt"
	"slices"

	"github.com/cofferdb/coffer/internal/secmem"
)

// scan accepts the frames of a segment, up to where its successor says it ends.
func (r *Recovered) scan(ctx context.Context, s *segment, images []*found, limit *predecessor, apply func(Frame) error) error {
	defer s.lock()
	w := newWalker(&s.hdr, imagesOf(images), s.cipher)
	defer func() { secmem.Wipe(w.plain[:cap(w.plain)]) }()
	fail := func(err error) error { return segmentError(images, w.seq, w.off, err) }
	var ended *closing
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
		case ended != nil:
			return fail(errAfterClose)
		}
		if f.kind == kindClose {
			if c, ok := decodeClosing(f.payload); ok && c.number == s.hdr.number+1 {
				ended = &c
			} else {
				return segmentError(images, f.seq, f.off, errForged)
			}
		}
		if err := r.take(s, w, f, limit == nil, len(images) > 1, apply); err != nil {
			return segmentError(images, f.seq, f.off, err)
		}
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
func (r *Recovered) cut(ctx context.Context, s *segment, w *walker, ended *closing) error {
	e, err := w.search(ctx)
	if err != nil {
		return err
	}
	r.DurableMark = max(r.DurableMark, e.durable)
	if w.seq <= r.DurableMark {
		return errLost
	}
	if ended != nil {
		return r.headless(ctx, s, w.seq, ended)
	}
	unfinished := w.off%int64(s.hdr.unit) != 0 // more was written with the last frame
	if e.traces || unfinished || e.bytes > 0 && !s.hdr.recycled {
		r.Tail = &Tail{Segment: s.hdr.number, Offset: w.off, Bytes: e.bytes}
	}
	return nil
}

// headless looks for the segment that a closing frame names among the slots
// whose header cannot be read. A power cut leaves no header where the first
// sync of a segment never ended; frames that say otherwise make it damage.
func (r *Recovered) headless(ctx context.Context, s *segment, first uint64, c *closing) error {
	var images []*image
	for _, f := range r.all {
		if f.err == nil {
			continue
		}
		m := imagesOf([]*found{f})[0]
		seen := false
		err := m.traces(c.segment, 0, m.size, func([]byte, int64) bool { seen = true; return false })
		if err != nil {
			return err
		}
		if seen {
			images = append(images, m)
		}
	}
	if images == nil {
		return nil
	}
	next := &segment{hdr: header{
		unit: s.hdr.unit, number: c.number, segment: c.segment, volume: r.o.Volume, stream: r.o.Stream,
		key: c.key, first: first, capacity: MaxSegmentBytes,
	}}
	if !slices.Contains(r.from.Keys, next.hdr.key) {
		return fmt.Errorf("successor under key %v: %w", next.hdr.key, errKeyNotNamed)
	}
	if err := next.unlock(&r.o); err != nil {
		return err
	}
	defer next.free()
	w := newWalker(&next.hdr, images, next.cipher)
	w.off = 0
	e, err := w.search(ctx)
	if err != nil {
		return err
	}
	if e.durable >= first {
		return fmt.Errorf("header of segment %d: %w", c.number, errLost)
	}
	r.Tail = &Tail{Segment: c.number, Bytes: e.bytes}
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
