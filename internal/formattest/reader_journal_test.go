package formattest

import (
	"bytes"
	"errors"
	"fmt"
)

type position struct {
	segment, seq uint64
	chain        [32]byte
}

// replay is FORMAT.md, "Recovery" and "Replay".
type replay struct {
	v       *volume
	have    keys
	mark    uint64   // durable mark
	end     position // accepted end
	tail    bool     // something behind it was cut
	frames  int      // accepted, above the redo position
	records [][]byte // opened payloads of data frames, above the redo position
	pending *transaction
	images  [][]byte // of the last segment
	blank   [][]byte // slot files without a readable header
}

func (r *replay) run(journal map[string][]byte, have keys) error {
	r.have = have
	l := r.v.l
	r.mark = max(l.num("durable through"), l.num("redo sequence"))
	byNumber := map[uint64]*segment{}
	start := max(l.num("redo segment"), 1)
	last := max(start, l.num("must reach"))
	for name, b := range journal {
		if !slotFile.MatchString(name) {
			continue
		}
		s, err := parseSegment(b)
		if s == nil && err == nil {
			r.blank = append(r.blank, b)
			continue
		}
		if s != nil && (s.uuid("volume") != l.uuid("volume") || s.uuid("stream") != l.uuid("stream")) {
			continue
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if s.num("number") < start {
			continue
		}
		n := s.num("number")
		last = max(last, n)
		if other := byNumber[n]; other == nil {
			byNumber[n] = s
		} else if bytes.Equal(other.b, s.b) {
			other.images = append(other.images, b)
		} else {
			return fmt.Errorf("two segments of number %d", n)
		}
	}
	var before *segment
	for n := start; n <= last; n++ {
		s := byNumber[n]
		if s == nil {
			return fmt.Errorf("segment %d is missing", n)
		}
		if err := r.enter(s, before); err != nil {
			return fmt.Errorf("segment %d: %w", n, err)
		}
		if err := r.scan(s, byNumber[n+1]); err != nil {
			return fmt.Errorf("segment %d: %w", n, err)
		}
		before = s
	}
	if r.end.seq < r.mark {
		return fmt.Errorf("durable through %d, accepted %d", r.mark, r.end.seq)
	}
	return nil
}

// enter is step 3 of "Recovery".
func (r *replay) enter(s, before *segment) error {
	l := r.v.l
	key := s.uuid("key")
	if !l.journal[key] {
		return errors.New("key that the label does not name")
	}
	s.scope = frameScope{volume: s.uuid("volume"), segment: s.uuid("segment"), key: key}
	if key != [16]byte{} {
		if s.scope.dek = r.have[key]; 8*len(s.scope.dek) != int(s.num("bits")) {
			return errors.New("key is not there")
		}
	}
	if s.hash("MAC") != s.scope.chain([]byte("coffer/1 segment header"), s.b[:s.off("MAC")]) {
		return errors.New("header does not authenticate")
	}
	if s.num("generation") > l.num("generation") {
		return errors.New("generation above the label's")
	}
	redo := l.num("redo sequence")
	switch {
	case before == nil && (s.num("first") > redo+1 || s.num("first") == redo+1 && s.hash("predecessor chain") != l.hash("redo chain")):
		return errors.New("does not hold the redo position")
	case before != nil && (s.num("predecessor number") != before.num("number") || s.uuid("predecessor segment") != before.uuid("segment")):
		return errors.New("another predecessor")
	}
	return nil
}

// scan is steps 4 to 7.
func (r *replay) scan(s, next *segment) error {
	seq, prev, off := s.num("first"), s.hash("predecessor chain"), s.unit
	var closed []byte // payload of a closing frame
	for next == nil || seq <= next.num("predecessor end") {
		f, raw := s.whole(off)
		if raw == nil && next != nil {
			return fmt.Errorf("frame %d was durable and is gone", seq)
		}
		if raw == nil {
			break
		}
		payload, err := s.openFrame(f, raw)
		if err != nil {
			return fmt.Errorf("frame %d: %w", seq, err)
		}
		if closed != nil || f.num("sequence") != seq || f.hash("previous chain") != prev || f.num("generation") > r.v.l.num("generation") {
			return fmt.Errorf("frame %d does not fit", seq)
		}
		if f.num("kind") == 3 {
			closed = payload
		}
		r.mark = max(r.mark, f.num("durable through"))
		if err := r.take(s, f, payload); err != nil {
			return fmt.Errorf("frame %d: %w", seq, err)
		}
		seq, prev, off = seq+1, f.hash("chain"), off+uint64(len(raw))
		if f.num("flags")&1 != 0 {
			off = (off + s.unit - 1) / s.unit * s.unit
		}
	}
	r.end = position{s.num("number"), seq - 1, prev}
	if next != nil {
		if next.num("predecessor end") != seq-1 || next.hash("predecessor chain") != prev || next.num("predecessor offset") != off {
			return errors.New("the successor says otherwise")
		}
		return nil
	}
	r.images = s.images
	for _, image := range s.images {
		r.search(&s.scope, image[:min(s.num("capacity"), uint64(len(image)))], off)
	}
	if closed != nil && seq > r.mark {
		return r.headless(s, closed, seq)
	}
	if seq <= r.mark {
		return fmt.Errorf("frame %d was durable and is unreadable", seq)
	}
	return nil
}

// headless is the end of step 6: the segment that a closing frame names, where its header is gone.
func (r *replay) headless(s *segment, closed []byte, first uint64) error {
	c := doc.in("closing frame", closed)
	next := frameScope{volume: s.uuid("volume"), segment: c.uuid("segment"), key: c.uuid("key"), dek: r.have[c.uuid("key")]}
	for _, image := range r.blank {
		if !bytes.Contains(image, next.segment[:]) {
			continue
		}
		if !r.v.l.journal[next.key] || next.key != [16]byte{} && next.dek == nil {
			return errors.New("the next segment's key")
		}
		r.search(&next, image, 0)
	}
	if first <= r.mark {
		return errors.New("the next segment was durable and has no header")
	}
	return nil
}

// search is step 6: what headers anywhere in b from off on say was durable.
func (r *replay) search(scope *frameScope, b []byte, off uint64) {
	for at := int(off); at+160 <= len(b); at++ {
		n := bytes.Index(b[at:], []byte("CFRF"))
		if n < 0 || at+n+160 > len(b) {
			return
		}
		at += n
		f := doc.in("frame", b[at:])
		if f.uuid("segment") != scope.segment {
			continue
		}
		r.tail = true
		if f.num("durable through") < f.num("sequence") && f.hash("chain") == chainOf(scope, f) {
			r.mark = max(r.mark, f.num("durable through"))
		}
	}
}

// take accepts a frame.
func (r *replay) take(s *segment, f structure, payload []byte) error {
	if f.num("kind") == 3 {
		c := doc.in("closing frame", payload)
		if len(payload) != 40 || c.num("number") != s.num("number")+1 {
			return errors.New("closing frame")
		}
	}
	redo := r.v.l.num("redo sequence")
	if f.num("sequence") == redo && f.hash("chain") != r.v.l.hash("redo chain") {
		return errors.New("not the redo position")
	}
	if f.num("sequence") <= redo {
		return nil
	}
	r.frames++
	if f.num("kind") != 1 {
		return nil
	}
	if !r.v.l.lineage[s.uuid("session")] {
		return errors.New("session not in the lineage")
	}
	r.records = append(r.records, payload)
	return r.record(payload)
}
