package splice

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// csvReader cuts records into fields without changing a byte of them.
type csvReader struct {
	in    *bufio.Reader
	comma byte
	line  int // of the next record
}

// state is where in a field the reader is.
type state uint8

const (
	begins state = iota // nothing of the field was read
	bare                // in a field without quotes
	inside              // behind the opening quote
	closed              // behind a quote that closes, unless another one follows
	ended               // behind the line end
)

// next is the state behind one more byte, which may end a field.
func (s state) next(b, comma byte) (to state, endsField bool, err error) {
	switch {
	case s == inside && b == '"':
		return closed, false, nil
	case s == inside || s == closed && b == '"':
		return inside, false, nil
	case b == '\n':
		return ended, true, nil
	case b == comma:
		return begins, true, nil
	case s == begins && b == '"':
		return inside, false, nil
	case s == closed && b != '\r': // of "\r\n"; what else begins so is found at the field's end
		return s, false, errBehindQuote
	case s == closed:
		return s, false, nil
	}
	return bare, false, nil
}

var (
	errBehindQuote = usage("something behind a closing quote: a quote inside quotes must be doubled")
	errNotClosed   = usage("a quote that is not closed")
)

// read returns the next record; io.EOF where there is none.
func (c *csvReader) read() (record, error) {
	rec := record{line: c.line}
	var text []byte
	var ends []int // of fields, in text
	for s := begins; s != ended; {
		b, err := c.in.ReadByte()
		if errors.Is(err, io.EOF) {
			switch {
			case len(text) == 0:
				return rec, io.EOF
			case s == inside:
				return rec, &Error{Line: rec.line, Err: errNotClosed}
			}
			ends = append(ends, len(text))
			s = ended
			continue
		}
		if err != nil {
			return rec, err
		}
		to, endsField, err := s.next(b, c.comma)
		switch {
		case err != nil:
			return rec, &Error{Line: rec.line, Err: err}
		case len(text) == MaxRecord:
			return rec, &Error{Line: rec.line, Err: errTooLong}
		case endsField:
			ends = append(ends, len(text))
		}
		text, s = append(text, b), to
	}
	c.line += bytes.Count(text, []byte{'\n'})
	return rec, rec.cut(text, ends)
}

// cut makes the fields of a record whose fields end where ends says.
func (r *record) cut(text []byte, ends []int) error {
	from := 0
	for i, end := range ends {
		raw := text[from:end]
		if i == len(ends)-1 && end < len(text) { // a line end follows
			raw = bytes.TrimSuffix(raw, []byte{'\r'})
			r.end = text[from+len(raw):]
		}
		f := field{raw: raw, quoted: len(raw) > 0 && raw[0] == '"'}
		if f.quoted && (len(raw) < 2 || raw[len(raw)-1] != '"') { // a carriage return behind the quote, and no line end
			return &Error{Line: r.line, Err: errBehindQuote}
		}
		r.fields = append(r.fields, f)
		from = end + 1
	}
	return nil
}
