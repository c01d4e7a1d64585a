package element

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/secmem"
)

// Structs encrypts and decrypts those fields of structs that have a tag:
//
//	type Patient struct {
//		ID   int
//		Name string
//		SSN  string         `coffer:"encrypt,context=patients.ssn.{ID}"`
//		Scan []byte         `coffer:"encrypt,context=patients.scan.{ID},omitempty"`
//		Mail element.String `coffer:"encrypt,context=patients.mail,deterministic"`
//	}
//
// Set what a context names before Encrypt: an ID that the database gives later is 0
// until then, and the value would be bound to that.
//
// The tag says encrypt, and then:
//
//   - context=TEMPLATE, always: a [Template] whose names are fields of the same struct
//     that are strings, integers, bytes or know their text form. It has no commas.
//   - deterministic: the suite [SIV] instead of [GCM].
//   - omitempty: what has no length stays as it is.
//   - text: bytes take the text form, and not the binary one.
//
// A field is a string, bytes, a type made of them, a [Field], or a pointer to, a slice or an
// array of one of these. nil stays nil. A string takes the text form. Structs inside, and
// pointers to, slices and arrays of structs, are done too. Maps are not looked into, and refused
// where they have tags inside; neither are interfaces, nor fields that are not exported.
//
// What a type's tags say is worked out once. Structs may be used by many goroutines.
type Structs struct {
	c   *Cipher
	key dek.ID
}

// Structs returns a Structs that encrypts under a key, and decrypts under any that is activated.
func (c *Cipher) Structs(key dek.ID) *Structs { return &Structs{c: c, key: key} }

// Encrypt encrypts what has a tag in the struct that p points to, or in the structs of
// the slice that p points to. A [Field] is left with its ciphertext and no plaintext.
//
// Errors are a [FieldError] each, and leave the struct as it was: [ErrEncrypted] for
// what is encrypted already; [ErrUsage] for tags that say nothing; those of [Cipher.EncryptWith].
func (s *Structs) Encrypt(p any) error { return s.all(p, (*walker).encrypt) }

// Decrypt decrypts what has a tag. A [Field] is left open, and bound to its column.
// Errors are as those of Encrypt, and [ErrNotElement] for what is not encrypted.
func (s *Structs) Decrypt(p any) error { return s.all(p, (*walker).decrypt) }

// Rekey puts what has a tag, and is encrypted under another key, under this one.
func (s *Structs) Rekey(p any) error { return s.all(p, (*walker).rekey) }

// secret is one value that has a tag.
type secret struct {
	at    reflect.Value
	field *taggedField
	col   *Column
}

// walker goes through one struct. It changes nothing before all is done.
type walker struct {
	s    *Structs
	do   func(w *walker, v secret) (func(), error) // returns what changes the value
	then []func()
	seen map[visit]bool
}

// visit is a pointer that was followed; one may lead back.
type visit struct {
	at  uintptr
	typ reflect.Type
}

func (s *Structs) all(p any, do func(*walker, secret) (func(), error)) error {
	v := reflect.ValueOf(p)
	if v.Kind() != reflect.Pointer || v.IsNil() {
		return usagef("a pointer to a struct is wanted, not a %T", p)
	}
	if kind := base(v.Type()).Kind(); kind != reflect.Struct {
		return usagef("a pointer to a struct, or to a slice of structs, is wanted, not a %T", p)
	}
	w := &walker{s: s, do: do, seen: map[visit]bool{}}
	if err := w.inside(v, nameOf(base(v.Type()))); err != nil {
		return err
	}
	for _, change := range w.then {
		change()
	}
	return nil
}

func nameOf(t reflect.Type) string {
	if t.Name() == "" {
		return "struct"
	}
	return t.Name()
}

// base is what pointers, slices and arrays of a type are of.
func base(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Array {
		t = t.Elem()
	}
	return t
}

// inside goes through pointers, slices and arrays to structs.
func (w *walker) inside(v reflect.Value, name string) error {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() || w.followed(v) {
			return nil
		}
		return w.inside(v.Elem(), name)
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			if err := w.inside(v.Index(i), name+"["+strconv.Itoa(i)+"]"); err != nil {
				return err
			}
		}
		return nil
	case reflect.Struct:
		return w.structure(v, name)
	}
	return nil
}

// followed reports whether a pointer was met before.
func (w *walker) followed(v reflect.Value) bool {
	at := visit{v.Pointer(), v.Type()}
	before := w.seen[at]
	w.seen[at] = true
	return before
}

func (w *walker) structure(v reflect.Value, name string) error {
	p := planOf(v.Type())
	for i := range p.fields {
		f := &p.fields[i]
		at, field := v.Field(f.index), name+"."+f.name
		if f.err != nil {
			return &FieldError{field, f.err}
		}
		if f.tag == nil {
			if err := w.inside(at, field); err != nil {
				return err
			}
			continue
		}
		col, err := w.column(f.tag, v)
		if err != nil {
			return &FieldError{field, err}
		}
		if err := w.secrets(secret{at, f.tag, col}, field); err != nil {
			return err
		}
	}
	return nil
}

