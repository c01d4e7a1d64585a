package keyfile

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// canonicalName returns the form in which an administrator's name is stored,
// shown and looked up: upper case.
func canonicalName(name string) (string, error) {
	switch {
	case name == "" || len(name) > MaxName:
		return "", usage("an administrator's name has 1 to %d characters", MaxName)
	case !isASCII(name):
		return "", usage("an administrator's name consists of printable ASCII characters")
	case strings.TrimSpace(name) != name:
		return "", usage("an administrator's name neither begins nor ends with a space")
	}
	return strings.ToUpper(name), nil
}

// isASCII reports whether s consists of printable ASCII characters, the space included.
func isASCII[T ~string | ~[]byte](s T) bool {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] > 0x7e {
			return false
		}
	}
	return true
}

// checkText refuses descriptions that are too long, or that a terminal would
// not just print.
func checkText(s string) error {
	switch {
	case len(s) > MaxDescription:
		return usage("a description has at most %d bytes", MaxDescription)
	case !utf8.ValidString(s):
		return usage("a description is UTF-8 text")
	case strings.ContainsFunc(s, notPrinted):
		return usage("a description contains a control character")
	}
	return nil
}

// notPrinted is true of characters that move the cursor or turn the direction
// of writing, so that a description could show as something it is not.
func notPrinted(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029'
}
