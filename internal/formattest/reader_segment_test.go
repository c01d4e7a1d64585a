package formattest

import (
	"crypto/hmac"
	"errors"
	"regexp"
)

var slotFile = regexp.MustCompile(`^segment-[0-9]{6,}$`)

// segment is a segment with all its images.
type segment struct {
	structure
	unit   uint64
	images [][]byte
	scope  frameScope
}

// parseSegment returns nil for a slot file without a readable header, and with an error where one breaks a rule.
func parseSegment(b []byte) (*segment, error) {
	if len(b) < 4096 {
		return nil, nil
	}
	s := &segment{structure: doc.in("segment header", b), images: [][]byte{b}}
	s.unit = s.num("unit")
	if string(s.bytes("magic")) != text(s.field("magic").rule) || s.unit < 4096 || s.unit > 65536 || s.unit&(s.unit-1) != 0 || uint64(len(b)) < s.unit {
		return nil, nil
	}
	s.b = b[:s.unit]
	at := s.off("checksum")
	if s.num("checksum") != crc(s.b[:at], s.b[at+4:]) {
		return nil, nil
	}
	if s.num("version") != 1 {
		return nil, errors.New("version")
	}
	plain, c := zero(s.bytes("key")), s.num("capacity")
	if err := s.check(); err != nil {
		return s, err
	}
	if !zero(s.b[at+4:]) || s.num("flags") > 1 || s.num("number") == 0 || s.num("predecessor number") != s.num("number")-1 ||
		s.num("first") != s.num("predecessor end")+1 || plain != (s.num("bits") == 0) || c < s.unit || c > 1<<30 || c%s.unit != 0 {
		return s, errors.New("header breaks a rule")
	}
	return s, nil
}

// whole returns the frame at an offset from an image in which it is there.
func (s *segment) whole(off uint64) (structure, []byte) {
	for _, image := range s.images {
		limit := min(s.num("capacity"), uint64(len(image)))
		if off+160 > limit {
			continue
		}
		f := doc.in("frame", image[off:limit])
		size := 160 + f.num("length")
		if string(f.bytes("magic")) != "CFRF" || f.uuid("segment") != s.uuid("segment") || size > uint64(len(f.b)) {
			continue
		}
		if f.b = f.b[:size]; f.num("checksum") == crc(f.b[:12], f.b[16:]) {
			return f, f.b
		}
	}
	return structure{}, nil
}

func (s *segment) openFrame(f structure, raw []byte) ([]byte, error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	if f.num("kind") < 1 || f.num("kind") > 3 || f.num("flags") > 1 || f.num("durable through") >= f.num("sequence") {
		return nil, errors.New("breaks a rule")
	}
	if chain := chainOf(&s.scope, f); !hmac.Equal(chain[:], f.bytes("chain")) {
		return nil, errTag
	}
	own := doc.in("frame own data", make([]byte, 72))
	copy(own.bytes("magic"), text(own.field("magic").rule))
	own.put("kind", f.num("kind"))
	own.put("version", 1)
	own.put("length", f.num("length"))
	own.put("sequence", f.num("sequence"))
	for _, name := range []string{"volume", "stream", "segment"} {
		copy(own.bytes(name), s.bytes(name))
	}
	return s.scope.open(raw[160:], own.b, f.bytes("nonce"), f.bytes("tag"))
}

// chainOf is a frame's chain value.
func chainOf(s *frameScope, f structure) [32]byte { return s.chain(f.b[:12], f.b[16:f.off("chain")]) }
