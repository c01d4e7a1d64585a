package element

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cofferdb/coffer/internal/fault"
)

// A Template is a context with places for values: patients.ssn.{id} is, for the
// row 42, the context patients.ssn.42, which is NewContext("patients", "ssn", "42").
//
// A name in braces is a whole part, with a dot or an end on both sides, so that
// different values never give the same context. Outside braces a template stands for
// its own bytes, escapes of [NewContext] included; {{ and }} are single braces.
type Template struct {
	text  string
	parts []string // literal bytes around the names: one more than there are names
	names []string
}

// ParseTemplate reads a template. The error is [ErrUsage].
func ParseTemplate(text string) (*Template, error) {
	t := &Template{text: text}
	var literal strings.Builder
	for i := 0; i < len(text); {
		switch c := text[i]; {
		case (c == '{' || c == '}') && i+1 < len(text) && text[i+1] == c:
			literal.WriteByte(c)
			i += 2
		case c == '}':
			return nil, badTemplate(text, "a closing brace without an opening one")
		case c != '{':
			literal.WriteByte(c)
			i++
		default:
			name, _, closed := strings.Cut(text[i+1:], "}")
			end := i + 1 + len(name) + 1
			switch {
			case !closed || name == "" || strings.Contains(name, "{"):
				return nil, badTemplate(text, "a brace that is not closed, or no name in it")
			case !endsPart(text[:i]) || end < len(text) && text[end] != '.':
				return nil, badTemplate(text, "a name in braces must have a dot or an end on both sides")
			}
			t.parts, t.names = append(t.parts, literal.String()), append(t.names, name)
			literal.Reset()
			i = end
		}
	}
	t.parts = append(t.parts, literal.String())
	return t, nil
}

// endsPart reports whether a part begins behind text: at the beginning, or after
// a dot that has no backslash of its own.
func endsPart(text string) bool {
	before, dot := strings.CutSuffix(text, ".")
	escapes := len(before) - len(strings.TrimRight(before, `\`))
	return text == "" || dot && escapes%2 == 0
}

func badTemplate(text, why string) error {
	return fault.Hint(usagef("context template %q: %s", text, why), "Write patients.ssn.{id}; braces that are meant literally are doubled: {{.")
}

// String returns the template as it was read.
func (t *Template) String() string { return t.text }

// Names returns the names in braces, in order; a name may come twice.
func (t *Template) Names() []string { return slices.Clone(t.names) }

// Context returns the context with these values in the places of the names. The
// error is [ErrUsage]: another number of values, or a context that is too long.
func (t *Template) Context(values ...string) ([]byte, error) {
	if len(values) != len(t.names) {
		return nil, fmt.Errorf("element: %w: context template %q takes %d values, not %d", fault.Usage, t.text, len(t.names), len(values))
	}
	if len(values) == 1 && values[0] == "" && t.parts[0] == "" && t.parts[1] == "" {
		return NewContext(""), nil
	}
	b := []byte(t.parts[0])
	for i, v := range values {
		b = append(append(b, escaper.Replace(v)...), t.parts[i+1]...)
	}
	return b, checkContext(b)
}
