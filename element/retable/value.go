package retable

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"

	"github.com/cofferdb/coffer/element"
	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/secmem"
)

// sort is what a value in a table is.
type sort uint8

const (
	plain  sort = 1 // none of ours
	empty  sort = 2 // none of ours, of no length
	sealed sort = 3 // one of ours, whole as far as can be seen without a key
	broken sort = 4 // begins as one of ours, and is none
)

// cell is a value that was read.
type cell struct {
	sort   sort
	raw    any            // as it was read: string, []byte or, in SQLite, int64 or float64
	text   bool           // it is, or would become, the text form
	sealed []byte         // sort sealed: the binary form
	header element.Header // sort sealed
	err    error          // sort broken, and what cannot be encrypted
}

// inspect says what a value is. No key is needed.
func inspect(v any) cell {
	c := cell{raw: v, sort: plain}
	switch v := v.(type) {
	case string:
		c.text = true
		c.decode([]byte(v))
	case []byte:
		c.open(v)
		if c.sort != sealed && bytes.HasPrefix(v, []byte(element.TextPrefix)) { // the text form, in a column of bytes
			c.text = true
			c.decode(v)
		}
	case int64:
		c.text = true
	case float64:
		c.err = errNumber
	default:
		c.err = fmt.Errorf("retable: %w: a value of type %T", fault.Unsupported, v)
	}
	return c
}

// decode looks at what may be the text form.
func (c *cell) decode(text []byte) {
	trimmed := bytes.TrimRight(text, " \t\r\n")
	if len(text) == 0 || !bytes.HasPrefix(trimmed, []byte(element.TextPrefix)) {
		c.sort = sortOf(len(text))
		return
	}
	b, err := element.DecodeText(trimmed)
	if err != nil {
		c.sort, c.err = broken, err
		return
	}
	c.open(b)
	if c.sort != sealed && c.err == nil {
		c.sort, c.err = broken, element.ErrNotElement
	}
}

// open looks at what may be the binary form.
func (c *cell) open(b []byte) {
	h, err := element.Parse(b)
	switch {
	case err == nil && h.Kind == element.KindValue && len(b) < element.CiphertextLen(h.Suite, 0):
		c.sort, c.err = broken, element.ErrCut
	case err == nil:
		c.sort, c.sealed, c.header = sealed, b, h
	case errors.Is(err, element.ErrNotElement):
		c.sort = sortOf(len(b))
	default:
		c.sort, c.err = broken, err
	}
}

func sortOf(length int) sort {
	if length == 0 {
		return empty
	}
	return plain
}

// plaintext is what Encrypt encrypts.
func (c *cell) plaintext() []byte {
	switch v := c.raw.(type) {
	case string:
		return []byte(v)
	case []byte:
		return v
	case int64:
		return strconv.AppendInt(nil, v, 10)
	}
	return nil
}

// convert returns what takes the value's place; nil where it stays.
func (j *Job) convert(c Cipher, v *cell, context []byte) (any, error) {
	switch {
	case j.Do == Encrypt && (v.sort == plain || v.sort == empty && !j.SkipEmpty):
		return j.encrypt(c, v, context)
	case v.sort == broken:
		return nil, v.err
	case v.sort == empty && j.SkipEmpty:
		return nil, nil
	case j.Do == Rekey && (v.sort == plain || v.sort == empty):
		return nil, element.ErrNotElement
	case v.sort != sealed || j.Do == Encrypt || !j.wants(v.header.Key):
		return nil, nil
	case j.Do == Decrypt:
		return j.decrypt(c, v, context)
	}
	out, err := c.Rekey(v.sealed, j.To, context)
	if err != nil {
		return nil, err
	}
	return v.form(out), nil
}

func (j *Job) encrypt(c Cipher, v *cell, context []byte) (any, error) {
	if v.err != nil {
		return nil, v.err
	}
	p := v.plaintext()
	if _, own := v.raw.([]byte); !own {
		defer secmem.Wipe(p)
	}
	out, err := c.EncryptWith(j.suite(), p, j.To, context)
	if err != nil {
		return nil, err
	}
	return v.form(out), nil
}

// form puts a ciphertext into the form and type that the column has.
func (c *cell) form(sealed []byte) any {
	if !c.text {
		return sealed
	}
	text := element.EncodeText(sealed)
	if _, isBytes := c.raw.([]byte); isBytes {
		return []byte(text)
	}
	return text
}

func (j *Job) decrypt(c Cipher, v *cell, context []byte) (any, error) {
	p, err := c.Decrypt(v.sealed, context)
	if err != nil {
		return nil, err
	}
	if _, isText := v.raw.(string); !isText {
		return p, nil
	}
	defer secmem.Wipe(p)
	if !utf8.Valid(p) || bytes.IndexByte(p, 0) >= 0 {
		return nil, errNotText
	}
	return string(p), nil
}
