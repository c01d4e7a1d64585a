// Package guid makes, prints and parses the 128-bit identifiers that name
// keys, volumes, segments and sessions.
//
// The text form is the one operators know: 9158980E-AE52-4E12-82FD-AA5A2909D029
// (RFC 9562, section 4, upper case). Bytes are stored in the order of the text.
package guid

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"strings"
)

// Size is the length of an identifier in bytes.
const Size = 16

// ErrSyntax is returned by [Parse]. It never repeats the input, which may have
// been a secret pasted into the wrong place.
var ErrSyntax = errors.New("guid: not of the form XXXXXXXX-XXXX-XXXX-XXXX-XXXXXXXXXXXX")

// New returns a random identifier, version 4 (RFC 9562, section 5.4).
func New() [Size]byte {
	var g [Size]byte
	rand.Read(g[:]) // never fails: crypto/rand ends the process instead
	g[6] = g[6]&0x0f | 0x40
	g[8] = g[8]&0x3f | 0x80
	return g
}

// Format returns the text form, 36 characters, upper case.
func Format(g [Size]byte) string {
	var b [36]byte
	hex.Encode(b[0:8], g[0:4])
	hex.Encode(b[9:13], g[4:6])
	hex.Encode(b[14:18], g[6:8])
	hex.Encode(b[19:23], g[8:10])
	hex.Encode(b[24:36], g[10:16])
	b[8], b[13], b[18], b[23] = '-', '-', '-', '-'
	return strings.ToUpper(string(b[:]))
}

// Parse reads the text form in either case.
func Parse(s string) ([Size]byte, error) {
	var g [Size]byte
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return g, ErrSyntax
	}
	digits := s[0:8] + s[9:13] + s[14:18] + s[19:23] + s[24:36]
	if _, err := hex.Decode(g[:], []byte(digits)); err != nil {
		return [Size]byte{}, ErrSyntax
	}
	return g, nil
}