// column is where a field's values belong.
func (w *walker) column(t *taggedField, v reflect.Value) (*Column, error) {
	values := make([]string, len(t.names))
	for i, at := range t.names {
		text, err := textOf(v.Field(at))
		if err != nil {
			return nil, err
		}
		values[i] = text
	}
	context, err := t.context.Context(values...)
	if err != nil {
		return nil, err
	}
	return w.s.c.Column(w.s.key, context).With(t.suite), nil
}

// secrets does a value with a tag, or each of several.
func (w *walker) secrets(v secret, name string) error {
	t := v.at.Type()
	if !isSecret(t) {
		if v.at.Kind() == reflect.Pointer {
			if v.at.IsNil() || w.followed(v.at) {
				return nil
			}
			v.at = v.at.Elem()
			return w.secrets(v, name)
		}
		for i := range v.at.Len() {
			if err := w.secrets(secret{v.at.Index(i), v.field, v.col}, name+"["+strconv.Itoa(i)+"]"); err != nil {
				return err
			}
		}
		return nil
	}
	change, err := w.do(w, v)
	if err != nil {
		return &FieldError{name, err}
	}
	if change != nil {
		w.then = append(w.then, change)
	}
	return nil
}

// bindable is a *Field.
type bindable interface {
	sealBy(col *Column) (func(), error)
	openBy(col *Column) (func(), error)
	rekeyBy(col *Column) (func(), error)
}

// sealBy returns what leaves the field with its ciphertext under a column.
func (f *Field[T]) sealBy(col *Column) (func(), error) {
	switch f.state {
	case stateNull:
		return nil, nil
	case stateSealed:
		return nil, ErrEncrypted
	}
	sealed, err := f.sealWith(col)
	return func() { *f = Field[T]{col: col, state: stateSealed, sealed: sealed, text: true} }, err
}

// openBy returns what leaves the field open.
func (f *Field[T]) openBy(col *Column) (func(), error) {
	if f.state != stateSealed {
		return func() { f.col = col }, nil
	}
	v, err := f.decrypted(col, f.sealed)
	return func() { *f = NewField(col, v) }, err
}

func (f *Field[T]) rekeyBy(col *Column) (func(), error) {
	if f.state != stateSealed {
		return func() { f.col = col }, nil
	}
	sealed, err := col.rekeyed(f.sealed)
	return func() { f.sealed = sealed }, err
}

// rekeyed returns a ciphertext under the column's key.
func (col *Column) rekeyed(sealed []byte) ([]byte, error) {
	h, err := Parse(sealed)
	if err != nil || h.Key == col.key {
		return sealed, err
	}
	return col.c.Rekey(sealed, col.key, col.context)
}

func (w *walker) encrypt(v secret) (func(), error) {
	if b, ok := v.at.Addr().Interface().(bindable); ok {
		return b.sealBy(v.col)
	}
	if v.at.Kind() == reflect.Slice && v.at.IsNil() || v.at.Len() == 0 && v.field.omitEmpty {
		return nil, nil
	}
	p, own, err := encode(v.at)
	if err != nil {
		return nil, err
	}
	if own {
		defer secmem.Wipe(p)
	}
	if IsText(p) {
		if _, err := DecodeText(p); err == nil {
			return nil, ErrEncrypted
		}
	} else if _, err := Parse(p); err == nil && v.at.Kind() == reflect.Slice {
		return nil, ErrEncrypted
	}
	sealed, err := v.col.seal(p)
	return func() { v.put(sealed) }, err
}

// put stores a ciphertext in a string or in bytes.
func (v secret) put(sealed []byte) {
	switch {
	case v.at.Kind() == reflect.String:
		v.at.SetString(EncodeText(sealed))
	case v.field.text:
		v.at.SetBytes(AppendText(nil, sealed))
	default:
		v.at.SetBytes(sealed)
	}
}

// sealed returns the ciphertext that a string or bytes hold; nil where there is none to be.
func (v secret) sealed() ([]byte, error) {
	if v.at.Kind() == reflect.Slice && v.at.IsNil() || v.at.Len() == 0 && v.field.omitEmpty {
		return nil, nil
	}
	if v.at.Kind() == reflect.String {
		return DecodeText(v.at.String())
	}
	b, _, err := scanned(v.at.Bytes())
	return b, err
}

func (w *walker) decrypt(v secret) (func(), error) {
	if b, ok := v.at.Addr().Interface().(bindable); ok {
		return b.openBy(v.col)
	}
	sealed, err := v.sealed()
	if err != nil || sealed == nil {
		return nil, err
	}
	p, err := v.col.open(sealed)
	if err != nil {
		return nil, err
	}
	fresh := reflect.New(v.at.Type()).Elem()
	if err := decode(p, fresh); err != nil {
		return nil, err
	}
	return func() { v.at.Set(fresh) }, nil
}

func (w *walker) rekey(v secret) (func(), error) {
	if b, ok := v.at.Addr().Interface().(bindable); ok {
		return b.rekeyBy(v.col)
	}
	sealed, err := v.sealed()
	if err != nil || sealed == nil {
		return nil, err
	}
	out, err := v.col.rekeyed(sealed)
	if err != nil || slices.Equal(out, sealed) {
		return nil, err
	}
	return func() { v.put(out) }, nil
}

var _ bindable = (*String)(nil)

var errNoText = fmt.Errorf("element: %w: it has no text for a context", ErrUsage)
