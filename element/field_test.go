package element

import (
	"bytes"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/dek"
)

type card struct {
	Number string
	Year   int
}

type code string

// TestFieldThroughDriver: a value goes to a driver encrypted, and comes back.
func TestFieldThroughDriver(t *testing.T) {
	c, ids := newCipher(t, 256)
	for name, col := range map[string]*Column{
		"text":   c.Column(ids[0], []byte("t.c")),
		"binary": c.Column(ids[0], []byte("t.c")).Binary(),
		"cbc":    c.Column(ids[0], []byte("t.c")).With(CBC),
	} {
		t.Run(name, func(t *testing.T) {
			throughDriver(t, col, "078-05-1120")
			throughDriver(t, col, "")
			throughDriver(t, col, "\x00\xff not text")
			throughDriver(t, col, code("named"))
			throughDriver(t, col, []byte{1, 2, 3})
			throughDriver(t, col, []byte{})
			throughDriver(t, col, json.RawMessage(`{"a": 1}`))
			throughDriver(t, col, 42)
			throughDriver(t, col, card{"4111", 2030})
			throughDriver(t, col, []string{"a", "b"})
			throughDriver(t, col, map[string]int{"a": 1})
		})
	}
}

func throughDriver[T any](t *testing.T, col *Column, v T) {
	t.Helper()
	out, err := NewField(col, v).Value()
	require.NoError(t, err)
	require.True(t, driver.IsValue(out))
	text, isText := out.(string)
	require.Equal(t, !col.binary, isText)
	if isText {
		require.True(t, IsText(text))
	}
	again, err := NewField(col, v).Value()
	require.NoError(t, err)
	require.NotEqual(t, out, again, "a nonce for each")

	for _, src := range []any{out, toBytes(out)} { // drivers hand text over as either
		f := Bind[T](col)
		require.NoError(t, f.Scan(src))
		got, err := f.Get()
		require.NoError(t, err)
		require.Equal(t, v, got)

		var lazy Field[T]
		require.NoError(t, lazy.Scan(src))
		_, err = lazy.Get()
		require.ErrorIs(t, err, ErrSealed)
		same, err := lazy.Value()
		require.NoError(t, err)
		require.Equal(t, out, same, "what was read goes back as it is")
		require.NoError(t, lazy.Open(col))
		got, err = lazy.Get()
		require.NoError(t, err)
		require.Equal(t, v, got)

		var to T
		require.NoError(t, col.Dest(&to).Scan(src))
		require.Equal(t, v, to)
		var pointer *T
		require.NoError(t, col.Dest(&pointer).Scan(src))
		require.Equal(t, v, *pointer)
		require.NoError(t, col.Dest(&pointer).Scan(nil))
		require.Nil(t, pointer)
		require.ErrorIs(t, col.Dest(&to).Scan(nil), ErrUsage)
	}
	for _, arg := range []any{v, &v} {
		out, err := col.Arg(arg).Value()
		require.NoError(t, err)
		var to T
		require.NoError(t, col.Dest(&to).Scan(out))
		require.Equal(t, v, to)
	}
}

func toBytes(v any) []byte {
	if s, ok := v.(string); ok {
		return []byte(s)
	}
	return v.([]byte)
}

func TestFieldNull(t *testing.T) {
	c, ids := newCipher(t, 256)
	col := c.Column(ids[0], nil)
	for _, f := range []String{{}, Bind[string](col)} {
		v, err := f.Value()
		require.NoError(t, err)
		require.Nil(t, v)
		require.True(t, f.IsNull())
		got, err := f.Get()
		require.NoError(t, err)
		require.Empty(t, got)
	}
	require.Equal(t, "text", String{}.GormDataType())
	f := NewField(col, "before")
	require.NoError(t, f.Scan(nil))
	require.True(t, f.IsNull())
	f.Set("x")
	require.False(t, f.IsNull())
	f.SetNull()
	require.True(t, f.IsNull())
	var none *string
	for _, v := range []any{nil, none} {
		out, err := col.Arg(v).Value()
		require.NoError(t, err)
		require.Nil(t, out)
	}
	require.ErrorIs(t, col.Dest("no pointer").Scan("x"), ErrUsage)
	require.ErrorIs(t, col.Dest(nil).Scan("x"), ErrUsage)
	require.ErrorIs(t, col.Dest(none).Scan("x"), ErrUsage)
}

