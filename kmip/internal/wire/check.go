package wire

import (
	"encoding/binary"
	"fmt"
	"unicode/utf8"

	"github.com/ovh/kmip-go/ttlv"
)

// Bounds of a message, beyond its size.
const (
	maxDepth = 32      // of nested structures
	maxItems = 1 << 16 // in the whole message
)

// Check says whether b is exactly one well-formed TTLV item: every length fits
// its type (KMIP 1.4, section 9.1.1.3) and its parent, structures nest at most
// 32 deep, there are at most 65,536 items, and text is UTF-8. The error is
// [ErrMalformed] and repeats no value.
func Check(b []byte) error {
	left := maxItems
	n, err := checkItem(b, 0, &left)
	if err == nil && n != len(b) {
		err = fmt.Errorf("%w: %d bytes behind the message", ErrMalformed, len(b)-n)
	}
	return err
}

// checkItem checks the first item of b and returns its length with padding.
func checkItem(b []byte, depth int, left *int) (int, error) {
	if len(b) < HeaderSize {
		return 0, fmt.Errorf("%w: cut short", ErrMalformed)
	}
	if *left--; *left < 0 {
		return 0, fmt.Errorf("%w: more than %d items", ErrMalformed, maxItems)
	}
	typ, n := ttlv.Type(b[3]), int64(binary.BigEndian.Uint32(b[4:]))
	padded := (n + 7) &^ 7
	if padded > int64(len(b)-HeaderSize) {
		return 0, fmt.Errorf("%w: an item is longer than what holds it", ErrMalformed)
	}
	value := b[HeaderSize : HeaderSize+n]
	if !fits(typ, n) {
		return 0, fmt.Errorf("%w: an item of type %#02x and %d bytes", ErrMalformed, byte(typ), n)
	}
	switch typ {
	case ttlv.TypeTextString:
		if !utf8.Valid(value) {
			return 0, fmt.Errorf("%w: text that is not UTF-8", ErrMalformed)
		}
	case ttlv.TypeStructure:
		if depth++; depth > maxDepth {
			return 0, fmt.Errorf("%w: nested deeper than %d", ErrMalformed, maxDepth)
		}
		for len(value) > 0 {
			used, err := checkItem(value, depth, left)
			if err != nil {
				return 0, err
			}
			value = value[used:]
		}
	}
	return HeaderSize + int(padded), nil
}

// fits says whether a value of type typ may have n bytes.
func fits(typ ttlv.Type, n int64) bool {
	switch typ {
	case ttlv.TypeInteger, ttlv.TypeEnumeration, ttlv.TypeInterval:
		return n == 4
	case ttlv.TypeLongInteger, ttlv.TypeBoolean, ttlv.TypeDateTime:
		return n == 8
	case ttlv.TypeBigInteger:
		return n > 0 && n%8 == 0
	case ttlv.TypeStructure:
		return n%8 == 0
	case ttlv.TypeTextString, ttlv.TypeByteString:
		return true
	}
	return false // also KMIP 2.0's Date Time Extended, which no attribute that is asked for has
}
