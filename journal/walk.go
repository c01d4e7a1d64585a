package journal

import (
	"context"
	"errors"

	"github.com/cofferdb/coffer/internal/seal"
)

// walker reads the frames of one segment in order. A segment may have several
// images, copies made by [Recovered.Settle]: a frame counts if any has it, since
// an authentic frame at its place is the only one ever written there.
type walker struct {
	hdr    *header
	images []*image
	cipher seal.FrameCipher // nil: without keys, by checksum alone
	seq    uint64           // of the frame expected next
	prev   [32]byte         // chain value before it
	off    int64            // its place
	budget int64            // bytes to checksum in a search without keys
	plain  []byte
}

func newWalker(h *header, images []*image, c seal.FrameCipher) *walker {
	w := &walker{hdr: h, images: images, cipher: c, seq: h.first, prev: h.pred.chain, off: int64(h.unit)}
	for _, m := range images {
		w.budget += 4 * m.size
	}
	return w
}

// close closes the images.
func (w *walker) close() {
	for _, m := range w.images {
		m.close()
	}
}

// step is one accepted frame. raw and payload are valid until the next one; the payload is nil without keys.
type step struct {
	frameHeader
	off     int64
	raw     []byte
	payload []byte
}

// next accepts the frame at its place and goes on behind it. It returns nil
// where no image has a good one: what that means is for the caller to find out.
// A frame that is whole and still not right is an error: no power cut makes it.
func (w *walker) next() (*step, error) {
	var refused error
	for _, m := range w.images {
		s, err := w.try(m)
		if err == nil && s != nil {
			w.accept(s)
			return s, nil
		}
		if err != nil && !errors.Is(err, ErrTampered) {
			return nil, err
		}
		refused = errors.Join(refused, err)
	}
	return nil, refused
}

func (w *walker) accept(s *step) {
	w.seq, w.prev = s.seq+1, s.chain
	w.off += int64(len(s.raw))
	if s.pad {
		w.off = roundUp(w.off, int64(w.hdr.unit))
	}
}

// try reads the frame from one image: nil where it is not there whole.
func (w *walker) try(m *image) (*step, error) {
	raw, err := w.whole(m, w.off)
	if raw == nil || err != nil {
		return nil, err
	}
	h, ok := decodeFrame(raw)
	s := &step{frameHeader: h, off: w.off, raw: raw}
	if !ok || !w.authentic(s) {
		return nil, errForged
	}
	if h.seq != w.seq || h.prev != w.prev {
		return nil, errMisplaced
	}
	return s, nil
}

// whole returns the frame at off if its checksum is right.
func (w *walker) whole(m *image, off int64) ([]byte, error) {
	head, err := m.read(off, frameHeaderSize)
	if err != nil || !isFrameOf(head, w.hdr.segment) {
		return nil, err
	}
	h, _ := decodeFrame(head)
	size := frameHeaderSize + int64(h.length)
	if size > min(int64(w.hdr.capacity), m.size)-off {
		return nil, nil
	}
	raw, err := m.read(off, int(size))
	if err != nil || int64(len(raw)) < size || frameCRC(raw) != h.crc {
		return nil, err
	}
	return raw, nil
}

// authentic opens the frame.
func (w *walker) authentic(s *step) bool {
	if w.cipher == nil {
		return true
	}
	if !sameMAC(s.chain, frameChain(w.cipher, s.raw)) {
		return false
	}
	ad := frameAD(s.kind, s.seq, int(s.length), w.hdr.volume, w.hdr.stream, w.hdr.segment)
	plain, err := w.cipher.Open(w.plain[:0], s.raw[frameHeaderSize:], ad[:], s.nonce, s.tag)
	if err != nil {
		return false
	}
	w.plain, s.payload = plain, plain
	return true
}

// evidence is what lies behind the last frame that could be read.
type evidence struct {
	durable uint64 // the highest sequence number that a frame there says was durable
	traces  bool   // frame headers of this segment are there, right or wrong
	bytes   int64  // not zero
}

// search looks at everything from the expected frame to the segment's end. A
// header that authenticates counts, whether or not its payload does: it says
// what was durable when it was written. Without keys a whole frame counts.
func (w *walker) search(ctx context.Context) (e evidence, err error) {
	for _, m := range w.images {
		if err := ctx.Err(); err != nil {
			return e, err
		}
		n, err := m.nonZero(w.off, int64(w.hdr.capacity))
		if err != nil {
			return e, err
		}
		e.bytes = max(e.bytes, n)
		var candidates []int64 // without keys
		err = m.traces(w.hdr.segment, w.off, int64(w.hdr.capacity), func(head []byte, off int64) bool {
			e.traces = true
			h, ok := decodeFrame(head)
			if !ok || h.durable <= e.durable {
				return true
			}
			if w.cipher == nil {
				candidates = append(candidates, off)
			} else if sameMAC(h.chain, frameChain(w.cipher, head)) {
				e.durable = h.durable
			}
			return true
		})
		if err != nil {
			return e, err
		}
		for _, off := range candidates {
			if err := w.count(m, off, &e); err != nil {
				return e, err
			}
		}
		m.close()
	}
	return e, nil
}

// count takes a whole frame found by a search without keys into account, as far as the budget goes.
func (w *walker) count(m *image, off int64, e *evidence) error {
	head, err := m.read(off, frameHeaderSize)
	if err != nil {
		return err
	}
	h, ok := decodeFrame(head)
	if !ok || h.durable <= e.durable || w.budget < int64(h.length) {
		return nil
	}
	w.budget -= int64(h.length)
	raw, err := w.whole(m, off)
	if raw != nil {
		e.durable = h.durable
	}
	return err
}
