package journal

import (
	"fmt"
	"slices"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/secmem"
)

// Feed reads segments that lie elsewhere than in a journal's folder, such as in a
// backup, or that sessions closed cleanly: as [Recover] reads them, but for the
// tail, which there is none of: every frame given must be right. It is a
// [Copier], and not for concurrent use.
type Feed struct {
	o     Options
	from  Position
	keys  []dek.ID // allowed; nil: whatever the headers name
	begin func(SegmentInfo) error
	apply func(Frame) error

	seg   *segment // nil before the first
	w     *walker
	ended *closing
}

var _ Copier = (*Feed)(nil)

// NewFeed makes a feed that gives every data frame after position from to apply,
// and before a segment's frames what its header says to begin, where that is
// not nil. Of o, Keys, Volume and Stream count. keys are the IDs of the keys that the
// segments may be under, and grow by those that closing frames name; nil allows all, for segments that
// something else authenticates.
func NewFeed(o Options, from Position, keys []dek.ID, begin func(SegmentInfo) error, apply func(Frame) error) *Feed {
	if begin == nil {
		begin = func(SegmentInfo) error { return nil }
	}
	return &Feed{o: o, from: from, keys: slices.Clone(keys), begin: begin, apply: apply}
}

// Close gives the lease back and wipes what was decrypted.
func (f *Feed) Close() {
	if f.seg == nil {
		return
	}
	secmem.Wipe(f.w.plain[:cap(f.w.plain)])
	f.w.plain = nil
	if f.seg.cipher != nil {
		f.seg.free()
	}
}

// End is the position behind the last frame; the one to start from before the first segment.
func (f *Feed) End() Position {
	if f.seg == nil {
		return f.from
	}
	return Position{Segment: f.seg.hdr.number, Seq: f.w.seq - 1, Chain: f.w.prev}
}

// Segment takes the header of the next segment.
func (f *Feed) Segment(raw []byte) error {
	h, err := decodeHeader(raw)
	if err == nil && !h.ours(&f.o) {
		err = fmt.Errorf("of another volume or stream: %w", fault.Tampered)
	}
	if err == nil {
		err = f.enter(h)
	}
	if err != nil {
		return &SegmentError{Segment: h.number, Err: err}
	}
	return nil
}

func (f *Feed) enter(h header) error {
	if err := f.continues(&h); err != nil {
		return err
	}
	if f.keys != nil && !slices.Contains(f.keys, h.key) {
		return fmt.Errorf("key %v: %w", h.key, errKeyNotNamed)
	}
	f.Close()
	s := &segment{hdr: h}
	if f.o.Holder == "" {
		f.o.Holder = "a copy of journal segments"
	}
	if err := s.unlock(&f.o); err != nil {
		return err
	}
	f.seg, f.w, f.ended = s, newWalker(&s.hdr, nil, s.cipher), nil
	if !h.authentic(s.cipher) {
		return errHeaderMAC
	}
	return f.begin(h.info())
}

// continues checks that a segment goes on where the one before ended. One that
// was begun after a clean end names no predecessor; sequence and chain bind it all the same.
func (f *Feed) continues(h *header) error {
	if f.seg == nil {
		if h.first > f.from.Seq+1 || h.first == f.from.Seq+1 && h.pred.chain != f.from.Chain {
			return errPosition
		}
		return nil
	}
	p := &f.seg.hdr
	switch {
	case h.number > p.number+1:
		return fmt.Errorf("segment %d before it is not there: %w", p.number+1, ErrMissing)
	case h.number != p.number+1, h.first != f.w.seq, h.pred.chain != f.w.prev:
		return errPredecessor
	case h.pred.segment == [16]byte{} && h.pred.offset == 0:
		return nil
	case h.pred.segment != p.segment, h.pred.offset != uint64(f.w.off):
		return errPredecessor
	}
	return nil
}

// Frame takes the next frame of the segment.
func (f *Feed) Frame(raw []byte) error {
	if f.seg == nil {
		return fmt.Errorf("journal: a frame before any segment: %w", fault.Damaged)
	}
	seq, off := f.w.seq, f.w.off
	if err := f.frame(raw); err != nil {
		return &SegmentError{Segment: f.seg.hdr.number, Seq: seq, Offset: off, Err: err}
	}
	return nil
}

func (f *Feed) frame(raw []byte) error {
	h, ok := decodeFrame(raw)
	s := &step{frameHeader: h, off: f.w.off, raw: raw}
	switch {
	case f.ended != nil:
		return errAfterClose
	case !ok || int64(len(raw)) != frameHeaderSize+int64(h.length) || !isFrameOf(raw, f.seg.hdr.segment):
		return fmt.Errorf("not a frame of the segment: %w", fault.Damaged)
	case f.w.off+int64(len(raw)) > int64(f.seg.hdr.capacity), !f.w.authentic(s):
		return errForged
	case h.seq != f.w.seq || h.prev != f.w.prev:
		return errMisplaced
	case h.seq == f.from.Seq && h.chain != f.from.Chain:
		return errPosition
	}
	if h.kind == kindClose {
		c, ok := decodeClosing(s.payload)
		if !ok || c.number != f.seg.hdr.number+1 {
			return errForged
		}
		f.ended = &c
		if f.keys != nil && !slices.Contains(f.keys, c.key) {
			f.keys = append(f.keys, c.key)
		}
	}
	return f.give(s)
}

// give applies a frame that is authentic and goes on behind it. Where apply wants no more the feed stays before it.
func (f *Feed) give(s *step) error {
	if s.seq > f.from.Seq && s.kind == kindData {
		err := f.apply(Frame{Segment: f.seg.hdr.number, Seq: s.seq, Session: f.seg.hdr.session, Generation: s.generation, Chain: s.chain, Payload: s.payload})
		if f.seg.cipher.Encrypted() {
			secmem.Wipe(s.payload)
		}
		if err != nil {
			return err
		}
	}
	f.w.accept(s)
	return nil
}

// reached says whether the feed has got to where it was to start.
func (f *Feed) reached() bool { return f.seg != nil && f.w.seq > f.from.Seq }
