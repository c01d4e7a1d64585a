package retable

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/cofferdb/coffer/internal/fault"
)

// Key is what identifies a row: the values of its key columns, in their order.
// Each is an int64, a float64, a string or a []byte. In PostgreSQL each is the
// text form that the database itself gives the value.
type Key []any

// part is how one value of a key stands in a context: numbers in decimal, text
// and bytes as they are.
func part(v any, hexBytes bool) (string, error) {
	switch v := v.(type) {
	case int64:
		return strconv.FormatInt(v, 10), nil
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64), nil
	case []byte:
		return string(v), nil
	case string:
		if !hexBytes {
			return v, nil
		}
		digits, ok := strings.CutPrefix(v, `\x`)
		b, err := hex.DecodeString(digits)
		if !ok || err != nil {
			return "", fmt.Errorf(`retable: %w: PostgreSQL's bytea_output must be "hex", its default`, fault.State)
		}
		return string(b), nil
	}
	return "", fmt.Errorf("retable: %w: a key of type %T", fault.Unsupported, v)
}

// describe names a row to people: id=42, or tenant="a b", id=7.
func (k Key) describe(columns []string) string {
	parts := make([]string, len(k))
	for i, v := range k {
		parts[i] = columns[i] + "=" + showValue(v)
	}
	return strings.Join(parts, ", ")
}

// maxShown is how much of a value of a key is shown, in bytes.
const maxShown = 80

func showValue(v any) string {
	switch v := v.(type) {
	case []byte:
		if len(v) > maxShown {
			return fmt.Sprintf("x'%x…'", v[:maxShown])
		}
		return fmt.Sprintf("x'%x'", v)
	case string:
		if len(v) > maxShown {
			return strconv.Quote(v[:maxShown]) + "…"
		}
		if v == "" || !utf8.ValidString(v) || strings.ContainsFunc(v, needsQuotes) {
			return strconv.Quote(v)
		}
		return v
	}
	return fmt.Sprint(v)
}

func needsQuotes(r rune) bool {
	return !unicode.IsPrint(r) || unicode.IsSpace(r) || strings.ContainsRune(`"=,;`, r)
}

// keyPart is a value of a key in a checkpoint: one field is set.
type keyPart struct {
	Integer *int64  `json:"integer,omitempty"`
	Real    *uint64 `json:"real,omitempty"` // IEEE 754 bits
	Text    *string `json:"text,omitempty"`
	Bytes   *string `json:"bytes,omitempty"` // base64: also of text that is not UTF-8
	Raw     bool    `json:"raw,omitempty"`   // Bytes holds text
}

// MarshalJSON writes every value so that UnmarshalJSON gives back the same.
func (k Key) MarshalJSON() ([]byte, error) {
	parts := make([]keyPart, len(k))
	for i, v := range k {
		switch v := v.(type) {
		case int64:
			parts[i].Integer = &v
		case float64:
			bits := math.Float64bits(v)
			parts[i].Real = &bits
		case []byte:
			text := base64.StdEncoding.EncodeToString(v)
			parts[i].Bytes = &text
		case string:
			if utf8.ValidString(v) {
				parts[i].Text = &v
				break
			}
			text := base64.StdEncoding.EncodeToString([]byte(v))
			parts[i] = keyPart{Bytes: &text, Raw: true}
		default:
			return nil, fmt.Errorf("retable: %w: a key of type %T", fault.Unsupported, v)
		}
	}
	return json.Marshal(parts)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (k *Key) UnmarshalJSON(text []byte) error {
	var parts []keyPart
	if err := json.Unmarshal(text, &parts); err != nil {
		return err
	}
	out := make(Key, len(parts))
	for i, p := range parts {
		v, err := p.value()
		if err != nil {
			return err
		}
		out[i] = v
	}
	*k = out
	return nil
}

func (p keyPart) value() (any, error) {
	switch {
	case p.Integer != nil:
		return *p.Integer, nil
	case p.Real != nil:
		return math.Float64frombits(*p.Real), nil
	case p.Text != nil:
		return *p.Text, nil
	case p.Bytes != nil:
		b, err := base64.StdEncoding.DecodeString(*p.Bytes)
		if err != nil {
			return nil, fmt.Errorf("retable: checkpoint: %w: %w", fault.Damaged, err)
		}
		if p.Raw {
			return string(b), nil
		}
		return b, nil
	}
	return nil, fmt.Errorf("retable: checkpoint: %w: a value of no type", fault.Damaged)
}