// TestFieldErrors: what cannot be read leaves nothing of the row before.
func TestFieldErrors(t *testing.T) {
	c, ids := newCipher(t, 256, 128)
	col, other := c.Column(ids[0], []byte("a")), c.Column(ids[0], []byte("b"))
	out, err := NewField(col, "secret").Value()
	require.NoError(t, err)
	stranger, err := NewField(c.Column(dek.NewID(), nil), "x").Value()
	require.ErrorIs(t, err, ErrNotActivated)
	require.Nil(t, stranger)

	for name, tt := range map[string]struct {
		src  any
		want error
	}{
		"another context": {out, ErrTampered},
		"cut":             {out.(string)[:20], ErrDamaged},
		"not ours":        {"plain", ErrNotElement},
		"bytes not ours":  {[]byte("plain"), ErrNotElement},
		"empty":           {"", ErrNotElement},
		"a number":        {int64(1), ErrUsage},
	} {
		t.Run(name, func(t *testing.T) {
			f := NewField(other, "of the row before")
			require.ErrorIs(t, f.Scan(tt.src), tt.want)
			require.True(t, f.IsNull())
			to := "before"
			require.ErrorIs(t, other.Dest(&to).Scan(tt.src), tt.want)
		})
	}

	var lazy String
	require.NoError(t, lazy.Scan(out))
	require.ErrorIs(t, lazy.Open(other), ErrTampered)
	require.NoError(t, lazy.Open(col), "a failed one changes nothing")

	var unbound String
	unbound.Set("secret")
	_, err = unbound.Value()
	require.ErrorIs(t, err, ErrUnbound)
	_, err = json.Marshal(unbound)
	require.ErrorIs(t, err, ErrUnbound)
	require.NotContains(t, err.Error(), "secret")

	number := Bind[int](col)
	err = number.Scan(out)
	require.ErrorIs(t, err, ErrUsage)
	require.NotContains(t, err.Error(), "secret")
}

// TestFieldKeysChange: what was written under another key is read, what is written is under the column's.
func TestFieldKeysChange(t *testing.T) {
	c, ids := newCipher(t, 256, 128)
	before, after := c.Column(ids[0], []byte("a")), c.Column(ids[1], []byte("a"))
	out, err := NewField(before, "x").Value()
	require.NoError(t, err)
	f := Bind[string](after)
	require.NoError(t, f.Scan(out))
	sealed, err := f.Sealed()
	require.NoError(t, err)
	h, err := Parse(sealed)
	require.NoError(t, err)
	require.Equal(t, ids[1], h.Key)
}

func TestFieldDeterministic(t *testing.T) {
	if SIV.Allowed() != nil {
		t.Skip("FIPS mode")
	}
	c, ids := newCipher(t, 256)
	col := c.Column(ids[0], []byte("a")).Deterministic()
	one, err := col.Arg("x").Value()
	require.NoError(t, err)
	two, err := NewField(col, "x").Value()
	require.NoError(t, err)
	require.Equal(t, one, two)
}

type document struct {
	ID    int           `json:"id" xml:"id"`
	SSN   String        `json:"ssn" xml:"ssn"`
	Notes Field[[]card] `json:"notes,omitzero" xml:"notes"`
	Raw   Bytes         `json:"raw" xml:"-"`
}

func TestFieldJSON(t *testing.T) {
	c, ids := newCipher(t, 256)
	col := c.Column(ids[0], []byte("a"))
	in := document{ID: 7, SSN: NewField(col, "078-05-1120"), Raw: Bind[[]byte](col)}
	text, err := json.Marshal(in)
	require.NoError(t, err)
	require.Regexp(t, `^\{"id":7,"ssn":"coffer1:[A-Za-z0-9_-]+","raw":null\}$`, string(text))

	var out document
	require.NoError(t, json.Unmarshal(text, &out))
	again, err := json.Marshal(out)
	require.NoError(t, err)
	require.Equal(t, string(text), string(again), "what was not opened goes on as it is")
	require.NoError(t, out.SSN.Open(col))
	got, err := out.SSN.Get()
	require.NoError(t, err)
	require.Equal(t, "078-05-1120", got)
	require.True(t, out.Raw.IsNull())

	bound := document{SSN: Bind[string](col)}
	require.NoError(t, json.Unmarshal(text, &bound))
	got, err = bound.SSN.Get()
	require.NoError(t, err)
	require.Equal(t, "078-05-1120", got)

	for _, bad := range []string{`{"ssn":"078-05-1120"}`, `{"ssn":78}`, `{"ssn":{}}`, `{"ssn":"coffer1:x"}`, `{"ssn":""}`} {
		err := json.Unmarshal([]byte(bad), &bound)
		require.Error(t, err, bad)
		require.NotContains(t, err.Error(), "78")
	}

	text, err = xml.Marshal(in)
	require.NoError(t, err)
	require.NotContains(t, string(text), "078")
	out = document{}
	require.NoError(t, xml.Unmarshal(text, &out))
	require.NoError(t, out.SSN.Open(col))
	require.True(t, out.Notes.IsNull())
}

