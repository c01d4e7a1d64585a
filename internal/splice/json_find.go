package splice

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/cofferdb/coffer/internal/fault"
)

var errNotText = fmt.Errorf("%w: the value is not UTF-8 text, and JSON holds nothing else", fault.Unsupported)

// span is where a value lies in a line.
type span struct{ from, to int }

// find returns where the values at a path lie, in order. Of a name that an object
// has twice, both count. text is valid JSON.
func find(text []byte, steps []step) []span {
	s := finder{text: text}
	s.space()
	s.value(steps, true)
	return s.found
}

// finder goes through valid JSON once.
type finder struct {
	text  []byte
	at    int
	found []span
}

func (f *finder) space() {
	for f.at < len(f.text) && strings.IndexByte(" \t\r\n", f.text[f.at]) >= 0 {
		f.at++
	}
}

// value passes one value; where wanted, what steps lead to is noted.
func (f *finder) value(steps []step, wanted bool) {
	from := f.at
	if wanted && len(steps) == 0 {
		f.value(nil, false)
		f.found = append(f.found, span{from, f.at})
		return
	}
	switch f.text[f.at] {
	case '{':
		f.object(steps, wanted)
	case '[':
		f.array(steps, wanted)
	case '"':
		f.str()
	default:
		for f.at < len(f.text) && strings.IndexByte(" \t\r\n,]}", f.text[f.at]) < 0 {
			f.at++
		}
	}
}

func (f *finder) object(steps []step, wanted bool) {
	f.at++
	for f.space(); f.text[f.at] != '}'; f.space() {
		if f.text[f.at] == ',' {
			f.at++
			f.space()
		}
		name := f.str()
		f.space()
		f.at++ // the colon
		f.space()
		down := wanted && (steps[0].index == isAll || steps[0].index == isName && same(name, steps[0].name))
		f.value(below(steps, down), down)
	}
	f.at++
}

func (f *finder) array(steps []step, wanted bool) {
	f.at++
	i := 0
	for f.space(); f.text[f.at] != ']'; f.space() {
		if f.text[f.at] == ',' {
			f.at++
			f.space()
		}
		down := wanted && (steps[0].index == isAll || steps[0].index == i)
		f.value(below(steps, down), down)
		i++
	}
	f.at++
}

func below(steps []step, down bool) []step {
	if !down {
		return nil
	}
	return steps[1:]
}

// str passes a string and returns it as it is written.
func (f *finder) str() []byte {
	from := f.at
	for f.at++; f.text[f.at] != '"'; f.at++ {
		if f.text[f.at] == '\\' {
			f.at++
		}
	}
	f.at++
	return f.text[from:f.at]
}

// same reports whether a string, as it is written, says name.
func same(raw []byte, name string) bool {
	var s string
	return json.Unmarshal(raw, &s) == nil && s == name
}

// other returns another value of a line, for contexts: a string, or a number as it is written. What
// does not begin with $ is a name of the outermost object.
func other(body []byte, path string, changed []span) (string, error) {
	p := Path{text: path, steps: []step{{name: path, index: isName}}}
	if strings.HasPrefix(path, "$") {
		var err error
		if p, err = ParsePath(path); err != nil {
			return "", err
		}
	}
	at := find(body, p.steps)
	if len(at) != 1 {
		return "", usage("%s names %d places, not one", path, len(at))
	}
	if slices.Contains(changed, at[0]) {
		return "", usage("%s is a place that changes, so that a context cannot name it", path)
	}
	raw := body[at[0].from:at[0].to]
	switch c := raw[0]; {
	case c == '"':
		s, err := unquote(raw)
		return string(s), err
	case c == '-' || c >= '0' && c <= '9':
		return string(raw), nil
	}
	return "", usage("%s is neither a string nor a number", path)
}
