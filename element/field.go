package element

import (
	"bytes"
	"database/sql"
	"database/sql/driver"
	"encoding"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"reflect"

	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/secmem"
)

// A Field is a value that a program has in clear and every store has encrypted: a
// database ([driver.Valuer], [sql.Scanner]), JSON and other text. It prints as redacted.
// The zero Field is NULL.
//
// Strings and bytes are encrypted as they are, so that a [String] is what the command
// line's coffer element reads; anything else as its JSON form.
//
// A Field needs a [Column] to encrypt and decrypt. One from [NewField] or [Bind] has
// it; one that was made otherwise, say by a scan into a new struct, keeps the
// ciphertext it was given, as it is, until [Field.Open] gives it one. So structs
// that a library fills in (sqlc, an object-relational mapper) are read first and
// opened afterwards, and no hidden global decides by which key.
//
// A plaintext that is a string, as in [String], cannot be wiped from memory; [Bytes] can.
type Field[T any] struct {
	_      [0]func() // not comparable
	col    *Column   // nil: not bound
	state  fieldState
	value  func() T // statePlain; a function, which fmt cannot look into where the field is not exported
	sealed []byte   // stateSealed
	text   bool     // the ciphertext had the text form
}

// String is a field that holds text.
type String = Field[string]

// Bytes is a field that holds bytes.
type Bytes = Field[[]byte]

type fieldState uint8

const (
	stateNull   fieldState = 0
	statePlain  fieldState = 1
	stateSealed fieldState = 2
)

// redacted is what is printed in place of a value.
const redacted = "[redacted]"

var (
	_ sql.Scanner              = (*String)(nil)
	_ driver.Valuer            = String{}
	_ json.Marshaler           = String{}
	_ json.Unmarshaler         = (*String)(nil)
	_ encoding.TextMarshaler   = String{}
	_ encoding.TextUnmarshaler = (*String)(nil)
	_ fmt.Formatter            = String{}
	_ fmt.Stringer             = String{}
	_ fmt.GoStringer           = String{}
	_ slog.LogValuer           = String{}
)

// NewField returns a field of a column with a value.
func NewField[T any](col *Column, v T) Field[T] {
	return Field[T]{col: col, state: statePlain, value: func() T { return v }}
}

// Bind returns a field of a column with no value, which decrypts what is scanned into it.
func Bind[T any](col *Column) Field[T] { return Field[T]{col: col} }

// Get returns the value; that of a NULL is the zero value. It is [ErrSealed] when the
// field was read without a column: Open it first.
func (f Field[T]) Get() (v T, err error) {
	switch f.state {
	case stateSealed:
		return v, fault.Hint(ErrSealed, "Open the field with its column before its value is used.")
	case statePlain:
		v = f.value()
	}
	return v, nil
}

// Set gives the field a value.
func (f *Field[T]) Set(v T) { *f = NewField(f.col, v) }

// SetNull makes the field NULL.
func (f *Field[T]) SetNull() { *f = Field[T]{col: f.col} }

// IsNull reports whether the field has no value.
func (f Field[T]) IsNull() bool { return f.state == stateNull }

// IsZero is IsNull, for omitzero in JSON.
func (f Field[T]) IsZero() bool { return f.state == stateNull }

// Open gives the field its column, and decrypts what was read before. With an error
// the field is as it was.
func (f *Field[T]) Open(col *Column) error {
	if f.state == stateSealed {
		v, err := f.decrypted(col, f.sealed)
		if err != nil {
			return err
		}
		f.Set(v)
	}
	f.col = col
	return nil
}

func (f *Field[T]) decrypted(col *Column, sealed []byte) (v T, err error) {
	p, err := col.open(sealed)
	if err != nil {
		return v, err
	}
	return v, decode(p, reflect.ValueOf(&v).Elem())
}

// Sealed returns the ciphertext: what was read, or the value encrypted now. It is nil for NULL.
func (f Field[T]) Sealed() ([]byte, error) {
	switch {
	case f.state == stateNull:
		return nil, nil
	case f.state == stateSealed:
		return bytes.Clone(f.sealed), nil
	case f.col == nil:
		return nil, fault.Hint(ErrUnbound, "Make it with NewField, or Open it with its column.")
	}
	return f.sealWith(f.col)
}

// sealWith encrypts the value by a column.
func (f *Field[T]) sealWith(col *Column) ([]byte, error) {
	v := f.value()
	p, own, err := encode(reflect.ValueOf(&v).Elem())
	if err != nil {
		return nil, err
	}
	if own {
		defer secmem.Wipe(p)
	}
	return col.seal(p)
}

// Value implements [driver.Valuer]: the ciphertext in the column's form, or in that in
// which it was read.
func (f Field[T]) Value() (driver.Value, error) {
	sealed, err := f.Sealed()
	if err != nil || sealed == nil {
		return nil, err
	}
	if f.state == stateSealed {
		return form(sealed, f.text), nil
	}
	return form(sealed, !f.col.binary), nil
}

// Scan implements [sql.Scanner]. With a column the value is decrypted at once. After
// an error the field is NULL, so that nothing of the row before is left in it.
func (f *Field[T]) Scan(src any) error {
	f.SetNull()
	if src == nil {
		return nil
	}
	sealed, text, err := scanned(src)
	if err != nil {
		return err
	}
	if f.col == nil {
		f.state, f.sealed, f.text = stateSealed, sealed, text
		return nil
	}
	v, err := f.decrypted(f.col, sealed)
	if err != nil {
		return fmt.Errorf("element: scan: %w", err)
	}
	f.Set(v)
	return nil
}

// MarshalText returns the text form, encrypted; that of NULL is empty.
func (f Field[T]) MarshalText() ([]byte, error) {
	sealed, err := f.Sealed()
	if err != nil || sealed == nil {
		return []byte{}, err
	}
	return AppendText(nil, sealed), nil
}

// UnmarshalText reads the text form, as Scan does; empty text is NULL.
func (f *Field[T]) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		return f.Scan(nil)
	}
	return f.Scan(string(text))
}

// MarshalJSON returns the text form as a string, or null.
func (f Field[T]) MarshalJSON() ([]byte, error) {
	text, err := f.MarshalText()
	if err != nil {
		return nil, err
	}
	if f.state == stateNull {
		return []byte("null"), nil
	}
	return append(append([]byte{'"'}, text...), '"'), nil // base64url needs no escapes
}

// UnmarshalJSON reads a string in the text form, as Scan does, or null.
func (f *Field[T]) UnmarshalJSON(text []byte) error {
	if string(text) == "null" {
		return f.Scan(nil)
	}
	var s string
	if err := json.Unmarshal(text, &s); err != nil {
		f.SetNull()
		return fmt.Errorf("%w: the JSON is no string", ErrNotElement) // the error may hold some of it
	}
	return f.Scan(s)
}

// String returns "[redacted]", never the value.
func (Field[T]) String() string { return redacted }

// GoString returns what String does.
func (Field[T]) GoString() string { return redacted }

// Format writes what String returns, whatever the verb.
func (Field[T]) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, redacted) }

// LogValue logs what String returns.
func (Field[T]) LogValue() slog.Value { return slog.StringValue(redacted) }

// GormDataType tells GORM, which knows it by this method alone, that a column holds
// text. A tag such as gorm:"type:bytea" says otherwise, for fields in the binary form.
func (Field[T]) GormDataType() string { return "text" }
