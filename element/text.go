package element

import (
	"encoding/base64"
	"fmt"
	"strings"
)

// TextPrefix begins the text form of a value.
const TextPrefix = "coffer1:"

// strict refuses bits behind the last byte; line breaks, which it would skip, are refused before.
var strict = base64.RawURLEncoding.Strict()

// EncodeText returns the text form of a value, for columns and JSON: [TextPrefix] and
// base64url without padding. [TextLen] says how long it is.
func EncodeText(ciphertext []byte) string {
	return string(AppendText(make([]byte, 0, TextLen(len(ciphertext))), ciphertext))
}

// AppendText appends the text form of a value to dst.
func AppendText(dst, ciphertext []byte) []byte {
	return strict.AppendEncode(append(dst, TextPrefix...), ciphertext)
}

// TextLen returns the length of the text form of a ciphertext of n bytes.
func TextLen(n int) int { return len(TextPrefix) + strict.EncodedLen(n) }

// IsText reports whether text begins as the text form of a value does.
func IsText[T ~string | ~[]byte](text T) bool {
	return len(text) >= len(TextPrefix) && string(text[:len(TextPrefix)]) == TextPrefix
}

// DecodeText returns the value that a text form stands for; each value has one and
// no other. Text that begins otherwise is [ErrNotElement]; whatever else is wrong with it,
// white space and line breaks included, is [ErrDamaged]. It does not repeat the text.
func DecodeText[T ~string | ~[]byte](text T) ([]byte, error) {
	if !IsText(text) {
		return nil, fmt.Errorf("%w: it does not begin with %q", ErrNotElement, TextPrefix)
	}
	body := string(text[len(TextPrefix):])
	if i := strings.IndexAny(body, "\r\n"); i >= 0 {
		return nil, fmt.Errorf("%w: a line break at character %d of the text", ErrDamaged, len(TextPrefix)+i)
	}
	ciphertext, err := strict.DecodeString(body)
	if err != nil {
		at := 0
		if e, ok := err.(base64.CorruptInputError); ok {
			at = int(e)
		}
		return nil, fmt.Errorf("%w: the text is not base64url at character %d", ErrDamaged, len(TextPrefix)+at)
	}
	if h, err := Parse(ciphertext); err != nil || h.Kind != KindValue {
		return nil, fmt.Errorf("%w: the text holds no value", ErrDamaged)
	}
	return ciphertext, nil
}
