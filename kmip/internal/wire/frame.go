package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/ovh/kmip-go"
	"github.com/ovh/kmip-go/ttlv"

	"github.com/cofferdb/coffer/internal/secmem"
)

// ErrMalformed: the bytes are no KMIP message.
var ErrMalformed = errors.New("not a KMIP message")

// ErrTooLarge: a message announces more bytes than the reader takes.
var ErrTooLarge = errors.New("message is too large")

// Sizes of a frame, in bytes.
const (
	// HeaderSize is the tag, type and length before every value.
	HeaderSize = 8
	// DefaultMax is how much a message may have where nobody says otherwise.
	DefaultMax = 1 << 20
	// firstRead is how much is believed of an announced length at first.
	firstRead = 4096
)

// ReadFrame reads one message whose outermost tag is tag (request or response),
// of at most limit bytes with its header, and returns all of it. Memory is
// taken as bytes arrive, never for what a header only announces. A stream that
// ends before the first byte is io.EOF, and one that ends later
// io.ErrUnexpectedEOF.
func ReadFrame(r io.Reader, tag, limit int) ([]byte, error) {
	var head [HeaderSize]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	got := int(head[0])<<16 | int(head[1])<<8 | int(head[2])
	if got != tag || ttlv.Type(head[3]) != ttlv.TypeStructure {
		return nil, fmt.Errorf("%w: it begins with % x", ErrMalformed, head[:4])
	}
	n := int64(binary.BigEndian.Uint32(head[4:]))
	if n+HeaderSize > int64(limit) {
		return nil, fmt.Errorf("%w: %d bytes announced, at most %d are taken", ErrTooLarge, n, limit)
	}
	if n%8 != 0 {
		return nil, fmt.Errorf("%w: a structure of %d bytes", ErrMalformed, n)
	}
	return readBody(r, head, int(n))
}

func readBody(r io.Reader, head [HeaderSize]byte, n int) ([]byte, error) {
	buf := make([]byte, HeaderSize, HeaderSize+min(n, firstRead))
	copy(buf, head[:])
	for n > 0 {
		if len(buf) == cap(buf) {
			grown := make([]byte, len(buf), len(buf)+min(n, len(buf)))
			copy(grown, buf)
			secmem.Wipe(buf)
			buf = grown
		}
		part := min(n, cap(buf)-len(buf))
		at := len(buf)
		buf = buf[:at+part]
		if _, err := io.ReadFull(r, buf[at:]); err != nil {
			secmem.Wipe(buf)
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
		n -= part
	}
	return buf, nil
}

// Tags of the two kinds of message.
const (
	Request  = kmip.TagRequestMessage
	Response = kmip.TagResponseMessage
)
