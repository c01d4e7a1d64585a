package element

import (
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/quick"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/dek"
)

type textID [2]byte

func (t textID) MarshalText() ([]byte, error) { return []byte{'t', t[0], t[1]}, nil }

type audit struct {
	By string `coffer:"encrypt,context=audit.by"`
	At time.Time
}

type visit2 struct {
	Note   string   `coffer:"encrypt,context=visits.note.{Number}"`
	Number uint16   //
	Codes  []string `coffer:"encrypt,context=visits.codes"`
	Next   *visit2
}

type patient struct {
	ID      int
	Key     textID
	Name    string
	SSN     string   `coffer:"encrypt,context=patients.ssn.{ID}"`
	Scan    []byte   `coffer:"encrypt,context=patients.scan.{Key},omitempty"`
	Text    []byte   `coffer:"encrypt,context=patients.text,text"`
	Mail    String   `coffer:"encrypt,context=patients.mail"`
	Card    *card2   //
	Phone   *string  `coffer:"encrypt,context=patients.phone"`
	Blobs   [][]byte `coffer:"encrypt,context=patients.blobs"`
	Code    code     `coffer:"encrypt,context=patients.code,omitempty"`
	Visits  []visit2
	Pairs   [2]audit
	Skipped string `coffer:"-"`
	Meta    map[string]string
	audit
	private string
}

type card2 struct {
	Number Field[card] `coffer:"encrypt,context=cards.number"`
}

func newPatient() *patient {
	phone := "555-1234"
	p := &patient{ID: 42, Key: textID{'a', '.'}, Name: "in clear", SSN: "078-05-1120", Scan: []byte{1, 2}, Text: []byte("text"),
		Phone: &phone, Blobs: [][]byte{{1}, nil, {}}, Visits: []visit2{{Note: "one", Number: 1}, {Note: "", Number: 2, Codes: []string{"a", "b"}}},
		Skipped: "stays", Meta: map[string]string{"a": "b"}, Card: &card2{}, private: "stays"}
	p.Mail.Set("a@b.example")
	p.Card.Number.Set(card{"4111", 2030})
	p.By = "somebody"
	p.Pairs[1].By = "second"
	p.Visits[0].Next = &visit2{Note: "further"}
	p.Visits[0].Next.Next = &p.Visits[0] // a circle
	return p
}

func TestStructs(t *testing.T) {
	c, ids := newCipher(t, 256, 128)
	s := c.Structs(ids[0])
	p := newPatient()
	require.NoError(t, s.Encrypt(p))
	for _, text := range []string{p.SSN, string(p.Text), *p.Phone, p.Visits[0].Note, p.Visits[1].Note, p.Visits[1].Codes[1], p.Visits[0].Next.Note, p.By, p.Pairs[0].By, p.Pairs[1].By} {
		require.True(t, IsText(text), text)
	}
	_, err := Parse(p.Scan)
	require.NoError(t, err)
	require.Equal(t, []any{"in clear", "stays", "stays", code("")}, []any{p.Name, p.Skipped, p.private, p.Code})
	require.Nil(t, p.Blobs[1])
	_, err = p.Mail.Get()
	require.ErrorIs(t, err, ErrSealed)
	plain, err := c.Decrypt(mustDecode(t, p.SSN), []byte("patients.ssn.42"))
	require.NoError(t, err)
	require.Equal(t, "078-05-1120", string(plain))
	plain, err = c.Decrypt(p.Scan, []byte(`patients.scan.ta\.`))
	require.NoError(t, err)
	require.Equal(t, []byte{1, 2}, plain)

	require.ErrorIs(t, s.Encrypt(p), ErrEncrypted)
	require.NoError(t, c.Structs(ids[1]).Rekey(p))
	h, err := Parse(mustDecode(t, p.SSN))
	require.NoError(t, err)
	require.Equal(t, ids[1], h.Key)
	before := p.SSN
	require.NoError(t, c.Structs(ids[1]).Rekey(p))
	require.Equal(t, before, p.SSN, "it is under that key already")

	require.NoError(t, s.Decrypt(p))
	samePatient(t, newPatient(), p)
}