// TestFieldsPrintNothing: no way of printing shows a value.
func TestFieldsPrintNothing(t *testing.T) {
	c, ids := newCipher(t, 256)
	col := c.Column(ids[0], nil)
	const hidden = "078-05-1120"
	type row struct {
		F String
		P *String
		B Bytes
		A driver.Valuer
	}
	s, b := NewField(col, hidden), NewField(col, []byte(hidden))
	r := row{s, &s, b, col.Arg(hidden)}
	var log bytes.Buffer
	for _, l := range []*slog.Logger{slog.New(slog.NewTextHandler(&log, nil)), slog.New(slog.NewJSONHandler(&log, nil))} {
		l.Info("x", "s", s, "p", &s, "b", b, "a", col.Arg(hidden), "r", []any{col.Arg(hidden)})
	}
	text := log.String()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T %v"} {
		text += fmt.Sprintf(verb, s) + fmt.Sprintf(verb, &s) + fmt.Sprintf(verb, r) + fmt.Sprintf(verb, &r) + fmt.Sprintf(verb, b) + fmt.Sprintf(verb, col.Arg(hidden))
	}
	text += fmt.Sprint(s.String(), s.GoString())
	inside := struct { // fmt cannot call methods of what is not exported
		s String
		p *String
		b Bytes
		m map[string]Bytes
		a driver.Valuer
	}{s, &s, b, map[string]Bytes{"": b}, col.Arg(hidden)}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		text += fmt.Sprintf(verb, inside) + fmt.Sprintf(verb, &inside)
	}
	require.NotContains(t, text, hidden)
	require.NotContains(t, text, fmt.Sprintf("%x", hidden))
	require.NotContains(t, text, fmt.Sprint([]byte(hidden)))
	require.Contains(t, text, "[redacted]")
}

func TestScannerOfNull(t *testing.T) {
	c, ids := newCipher(t, 256)
	col := c.Column(ids[0], nil)
	out, err := col.Arg("x").Value()
	require.NoError(t, err)
	v := sql.Null[String]{V: Bind[string](col)}
	require.NoError(t, v.Scan(out))
	require.True(t, v.Valid)
}

// FuzzScan: whatever a driver hands over is read or refused, and what is kept goes back as it was.
func FuzzScan(f *testing.F) {
	f.Add([]byte("coffer1:Q0ZFAQEB"), true)
	f.Add([]byte{'C', 'F', 'E', 1, 1, 1}, false)
	f.Add([]byte("plain"), true)
	c, ids := newCipher(f, 256)
	col := c.Column(ids[0], nil)
	whole, err := col.Binary().Arg("x").Value()
	require.NoError(f, err)
	f.Add(whole.([]byte), false)
	f.Fuzz(func(t *testing.T, raw []byte, text bool) {
		var src any = raw
		if text {
			src = string(raw)
		}
		var lazy String
		if err := lazy.Scan(src); err != nil {
			require.True(t, lazy.IsNull())
			return
		}
		out, err := lazy.Value()
		require.NoError(t, err)
		require.Equal(t, raw, toBytes(out))
		if lazy.Open(col) == nil {
			bound := Bind[string](col)
			require.NoError(t, bound.Scan(src))
		}
		var fromJSON String
		quoted, err := json.Marshal(string(raw))
		require.NoError(t, err)
		_ = fromJSON.UnmarshalJSON(quoted) // read or refused
	})
}
