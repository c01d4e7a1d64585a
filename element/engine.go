package element

import "slices"

// An engine does a suite's work under one key. All methods but close may run on many
// goroutines at once.
type engine interface {
	// bodyLen returns the length of the body of a plaintext of n bytes.
	bodyLen(n int) int
	// fits returns nil if a body can have n bytes, and [ErrCut] otherwise.
	fits(n int) error
	// seal fills body, which has the right length and overlaps nothing.
	seal(a binding, body, plaintext []byte)
	// open appends the plaintext to dst, whose room overlaps nothing, or returns dst
	// and false and leaves nothing behind it. The body fits.
	open(a binding, dst, body []byte) ([]byte, bool)
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

// A binding is what a value is bound to.
type binding struct {
	header  *[headerSize]byte
	context []byte
}

// stackAD is how long the additional data of most values is at most, in bytes.
const stackAD = 128

// append appends header and context, side by side, to b.
func (a binding) append(b []byte) []byte { return append(append(b, a.header[:]...), a.context...) }

// extend returns dst with n bytes more, of undefined content.
func extend(dst []byte, n int) []byte { return slices.Grow(dst, n)[:len(dst)+n] }