func mustDecode(t *testing.T, text string) []byte {
	t.Helper()
	b, err := DecodeText(text)
	require.NoError(t, err)
	return b
}

// samePatient compares but for the columns that fields have got.
func samePatient(t *testing.T, want, got *patient) {
	t.Helper()
	a, err := want.Mail.Get()
	require.NoError(t, err)
	b, err := got.Mail.Get()
	require.NoError(t, err)
	require.Equal(t, a, b)
	x, err := want.Card.Number.Get()
	require.NoError(t, err)
	y, err := got.Card.Number.Get()
	require.NoError(t, err)
	require.Equal(t, x, y)
	want.Mail, got.Mail, want.Card, got.Card = String{}, String{}, nil, nil
	require.Equal(t, want, got)
}

// TestStructsAllOrNothing: an error leaves the struct as it was, and names the field.
func TestStructsAllOrNothing(t *testing.T) {
	c, ids := newCipher(t, 256)
	s := c.Structs(ids[0])
	p := newPatient()
	p.Visits[1].Note = EncodeText(append([]byte{}, sealedFor(t, c, ids[0])...))
	var at *FieldError
	err := s.Encrypt(p)
	require.ErrorAs(t, err, &at)
	require.Equal(t, "patient.Visits[1].Note", at.Field)
	require.ErrorIs(t, err, ErrEncrypted)
	p.Visits[1].Note = ""
	samePatient(t, newPatient(), p)

	p = newPatient()
	require.NoError(t, s.Encrypt(p))
	ssn := p.SSN
	p.Visits[1].Codes[1] = p.Visits[1].Codes[1][:20]
	err = s.Decrypt(p)
	require.ErrorAs(t, err, &at)
	require.Equal(t, "patient.Visits[1].Codes[1]", at.Field)
	require.ErrorIs(t, err, ErrDamaged)
	require.Equal(t, ssn, p.SSN)

	p = newPatient()
	require.NoError(t, s.Encrypt(p))
	p.ID = 43 // another row
	err = s.Decrypt(p)
	require.ErrorAs(t, err, &at)
	require.Equal(t, "patient.SSN", at.Field)
	require.ErrorIs(t, err, ErrTampered)

	err = s.Decrypt(newPatient())
	require.ErrorIs(t, err, ErrNotElement)
	require.NotContains(t, err.Error(), "078")
	require.ErrorIs(t, c.Structs(dek.NewID()).Encrypt(newPatient()), ErrNotActivated)
}

func sealedFor(t *testing.T, c *Cipher, id dek.ID) []byte {
	t.Helper()
	b, err := c.Encrypt([]byte("x"), id, nil)
	require.NoError(t, err)
	return b
}

func TestStructsOfSlices(t *testing.T) {
	c, ids := newCipher(t, 256)
	s := c.Structs(ids[0])
	list := []audit{{By: "a"}, {By: "b"}}
	require.NoError(t, s.Encrypt(&list))
	require.True(t, IsText(list[1].By))
	require.NoError(t, s.Decrypt(&list))
	require.Equal(t, []audit{{By: "a"}, {By: "b"}}, list)
	pointers := []*audit{{By: "a"}, nil, {By: "b"}}
	pointers = append(pointers, pointers[0])
	require.NoError(t, s.Encrypt(&pointers))
	require.NoError(t, s.Decrypt(&pointers))
	require.Equal(t, "a", pointers[3].By)
	var none *patient
	for _, p := range []any{nil, patient{}, none, new(int), new(string), &[]string{"x"}, "x"} {
		require.ErrorIs(t, s.Encrypt(p), ErrUsage)
	}
}

