package element

import (
	"slices"
	"sync"

	"github.com/cofferdb/coffer/internal/aes"
)

// An engine does a suite's work under one key. All methods but close may run on many
// goroutines at once, each with a scratch of its own.
type engine interface {
	// bodyLen returns the length of the body of a plaintext of n bytes.
	bodyLen(n int) int
	// fits returns nil if a body can have n bytes, and [ErrCut] otherwise.
	fits(n int) error
	// seal fills body, which has the right length and overlaps nothing.
	seal(s *scratch, body, plaintext []byte)
	// open appends the plaintext to dst, whose room overlaps nothing, or returns dst
	// and false and leaves nothing behind it. The body fits.
	open(s *scratch, dst, body []byte) ([]byte, bool)
	// close wipes keys. Nothing else is called after it.
	close()
}

// newEngine returns the engine of a valid suite.
func newEngine(d deriver) (engine, error) {
	switch d.suite {
	case GCM:
		return newGCMEngine(d)
	case CBC, CBCUnauthenticated:
		return newCBCEngine(d)
	case SIV:
		return newSIVEngine(d)
	}
	return nil, usagef("no such suite: %v", d.suite)
}

// A scratch is what one call needs beside its arguments. No plaintext and no
// buffer of a caller is left in it.
type scratch struct {
	gcm     [1]aes.GCMJob
	cbc     [1]aes.Job
	number  [8]byte
	tag     [32]byte
	header  *[headerSize]byte
	context []byte
	ad      []byte // room, for additional
}

var scratches = sync.Pool{New: func() any { return &scratch{ad: make([]byte, 0, 128)} }}

// begin borrows a scratch.
func begin(header *[headerSize]byte, context []byte) *scratch {
	s := scratches.Get().(*scratch)
	s.header, s.context = header, context
	return s
}

// end gives s back.
func (s *scratch) end() {
	s.header, s.context = nil, nil
	if cap(s.ad) > 4096 {
		s.ad = make([]byte, 0, 128)
	}
	scratches.Put(s)
}

// additional returns header and context side by side.
func (s *scratch) additional() []byte {
	s.ad = append(append(s.ad[:0], s.header[:]...), s.context...)
	return s.ad
}

// extend returns dst with n bytes more, of undefined content.
func extend(dst []byte, n int) []byte { return slices.Grow(dst, n)[:len(dst)+n] }
