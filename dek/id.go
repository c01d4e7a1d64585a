package dek

import (
	"bytes"
	"encoding"
	"fmt"

	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/guid"
)

// ID names a key wherever one is named: on disk, in listings, in errors. It is
// a random GUID and no secret. Files move; the ID stays.
type ID [guid.Size]byte

var (
	_ fmt.Stringer             = ID{}
	_ encoding.TextMarshaler   = ID{}
	_ encoding.TextUnmarshaler = (*ID)(nil)
)

// NewID returns a random ID (RFC 9562, version 4).
func NewID() ID { return guid.New() }

// ParseID reads the text form 9158980E-AE52-4E12-82FD-AA5A2909D029 in either
// case. The error matches [ErrUsage] and does not repeat the input.
func ParseID(s string) (ID, error) {
	g, err := guid.Parse(s)
	if err != nil {
		return ID{}, fmt.Errorf("dek: key ID: %w: %w", fault.Usage, err)
	}
	return g, nil
}

// String returns the text form, 36 characters, upper case.
func (id ID) String() string { return guid.Format(id) }

// IsZero reports whether id is all zero, which no key's ID is.
func (id ID) IsZero() bool { return id == ID{} }

// Compare orders IDs as their text forms are ordered: -1, 0 or 1.
func (id ID) Compare(o ID) int { return bytes.Compare(id[:], o[:]) }

// MarshalText returns the text form.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads the text form; errors as in [ParseID].
func (id *ID) UnmarshalText(text []byte) error {
	p, err := ParseID(string(text))
	if err != nil {
		return err
	}
	*id = p
	return nil
}