// TestBadTags: each says which field, and why.
func TestBadTags(t *testing.T) {
	c, ids := newCipher(t, 256)
	s := c.Structs(ids[0])
	type mapped struct{ M map[string]audit }
	for want, p := range map[string]any{
		"does not begin with encrypt": &struct {
			A string `coffer:"encrpyt,context=a"`
		}{},
		"names no context": &struct {
			A string `coffer:"encrypt"`
		}{},
		"what is": &struct {
			A string `coffer:"encrypt,context=a,nonsense"`
		}{},
		"what is \"context=b\"": &struct {
			A string `coffer:"encrypt,context=a,context=b"`
		}{},
		"no exported field": &struct {
			A string `coffer:"encrypt,context={B}"`
		}{},
		"is encrypted itself": &struct {
			A string `coffer:"encrypt,context={A}"`
		}{},
		"has no text": &struct {
			A string `coffer:"encrypt,context={B}"`
			B float64
		}{},
		"cannot be encrypted": &struct {
			A int `coffer:"encrypt,context=a"`
		}{},
		"not exported": &struct {
			a string `coffer:"encrypt,context=a"`
		}{},
		"a dot or an end": &struct {
			A string `coffer:"encrypt,context=x{B}"`
			B string
		}{},
		"not looked into": &mapped{},
	} {
		for range 2 { // worked out, and remembered
			err := s.Encrypt(p)
			require.ErrorContains(t, err, want)
			require.ErrorIs(t, err, ErrUsage)
			var at *FieldError
			require.ErrorAs(t, err, &at)
			require.NotEmpty(t, at.Field)
		}
	}
	nilKey := &struct {
		A string `coffer:"encrypt,context={B}"`
		B *textKey
	}{}
	require.ErrorIs(t, s.Encrypt(nilKey), ErrUsage)
}

type textKey struct{}

func (*textKey) MarshalText() ([]byte, error) { return nil, nil }

func TestStructsConcurrent(t *testing.T) {
	c, ids := newCipher(t, 256)
	s := c.Structs(ids[0])
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 20 {
				p := newPatient()
				if err := s.Encrypt(p); err != nil {
					t.Error(err)
				}
				if err := s.Decrypt(p); err != nil || p.SSN != "078-05-1120" {
					t.Error(err, p.SSN)
				}
			}
		})
	}
	wg.Wait()
}

type anything struct {
	ID    int64
	Name  string
	A     string            `coffer:"encrypt,context=any.a.{ID}.{Name}"`
	B     []byte            `coffer:"encrypt,context=any.b,omitempty"`
	C     []string          `coffer:"encrypt,context=any.c"`
	D     *string           `coffer:"encrypt,context=any.d,omitempty"`
	E     [3][]byte         `coffer:"encrypt,context=any.e,text"`
	Inner []struct{ A any } //
	Sub   *struct {
		F code `coffer:"encrypt,context=any.f"`
	}
}

// TestStructsProperty: whatever a struct holds comes back.
func TestStructsProperty(t *testing.T) {
	c, ids := newCipher(t, 128)
	s := c.Structs(ids[0])
	roundTrip := func(v anything) bool {
		v.Inner = nil
		before := clone(v)
		return s.Encrypt(&v) == nil && s.Decrypt(&v) == nil && reflect.DeepEqual(before, v)
	}
	require.NoError(t, quick.Check(func(id int64, name, a string, b []byte, cs []string, d *string, e [3][]byte, f string) bool {
		v := anything{ID: id, Name: name, A: a, B: b, C: cs, D: d, E: e}
		v.Sub = &struct {
			F code `coffer:"encrypt,context=any.f"`
		}{code(f)}
		return roundTrip(v)
	}, &quick.Config{MaxCount: 200}))
}

func clone(v anything) anything {
	v.C = slices.Clone(v.C)
	if v.D != nil {
		d := *v.D
		v.D = &d
	}
	if v.Sub != nil {
		sub := *v.Sub
		v.Sub = &sub
	}
	return v
}

