package element

import "fmt"

// The layout of a stream's header: FORMAT.md, "Streams".
const (
	segmentAt        = commonSize
	saltAt           = 24
	saltSize         = 32
	streamCommitAt   = saltAt + saltSize
	streamCommitSize = 32
	streamHeaderSize = streamCommitAt + streamCommitSize
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
	if power < minSegment || power > maxSegment || b[segmentAt+1] != 0 {
		*h = Header{}
		return fmt.Errorf("%w: the size of segments", ErrDamaged)
	}
	h.Segment = 1 << power
	return nil
}
