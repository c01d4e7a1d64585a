package element

import (
	"strings"

	"github.com/cofferdb/coffer/dek"
)

// NewContext makes the context of a value from the parts that say where it belongs:
// table, column, row and so on, the same number in the same order each time. Parts are joined
// by dots, and dots and backslashes within a part get a backslash, so that different
// parts never give the same context. NewContext("patients", "ssn") is the text
// patients.ssn, which is what the command takes as --context patients.ssn.
//
// Without parts it is empty. One part that is empty is written \e.
func NewContext(parts ...string) []byte {
	if len(parts) == 1 && parts[0] == "" {
		return []byte(`\e`)
	}
	var b []byte
	for i, p := range parts {
		if i > 0 {
			b = append(b, '.')
		}
		b = append(b, escaper.Replace(p)...)
	}
	return b
}

var escaper = strings.NewReplacer(`\`, `\\`, `.`, `\.`)

func checkContext(context []byte) error {
	if len(context) > MaxContext {
		return usagef("a context has at most %d bytes, not %d", MaxContext, len(context))
	}
	return nil
}

func checkKey(key dek.ID) error {
	if key.IsZero() {
		return usagef("the key ID is zero")
	}
	return nil
}
