package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/bits"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/seal"
)

// Layout of a segment's header; see FORMAT.md, "Segment header".
const (
	headerMagic   = "COFFERJ1"
	formatVersion = 1
	flagRecycled  = 1 // the slot held another segment before
	offHeaderMAC  = 216
	offHeaderCRC  = 252
	headerSize    = 256 // the rest of the unit is zero
	headerDomain  = "coffer/1 segment header"
)

// Why a slot's first unit is not a header.
var (
	errNoHeader      = fmt.Errorf("no readable header: %w", fault.Damaged)
	errHeaderVersion = fmt.Errorf("header: %w", fault.Version)
	errHeaderForm    = fmt.Errorf("header no writer makes: %w", fault.Tampered)
)

// header names a segment and says what it continues.
type header struct {
	unit       uint32
	recycled   bool
	number     uint64
	segment    [16]byte
	volume     [16]byte
	stream     [16]byte
	session    [16]byte
	key        dek.ID
	bits       uint32
	generation uint64
	first      uint64 // sequence number of the first frame
	pred       predecessor
	created    int64  // Unix seconds
	capacity   uint64 // bytes the slot will have, header included
	mac        [32]byte
}

// predecessor is the accepted end of the segment before; all zero in a stream's first one but for end and chain.
type predecessor struct {
	number  uint64
	segment [16]byte
	end     uint64 // sequence number of its last accepted frame
	offset  uint64 // where its accepted bytes end; 0 where it was not read
	chain   [32]byte
}

// encode returns the header's unit with MAC and checksum; it sets h.mac.
func (h *header) encode(c seal.FrameCipher) []byte {
	b := h.marshal()
	h.mac = c.Chain([]byte(headerDomain), b[:offHeaderMAC])
	return h.marshal()
}

// authentic reports whether the MAC is right.
func (h *header) authentic(c seal.FrameCipher) bool {
	return sameMAC(h.mac, c.Chain([]byte(headerDomain), h.marshal()[:offHeaderMAC]))
}

// marshal returns the header's unit with the MAC that h has.
func (h *header) marshal() []byte {
	b := make([]byte, h.unit)
	le := binary.LittleEndian
	copy(b, headerMagic)
	le.PutUint16(b[8:], formatVersion)
	if h.recycled {
		le.PutUint16(b[10:], flagRecycled)
	}
	le.PutUint32(b[12:], h.unit)
	le.PutUint64(b[16:], h.number)
	copy(b[24:], h.segment[:])
	copy(b[40:], h.volume[:])
	copy(b[56:], h.stream[:])
	copy(b[72:], h.session[:])
	copy(b[88:], h.key[:])
	le.PutUint32(b[104:], h.bits)
	le.PutUint64(b[112:], h.generation)
	le.PutUint64(b[120:], h.first)
	le.PutUint64(b[128:], h.pred.number)
	copy(b[136:], h.pred.segment[:])
	le.PutUint64(b[152:], h.pred.end)
	le.PutUint64(b[160:], h.pred.offset)
	copy(b[168:], h.pred.chain[:])
	le.PutUint64(b[200:], uint64(h.created))
	le.PutUint64(b[208:], h.capacity)
	copy(b[offHeaderMAC:], h.mac[:])
	le.PutUint32(b[offHeaderCRC:], headerCRC(b))
	return b
}

func headerCRC(b []byte) uint32 {
	return crc32.Update(crc32.Checksum(b[:offHeaderCRC], castagnoli), castagnoli, b[headerSize:])
}

// headerUnit returns the unit that a slot's beginning claims, so that the rest of it can be read.
func headerUnit(b []byte) (int, bool) {
	if len(b) < MinUnit || string(b[:8]) != headerMagic {
		return 0, false
	}
	u := binary.LittleEndian.Uint32(b[12:])
	return int(u), u >= MinUnit && u <= MaxUnit && bits.OnesCount32(u) == 1
}

// decodeHeader reads a header's unit. With errHeaderForm the volume and stream are set all the same.
func decodeHeader(b []byte) (header, error) {
	var h header
	unit, ok := headerUnit(b)
	le := binary.LittleEndian
	if !ok || len(b) != unit || le.Uint32(b[offHeaderCRC:]) != headerCRC(b) {
		return h, errNoHeader
	}
	if le.Uint16(b[8:]) != formatVersion {
		return h, errHeaderVersion
	}
	h = header{
		unit:       uint32(unit),
		recycled:   le.Uint16(b[10:])&flagRecycled != 0,
		number:     le.Uint64(b[16:]),
		segment:    [16]byte(b[24:]),
		volume:     [16]byte(b[40:]),
		stream:     [16]byte(b[56:]),
		session:    [16]byte(b[72:]),
		key:        dek.ID(b[88:104]),
		bits:       le.Uint32(b[104:]),
		generation: le.Uint64(b[112:]),
		first:      le.Uint64(b[120:]),
		created:    int64(le.Uint64(b[200:])),
		capacity:   le.Uint64(b[208:]),
		mac:        [32]byte(b[offHeaderMAC:]),
		pred: predecessor{
			number:  le.Uint64(b[128:]),
			segment: [16]byte(b[136:]),
			end:     le.Uint64(b[152:]),
			offset:  le.Uint64(b[160:]),
			chain:   [32]byte(b[168:]),
		},
	}
	if le.Uint16(b[10:])&^flagRecycled != 0 || le.Uint32(b[108:]) != 0 || le.Uint32(b[248:]) != 0 ||
		!allZero(b[headerSize:]) || !h.sane() {
		return h, errHeaderForm
	}
	return h, nil
}

// sane checks what no writer gets wrong.
func (h *header) sane() bool {
	plain := h.key.IsZero()
	return h.number != 0 && h.pred.number == h.number-1 && h.first == h.pred.end+1 && h.first != 0 &&
		plain == (h.bits == 0) && (plain || dek.ValidBits(int(h.bits))) &&
		h.capacity >= uint64(h.unit) && h.capacity <= MaxSegmentBytes && h.capacity%uint64(h.unit) == 0
}

// ours reports whether the segment is of this volume's stream.
func (h *header) ours(o *Options) bool { return h.volume == o.Volume && h.stream == o.Stream }

// headerIsForeign reports whether a slot that gave this error may be passed over.
func headerIsForeign(h *header, err error, o *Options) bool {
	switch {
	case errors.Is(err, errHeaderVersion):
		return false
	case errors.Is(err, errHeaderForm):
		return !h.ours(o)
	}
	return true
}
