package formattest

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
)

// field is a row of a table of FORMAT.md.
type field struct {
	off, size int // size -1: it depends
	name      string
	rule      string
}

// table is a table of FORMAT.md with offsets and sizes.
type table struct {
	title string
	rows  []field
	by    map[string]field
}

// page is FORMAT.md.
type page struct {
	text   string
	tables map[string]*table
}

var doc = readPage("../../FORMAT.md")

func readPage(path string) *page {
	text, err := os.ReadFile(path)
	if err != nil {
		panic(err)
	}
	p := &page{string(text), map[string]*table{}}
	for _, m := range regexp.MustCompile(`<!-- table: ([a-z ]+) -->\n\| offset \| size \| name \| rule \|\n\|[-|]+\n((?:\|.*\n)+)`).FindAllStringSubmatch(p.text, -1) {
		t := &table{title: m[1], by: map[string]field{}}
		for line := range strings.Lines(m[2]) {
			t.add(strings.Split(line, "|"))
		}
		p.tables[t.title] = t
	}
	return p
}

// add takes a row; one whose offset depends on others is left to the reader.
func (t *table) add(cells []string) {
	off, err := strconv.Atoi(strings.TrimSpace(cells[1]))
	if err != nil {
		return
	}
	f := field{off: off, size: -1, name: strings.TrimSpace(cells[3]), rule: strings.TrimSpace(cells[4])}
	if size, err := strconv.Atoi(strings.TrimSpace(cells[2])); err == nil {
		f.size = size
	}
	t.rows = append(t.rows, f)
	t.by[f.name] = f
}

// in returns the structure of a title that lies in b. A structure that the page does not have ends the test.
func (p *page) in(title string, b []byte) structure {
	t := p.tables[title]
	if t == nil {
		panic("FORMAT.md has no table " + title)
	}
	return structure{t, b}
}

// structure is bytes seen through a table.
type structure struct {
	t *table
	b []byte
}

func (s structure) field(name string) field {
	f, ok := s.t.by[name]
	if !ok {
		panic(fmt.Sprintf("table %s of FORMAT.md has no field %s", s.t.title, name))
	}
	return f
}

func (s structure) off(name string) int { return s.field(name).off }

func (s structure) bytes(name string) []byte {
	f := s.field(name)
	return s.b[f.off:][:f.size]
}

func (s structure) uuid(name string) (u [16]byte) {
	copy(u[:], s.bytes(name))
	return u
}

func (s structure) hash(name string) (h [32]byte) {
	copy(h[:], s.bytes(name))
	return h
}

// num reads a little-endian number of the size that the table says.
func (s structure) num(name string) uint64 {
	var b [8]byte
	copy(b[:], s.bytes(name))
	return binary.LittleEndian.Uint64(b[:])
}

// put writes a number.
func (s structure) put(name string, v uint64) {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], v)
	copy(s.bytes(name), b[:])
}

// check says whether the magic is the table's and the reserved bytes are zero.
func (s structure) check() error {
	for _, f := range s.t.rows {
		b := s.b[f.off:]
		switch {
		case f.name == "magic":
			if want := text(f.rule); string(b[:f.size]) != want {
				return fmt.Errorf("%s: magic %q is not %q", s.t.title, b[:f.size], want)
			}
		case strings.HasPrefix(f.name, "reserved"):
			if !zero(b[:f.size]) {
				return fmt.Errorf("%s: %s is not zero", s.t.title, f.name)
			}
		}
	}
	return nil
}

// text returns what stands in quotes in a rule.
func text(rule string) string {
	m := regexp.MustCompile("[\"`]([^\"`]+)[\"`]").FindStringSubmatch(rule)
	if m == nil {
		panic("no text in rule " + rule)
	}
	return m[1]
}

func zero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// example returns the bytes of a worked example, and whether it is one line or more.
func (p *page) example(name string) ([]byte, error) {
	_, rest, ok := strings.Cut(p.text, "<!-- worked example: "+name+" -->\n```\n")
	if !ok {
		return nil, fmt.Errorf("FORMAT.md has no worked example %s", name)
	}
	dump, _, _ := strings.Cut(rest, "```")
	var out, last []byte
	repeat := false
	for line := range strings.Lines(dump) {
		line, _, _ = strings.Cut(line, "|")
		words := strings.Fields(line)
		if len(words) == 1 && words[0] == "*" {
			repeat = true
			continue
		}
		at, err := strconv.ParseUint(words[0], 16, 32)
		if err != nil {
			return nil, err
		}
		for repeat && len(out) < int(at) {
			out = append(out, last...)
		}
		repeat = false
		if len(out) != int(at) {
			return nil, fmt.Errorf("worked example %s: line %s is at %x", name, words[0], len(out))
		}
		if last, err = hex.DecodeString(strings.Join(words[1:], "")); err != nil {
			return nil, err
		}
		out = append(out, last...)
	}
	return out, nil
}