// FuzzTag: whatever a tag says, it is read or refused with the field's name; what is read
// encrypts and decrypts.
func FuzzTag(f *testing.F) {
	for _, tag := range []string{"encrypt,context=a", "encrypt,context=a.{B}.{C},omitempty", "encrypt,context={{,text", "-", "", "encrypt", "encrypt,context={C}{B}", "encrypt,context=,deterministic"} {
		f.Add(tag, "value")
	}
	c, ids := newCipher(f, 128)
	s := c.Structs(ids[0])
	f.Fuzz(func(t *testing.T, tag, value string) {
		if strings.ContainsAny(tag, "`\\\"") || !isPrintable(tag) {
			return
		}
		typ := reflect.StructOf([]reflect.StructField{
			{Name: "A", Type: reflect.TypeFor[string](), Tag: reflect.StructTag(`coffer:"` + tag + `"`)},
			{Name: "B", Type: reflect.TypeFor[string]()}, {Name: "C", Type: reflect.TypeFor[int]()},
		})
		p := reflect.New(typ)
		p.Elem().Field(0).SetString(value)
		if err := s.Encrypt(p.Interface()); err != nil {
			require.Equal(t, value, p.Elem().Field(0).String())
			return
		}
		require.NoError(t, s.Decrypt(p.Interface()))
		require.Equal(t, value, p.Elem().Field(0).String())
	})
}

func isPrintable(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) < 0
}

func TestTemplate(t *testing.T) {
	for text, want := range map[string]string{
		"patients.ssn":             "patients.ssn",
		"patients.ssn.{id}":        "patients.ssn.4\\.2",
		"{id}":                     "4\\.2",
		"{a}.{id}.x":               `.4\.2.x`,
		"{{literal}}":              "{literal}",
		"":                         "",
		`a\.b.{id}`:                `a\.b.4\.2`,
		`a\\.{id}`:                 `a\\.4\.2`,
		"patients.{weird name $.}": `patients.back\\slash`,
	} {
		tmpl, err := ParseTemplate(text)
		require.NoError(t, err, text)
		require.Equal(t, text, tmpl.String())
		var values []string
		for _, n := range tmpl.Names() {
			values = append(values, map[string]string{"id": "4.2", "a": "", "weird name $.": `back\slash`}[n])
		}
		got, err := tmpl.Context(values...)
		require.NoError(t, err)
		require.Equal(t, want, string(got))
		_, err = tmpl.Context(append(values, "x")...)
		require.ErrorIs(t, err, ErrUsage)
	}
	for _, text := range []string{"{", "}", "a{id}", "{id}a", "{id}{id}", "{}", "{a{b}", "x}", `a\.{id}`, "{{{id}"} {
		_, err := ParseTemplate(text)
		require.ErrorIs(t, err, ErrUsage, text)
	}
	tmpl, err := ParseTemplate("{x}")
	require.NoError(t, err)
	got, err := tmpl.Context("")
	require.NoError(t, err)
	require.Equal(t, NewContext(""), got)
	_, err = tmpl.Context(strings.Repeat("x", MaxContext+1))
	require.ErrorIs(t, err, ErrUsage)
}

// FuzzTemplate: different values give different contexts, and a template of names is NewContext.
func FuzzTemplate(f *testing.F) {
	f.Add("t.{a}.{b}", "1", "2", "3", "4")
	f.Add("{a}.{b}", "1.2", "", "1", ".2")
	f.Fuzz(func(t *testing.T, text, a, b, x, y string) {
		both, err := ParseTemplate("{a}.{b}")
		require.NoError(t, err)
		if got, err := both.Context(a, b); err == nil {
			require.Equal(t, NewContext(a, b), got)
		}
		tmpl, err := ParseTemplate(text)
		if err != nil {
			require.ErrorIs(t, err, ErrUsage)
			return
		}
		if len(tmpl.Names()) != 2 {
			return
		}
		one, err1 := tmpl.Context(a, b)
		two, err2 := tmpl.Context(x, y)
		if err1 == nil && err2 == nil {
			require.Equal(t, a == x && b == y, string(one) == string(two))
		}
	})
}
