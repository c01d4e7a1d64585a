package journal

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/seal"
)

// Layout of a frame's header; see FORMAT.md, "Frames".
const (
	frameMagic      = "CFRF"
	frameHeaderSize = 160
	flagPad         = 1 // zeros follow to the next unit boundary
	offFrameCRC     = 12
	offFrameSeq     = 16
	offFrameDurable = 24
	offFrameGen     = 32
	offFrameSegment = 40
	offFrameNonce   = 56
	offFrameTag     = 72
	offFramePrev    = 88
	offFrameChain   = 120
	offFrameEnd     = 152
)

type frameKind uint8

const (
	kindData  frameKind = 1
	kindEmpty frameKind = 2 // an aborted ticket
	kindClose frameKind = 3 // the last frame of a segment that was switched
)

// frameHeader is the decoded header of a frame.
type frameHeader struct {
	kind       frameKind
	pad        bool
	length     uint32 // of the payload, in bytes
	crc        uint32
	seq        uint64
	durable    uint64 // durable_through
	generation uint64
	segment    [16]byte
	nonce      [seal.NonceSize]byte
	tag        [seal.TagSize]byte
	prev       [32]byte
	chain      [32]byte
}

// encode writes the header to b, which has frameHeaderSize bytes, without chain and checksum.
func (h *frameHeader) encode(b []byte) {
	clear(b[:frameHeaderSize])
	copy(b, frameMagic)
	b[4] = byte(h.kind)
	if h.pad {
		b[5] = flagPad
	}
	le := binary.LittleEndian
	le.PutUint32(b[8:], h.length)
	le.PutUint64(b[offFrameSeq:], h.seq)
	le.PutUint64(b[offFrameDurable:], h.durable)
	le.PutUint64(b[offFrameGen:], h.generation)
	copy(b[offFrameSegment:], h.segment[:])
	copy(b[offFrameNonce:], h.nonce[:])
	copy(b[offFrameTag:], h.tag[:])
	copy(b[offFramePrev:], h.prev[:])
}

// finish completes an encoded frame: its chain value, then its checksum. It returns the chain value.
func finishFrame(c seal.FrameCipher, frame []byte) [32]byte {
	chain := frameChain(c, frame)
	copy(frame[offFrameChain:], chain[:])
	binary.LittleEndian.PutUint32(frame[offFrameCRC:], frameCRC(frame))
	return chain
}

// frameChain is the chain value of an encoded header: over everything in it but checksum, chain and what is reserved behind.
func frameChain(c seal.FrameCipher, head []byte) [32]byte {
	return c.Chain(head[:offFrameCRC], head[offFrameSeq:offFrameChain])
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// frameCRC is the CRC32C over a whole frame but the checksum itself.
func frameCRC(frame []byte) uint32 {
	return crc32.Update(crc32.Checksum(frame[:offFrameCRC], castagnoli), castagnoli, frame[offFrameSeq:])
}

// isFrameOf reports whether b begins like a frame of the segment. Anything else is not there, as far as the segment goes.
func isFrameOf(b []byte, segment [16]byte) bool {
	return len(b) >= frameHeaderSize && string(b[:4]) == frameMagic &&
		[16]byte(b[offFrameSegment:offFrameNonce]) == segment
}

// decodeFrame reads a header. ok is false where a writer never writes such a header.
func decodeFrame(b []byte) (h frameHeader, ok bool) {
	if len(b) < frameHeaderSize || string(b[:4]) != frameMagic {
		return h, false
	}
	le := binary.LittleEndian
	h = frameHeader{
		kind:       frameKind(b[4]),
		pad:        b[5]&flagPad != 0,
		length:     le.Uint32(b[8:]),
		crc:        le.Uint32(b[offFrameCRC:]),
		seq:        le.Uint64(b[offFrameSeq:]),
		durable:    le.Uint64(b[offFrameDurable:]),
		generation: le.Uint64(b[offFrameGen:]),
		segment:    [16]byte(b[offFrameSegment:]),
		nonce:      [seal.NonceSize]byte(b[offFrameNonce:]),
		tag:        [seal.TagSize]byte(b[offFrameTag:]),
		prev:       [32]byte(b[offFramePrev:]),
		chain:      [32]byte(b[offFrameChain:]),
	}
	ok = h.kind >= kindData && h.kind <= kindClose && b[5]&^flagPad == 0 &&
		b[6] == 0 && b[7] == 0 && le.Uint32(b[68:]) == 0 && le.Uint64(b[offFrameEnd:]) == 0 &&
		h.durable < h.seq
	return h, ok
}

// frameADSize is the length of a frame's additional data.
const frameADSize = 72

// frameAD is what a frame's seal binds beside its payload: what is known before the frame is written.
func frameAD(kind frameKind, seq uint64, length int, volume, stream, segment [16]byte) (ad [frameADSize]byte) {
	copy(ad[:], frameMagic)
	ad[4] = byte(kind)
	ad[5] = formatVersion
	binary.LittleEndian.PutUint32(ad[8:], uint32(length))
	binary.LittleEndian.PutUint64(ad[16:], seq)
	copy(ad[24:], volume[:])
	copy(ad[40:], stream[:])
	copy(ad[56:], segment[:])
	return ad
}

// closing is the payload of a closing frame: what comes next.
type closing struct {
	segment [16]byte
	number  uint64
	key     dek.ID
}

const closingSize = 40

func (c closing) encode() (b [closingSize]byte) {
	copy(b[:], c.segment[:])
	binary.LittleEndian.PutUint64(b[16:], c.number)
	copy(b[24:], c.key[:])
	return b
}

func decodeClosing(b []byte) (c closing, ok bool) {
	if len(b) != closingSize {
		return c, false
	}
	return closing{[16]byte(b), binary.LittleEndian.Uint64(b[16:]), dek.ID(b[24:])}, true
}
