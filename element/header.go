package element

import (
	"fmt"

	"github.com/cofferdb/coffer/dek"
)

// Version is the version of the format that is written.
const Version = 1

// Limits in bytes.
const (
	MaxValue   = 1 << 26   // of a value's plaintext; larger ones are streams
	MaxContext = 1<<16 - 1 // of a context
)

// The layout of headers: FORMAT.md, "Values" and "Streams".
const (
	magic          = "CFE"
	versionAt      = 3
	kindAt         = 4
	suiteAt        = 5
	keyAt          = 6
	commonSize     = 22 // what values and streams have alike
	commitmentSize = 16
	headerSize     = commonSize + commitmentSize
)

// HeaderSize is how many bytes at the beginning of a ciphertext [Parse] needs, at most.
const HeaderSize = streamHeaderSize

// A Header is what a ciphertext says about itself. Nothing of it is authentic
// before the ciphertext has been decrypted.
type Header struct {
	Version int
	Kind    Kind
	Suite   Suite
	Key     dek.ID
	// Segment is how many bytes of plaintext a segment of a stream holds; 0 for values.
	Segment int
}

// Parse reads the header of a ciphertext, or of its first [HeaderSize] bytes. It
// needs no key. Errors: [ErrNotElement], [ErrVersion], [ErrCut], [ErrDamaged].
func Parse(ciphertext []byte) (Header, error) {
	if len(ciphertext) < len(magic) || string(ciphertext[:len(magic)]) != magic {
		return Header{}, ErrNotElement
	}
	if len(ciphertext) > versionAt && ciphertext[versionAt] != Version {
		return Header{}, fmt.Errorf("%w %d", ErrVersion, ciphertext[versionAt])
	}
	if len(ciphertext) < headerSize {
		return Header{}, ErrCut
	}
	h := Header{Version: Version, Kind: Kind(ciphertext[kindAt]), Suite: Suite(ciphertext[suiteAt]), Key: dek.ID(ciphertext[keyAt:commonSize])}
	if h.Key.IsZero() {
		return Header{}, fmt.Errorf("%w: the key ID is zero", ErrDamaged)
	}
	switch {
	case h.Kind == KindValue && h.Suite.Valid():
		return h, nil
	case h.Kind == KindStream && h.Suite == GCM:
		return h, h.parseStream(ciphertext)
	}
	return Header{}, fmt.Errorf("%w: %v of %v", ErrDamaged, h.Kind, h.Suite)
}

// newHeader returns the header of values.
func newHeader(suite Suite, key dek.ID) (h [headerSize]byte) {
	putCommon(h[:], KindValue, suite, key)
	return h
}

// putCommon writes what values and streams have alike.
func putCommon(h []byte, kind Kind, suite Suite, key dek.ID) {
	copy(h, magic)
	h[versionAt], h[kindAt], h[suiteAt] = Version, uint8(kind), uint8(suite)
	copy(h[keyAt:commonSize], key[:])
}
