package element

import (
	"fmt"

	"github.com/cofferdb/coffer/internal/aes"
)

// The layout of a stream's header: FORMAT.md, "Streams".
const (
	segmentAt        = commonSize
	saltAt           = 24
	saltSize         = 32
	streamCommitAt   = saltAt + saltSize
	streamCommitSize = 32
	streamHeaderSize = 128 // reserved behind the commitment
)

// The layout of a segment: FORMAT.md, "Streams". Its header has the length of a line of the
// processor's cache, so that ciphertext begins with one, in every segment of a buffer.
const (
	segmentMagic   = "CFES"
	segmentSizeAt  = 4
	numberAt       = 8
	lastAt         = 16
	segmentADSize  = 24 // what is bound, beside the context
	nonceAt        = segmentADSize
	tagAt          = nonceAt + aes.NonceSize
	segmentReserve = tagAt + aes.TagSize
	segmentHeader  = 64
)

// Sizes of segments, as powers of two.
const (
	minSegment     = 12
	maxSegment     = 20
	defaultSegment = 16
)

// parseStream reads what only a stream's header has. b begins as a header does.
func (h *Header) parseStream(b []byte) error {
	if len(b) < streamHeaderSize {
		*h = Header{}
		return ErrCut
	}
	power := b[segmentAt]
	if power < minSegment || power > maxSegment || b[segmentAt+1] != 0 || !zero(b[streamCommitAt+streamCommitSize:streamHeaderSize]) {
		*h = Header{}
		return fmt.Errorf("%w: the size of segments, or what is reserved", ErrDamaged)
	}
	h.Segment = 1 << power
	return nil
}

// zero reports whether b is all zeros.
func zero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
