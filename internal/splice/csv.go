package splice

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
)

// CSV is what the records look like (RFC 4180). Fields may be quoted; quotes within
// are doubled, line ends within are kept. Where a field is not quoted, a quote
// inside is itself. An empty line is no record, unless the records have one field.
type CSV struct {
	Comma  byte // 0: ','
	Header bool // the first record has the columns' names
	// Column is a name from the header, or without one a number from 1.
	Column string
}

// field is one field of a record.
type field struct {
	raw    []byte // as it stands, quotes included
	quoted bool
}

// record is one record, or an empty line.
type record struct {
	line   int
	fields []field
	end    []byte // "\n", "\r\n", or nothing at the end of the input
}

// value is what a field says.
func (f field) value() []byte {
	if !f.quoted {
		return f.raw
	}
	return bytes.ReplaceAll(f.raw[1:len(f.raw)-1], []byte(`""`), []byte(`"`))
}

// Copy copies records from r to w and changes one field of each.
func (c CSV) Copy(w io.Writer, r io.Reader, change Change) error {
	if c.Comma == 0 {
		c.Comma = ','
	}
	if c.Comma == '"' || c.Comma == '\n' || c.Comma == '\r' {
		return usage("the delimiter of CSV cannot be %q", c.Comma)
	}
	in, out := &csvReader{in: bufio.NewReaderSize(r, 1<<16), comma: c.Comma, line: 1}, bufio.NewWriterSize(w, 1<<16)
	err := c.copy(out, in, change)
	return errors.Join(err, out.Flush())
}

func (c CSV) copy(out *bufio.Writer, in *csvReader, change Change) error {
	at, names, err := c.start(out, in)
	if err != nil {
		return err
	}
	width := len(names) // 0: not known yet
	var blanks []record // before that is known
	do := func(rec *record) error {
		if len(rec.fields) > 1 || len(rec.fields[0].raw) > 0 || width == 1 {
			if err := c.change(rec, at, names, change); err != nil {
				return err
			}
		}
		return rec.write(out, c.Comma)
	}
	all := func() error {
		for i := range blanks {
			if err := do(&blanks[i]); err != nil {
				return err
			}
		}
		blanks = nil
		return nil
	}
	for {
		rec, err := in.read()
		if errors.Is(err, io.EOF) {
			return all()
		}
		if err != nil {
			return err
		}
		if width == 0 && len(rec.fields) == 1 && len(rec.fields[0].raw) == 0 {
			blanks = append(blanks, rec)
			continue
		}
		if width == 0 {
			width = len(rec.fields)
			if err := all(); err != nil {
				return err
			}
		}
		if err := do(&rec); err != nil {
			return err
		}
	}
}

// start finds the column; the header goes through as it is.
func (c CSV) start(out *bufio.Writer, in *csvReader) (at int, names []string, err error) {
	if !c.Header {
		n, err := strconv.Atoi(c.Column)
		if err != nil || n < 1 {
			return 0, nil, usage("without a header a column is a number from 1, not %q", c.Column)
		}
		return n - 1, nil, nil
	}
	rec, err := in.read()
	if errors.Is(err, io.EOF) {
		return 0, nil, usage("there is no header: the input is empty")
	}
	if err != nil {
		return 0, nil, err
	}
	for i, f := range rec.fields {
		name := string(f.value())
		if i == 0 {
			name = strings.TrimPrefix(name, "\ufeff")
		}
		names = append(names, name)
	}
	at = slices.Index(names, c.Column)
	switch {
	case at < 0:
		return 0, nil, &Error{Line: 1, Err: usage("no column %q; the header has %s", c.Column, strings.Join(names, ", "))}
	case slices.Contains(names[at+1:], c.Column):
		return 0, nil, &Error{Line: 1, Err: usage("the header has the column %q twice", c.Column)}
	}
	return at, names, rec.write(out, c.Comma)
}

// change changes one field of a record.
func (c CSV) change(rec *record, at int, names []string, change Change) error {
	if at >= len(rec.fields) {
		return &Error{Line: rec.line, Err: usage("the record has %d fields, and column %s is not among them", len(rec.fields), c.Column)}
	}
	if names != nil && len(rec.fields) != len(names) {
		return &Error{Line: rec.line, Err: usage("the record has %d fields, and the header %d", len(rec.fields), len(names))}
	}
	f := &rec.fields[at]
	out, err := change(Place{Line: rec.line, Name: "column " + c.Column, Others: rec.others(names, at)}, bytes.Clone(f.value()))
	if err != nil {
		return &Error{Line: rec.line, Name: "column " + c.Column, Err: err}
	}
	if out != nil {
		*f = f.with(out, c.Comma)
	}
	return nil
}

// others finds the values of other columns of the record.
func (r *record) others(names []string, changed int) func(string) (string, error) {
	return func(name string) (string, error) {
		at := slices.Index(names, name)
		if names == nil {
			if n, err := strconv.Atoi(name); err == nil {
				at = n - 1
			}
		}
		if at < 0 || at >= len(r.fields) {
			return "", usage("no column %q", name)
		}
		if at == changed {
			return "", usage("column %q is the one that changes, so that a context cannot name it", name)
		}
		return string(r.fields[at].value()), nil
	}
}

// with returns a field with another value: quoted as before, or where it must be.
func (f field) with(value []byte, comma byte) field {
	if !f.quoted && bytes.IndexByte(value, comma) < 0 && !bytes.ContainsAny(value, "\"\r\n") {
		return field{raw: value}
	}
	raw := append([]byte{'"'}, bytes.ReplaceAll(value, []byte(`"`), []byte(`""`))...)
	return field{raw: append(raw, '"'), quoted: true}
}

func (r *record) write(w *bufio.Writer, comma byte) error {
	for i, f := range r.fields {
		if i > 0 {
			if err := w.WriteByte(comma); err != nil {
				return err
			}
		}
		if _, err := w.Write(f.raw); err != nil {
			return err
		}
	}
	_, err := w.Write(r.end)
	return err
}
