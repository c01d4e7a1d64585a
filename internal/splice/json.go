package splice

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Path is a place in a JSON value: $.patient.ssn, $['odd name'], $.list[0], $.list[*].
// The zero Path is $, the whole value.
type Path struct {
	text  string
	steps []step
}

// step is one name, one index, or all of an array or object.
type step struct {
	name  string
	index int // -1: a name; -2: all
}

const (
	isName = -1
	isAll  = -2
)

// ParsePath reads a path: that much of JSONPath (RFC 9535) as names single places.
func ParsePath(text string) (Path, error) {
	p := Path{text: text}
	rest, ok := strings.CutPrefix(text, "$")
	if !ok {
		return p, badPath(text)
	}
	for rest != "" {
		var s step
		switch {
		case rest[0] == '.':
			end := strings.IndexAny(rest[1:], ".[")
			if end < 0 {
				end = len(rest) - 1
			}
			s, rest = step{name: rest[1 : 1+end], index: isName}, rest[1+end:]
			if s.name == "*" {
				s = step{index: isAll}
			} else if s.name == "" || strings.ContainsAny(s.name, "]*\"' ") {
				return p, badPath(text)
			}
		case rest[0] == '[':
			var err error
			if s, rest, err = bracket(rest[1:]); err != nil {
				return p, badPath(text)
			}
		default:
			return p, badPath(text)
		}
		p.steps = append(p.steps, s)
	}
	return p, nil
}

// bracket reads what is behind an opening bracket.
func bracket(text string) (s step, rest string, err error) {
	if text != "" && (text[0] == '\'' || text[0] == '"') {
		name, after, ok := strings.Cut(text[1:], text[:1]+"]")
		if !ok || strings.Contains(name, `\`) {
			return s, "", errors.New("not closed")
		}
		return step{name: name, index: isName}, after, nil
	}
	inner, after, ok := strings.Cut(text, "]")
	if !ok {
		return s, "", errors.New("not closed")
	}
	if inner == "*" {
		return step{index: isAll}, after, nil
	}
	n, err := strconv.ParseUint(inner, 10, 31)
	return step{index: int(n)}, after, err
}

func badPath(text string) error {
	return usage("%q is not a path: write $.patient.ssn, $['odd name'], $.list[0] or $.list[*]", text)
}

// String returns the path as it was read.
func (p Path) String() string { return p.text }

// JSONL changes the values at a path in each line, every line being one JSON value
// (RFC 8259). The values must be strings; null is left. An empty line is copied.
type JSONL struct {
	Path Path
	// Missing lets lines pass that have nothing at the path. Without it they are an
	// error, since a path that is misspelt would let everything pass.
	Missing bool
}

// Copy copies lines from r to w and changes the values at the path.
func (j JSONL) Copy(w io.Writer, r io.Reader, change Change) error {
	in, out := bufio.NewReaderSize(r, 1<<16), bufio.NewWriterSize(w, 1<<16)
	err := j.copy(out, in, change)
	return errors.Join(err, out.Flush())
}

func (j JSONL) copy(out *bufio.Writer, in *bufio.Reader, change Change) error {
	for n := 1; ; n++ {
		line, err := readLine(in)
		if err != nil && !errors.Is(err, io.EOF) {
			return &Error{Line: n, Err: err}
		}
		if len(line) == 0 {
			return nil
		}
		changed, err := j.line(n, line, change)
		if err != nil {
			return err
		}
		if _, err := out.Write(changed); err != nil {
			return err
		}
	}
}

func readLine(in *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := in.ReadSlice('\n')
		if len(line)+len(part) > MaxRecord {
			return nil, errTooLong
		}
		line = append(line, part...)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
	}
}

// line changes one line.
func (j JSONL) line(n int, line []byte, change Change) ([]byte, error) {
	if len(bytes.TrimSpace(line)) == 0 {
		return line, nil
	}
	body := bytes.TrimPrefix(line, []byte("\ufeff"))
	if !json.Valid(body) || !utf8.Valid(body) {
		return nil, &Error{Line: n, Err: usage("not a JSON value in UTF-8")}
	}
	at := find(body, j.Path.steps)
	if len(at) == 0 && !j.Missing {
		return nil, &Error{Line: n, Name: j.Path.text, Err: ErrMissing}
	}
	place := Place{Line: n, Name: j.Path.text, Others: func(name string) (string, error) { return other(body, name, at) }}
	out := append([]byte{}, line[:len(line)-len(body)]...)
	from := 0
	for _, s := range at {
		value, err := changed(place, body[s.from:s.to], change)
		if err != nil {
			return nil, &Error{Line: n, Name: j.Path.text, Err: err}
		}
		out = append(append(out, body[from:s.from]...), value...)
		from = s.to
	}
	return append(out, body[from:]...), nil
}

// changed changes one value.
func changed(at Place, raw []byte, change Change) ([]byte, error) {
	if string(raw) == "null" {
		return raw, nil
	}
	text, err := unquote(raw)
	if err != nil {
		return nil, err
	}
	out, err := change(at, text)
	if err != nil || out == nil {
		return raw, err
	}
	return quote(out)
}

// unquote returns what a JSON string says. A string that says what no UTF-8 can, half a
// pair of surrogates, is refused: it would not come back.
func unquote(raw []byte) ([]byte, error) {
	if raw[0] != '"' {
		return nil, usage("only strings can be encrypted, and this is none")
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return nil, usage("not a JSON string")
	}
	written := bytes.Count(raw, []byte("\ufffd")) + bytes.Count(bytes.ToLower(raw), []byte(`\ufffd`))
	if strings.Count(s, "\ufffd") > written {
		return nil, usage("a string with half a pair of surrogates, which is no text")
	}
	return []byte(s), nil
}

// quote writes a JSON string.
func quote(text []byte) ([]byte, error) {
	if !utf8.Valid(text) {
		return nil, errNotText
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(string(text)); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte{'\n'}), nil
}
