package element

import (
	"database/sql"
	"database/sql/driver"
	"fmt"
	"log/slog"
	"reflect"
	"slices"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/secmem"
)

// A Column says how the values of one place are encrypted: by which [Cipher], under
// which key, bound to which context, in which form. It makes the fields that a
// program keeps, the arguments of its statements, and the destinations of its scans:
//
//	ssn := c.Column(key, element.NewContext("patients", "ssn"))
//	db.Exec("INSERT INTO patients (id, ssn) VALUES (?, ?)", id, ssn.Arg("078-05-1120"))
//	db.QueryRow("SELECT ssn FROM patients WHERE id = ?", id).Scan(ssn.Dest(&text))
//
// What is read may be under any key that is activated; what is written is under the
// column's. A Column does not change and may be used by many goroutines.
type Column struct {
	c       *Cipher
	key     dek.ID
	context []byte
	suite   Suite
	binary  bool
}

// Column returns a column whose values are encrypted under a key with [GCM], bound to a
// context, and written in the text form.
func (c *Cipher) Column(key dek.ID, context []byte) *Column {
	return &Column{c: c, key: key, context: slices.Clone(context), suite: GCM}
}

// With returns the same column with values of another suite.
func (col *Column) With(suite Suite) *Column {
	other := *col
	other.suite = suite
	return &other
}

// Deterministic returns the same column with values of the suite [SIV], so that
// WHERE ssn = ? finds equal ones: Arg gives the same ciphertext each time. Everybody who
// reads the table sees which values are equal.
func (col *Column) Deterministic() *Column { return col.With(SIV) }

// Binary returns the same column with values written in the binary form, for a column of bytes.
func (col *Column) Binary() *Column {
	other := *col
	other.binary = true
	return &other
}

// At returns the same column with another context, such as that of one row: see [Template].
func (col *Column) At(context []byte) *Column {
	other := *col
	other.context = slices.Clone(context)
	return &other
}

// seal encrypts a plaintext.
func (col *Column) seal(plaintext []byte) ([]byte, error) {
	return col.c.EncryptWith(col.suite, plaintext, col.key, col.context)
}

// open decrypts a ciphertext.
func (col *Column) open(ciphertext []byte) ([]byte, error) {
	return col.c.Decrypt(ciphertext, col.context)
}

// form is a ciphertext as a driver takes it.
func form(ciphertext []byte, text bool) driver.Value {
	if text {
		return EncodeText(ciphertext)
	}
	return ciphertext
}

// Arg returns an argument of a statement: v, encrypted when the statement runs. v is
// a string or bytes, or a type made of them; a pointer to one, where nil is NULL; or
// anything else, which is encrypted as JSON. nil is NULL. It prints as redacted.
func (col *Column) Arg(v any) driver.Valuer { return argument{col: col, v: func() any { return v }} }

type argument struct {
	_   [0]func() // not comparable
	col *Column
	v   func() any // fmt cannot look into it, wherever the argument lies
}

var (
	_ driver.Valuer  = argument{}
	_ fmt.Formatter  = argument{}
	_ slog.LogValuer = argument{}
)

// Value implements [driver.Valuer].
func (a argument) Value() (driver.Value, error) {
	v := reflect.ValueOf(a.v())
	for v.IsValid() && v.Kind() == reflect.Pointer {
		v = v.Elem() // of nil: not valid
	}
	if !v.IsValid() {
		return nil, nil
	}
	plaintext, own, err := encode(v)
	if err != nil {
		return nil, err
	}
	if own {
		defer secmem.Wipe(plaintext)
	}
	sealed, err := a.col.seal(plaintext)
	if err != nil {
		return nil, err
	}
	return form(sealed, !a.col.binary), nil
}

// Format implements [fmt.Formatter].
func (argument) Format(s fmt.State, _ rune) { _, _ = s.Write([]byte(redacted)) }

// LogValue implements [slog.LogValuer].
func (argument) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON writes what Format does: an argument is for a statement, or a log.
func (argument) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// Dest returns a destination of a scan: what is read is decrypted into *p. p points
// to a string or bytes, to what [Column.Arg] took otherwise, or to a pointer to one of
// them, which NULL makes nil. NULL into anything else is an error, as in [database/sql].
func (col *Column) Dest(p any) sql.Scanner { return destination{col: col, p: p} }

type destination struct {
	col *Column
	p   any
}

var _ sql.Scanner = destination{}

// Scan implements [sql.Scanner].
func (d destination) Scan(src any) error {
	p := reflect.ValueOf(d.p)
	if p.Kind() != reflect.Pointer || p.IsNil() {
		return usagef("scan: the destination is not a pointer")
	}
	to := p.Elem()
	if src == nil {
		if to.Kind() != reflect.Pointer {
			return usagef("scan: NULL into %s: take a pointer to a pointer", to.Type())
		}
		to.SetZero()
		return nil
	}
	ciphertext, _, err := scanned(src)
	if err != nil {
		return err
	}
	plaintext, err := d.col.open(ciphertext)
	if err != nil {
		return fmt.Errorf("element: scan: %w", err)
	}
	if to.Kind() == reflect.Pointer {
		fresh := reflect.New(to.Type().Elem())
		if err := decode(plaintext, fresh.Elem()); err != nil {
			return err
		}
		to.Set(fresh)
		return nil
	}
	return decode(plaintext, to)
}

// scanned returns the ciphertext in what a driver hands over, and whether it had the
// text form. The bytes are a copy: a driver's own are valid only until the next row.
func scanned(src any) (ciphertext []byte, text bool, err error) {
	switch v := src.(type) {
	case string:
		ciphertext, err = DecodeText(v)
		return ciphertext, true, err
	case []byte:
		if IsText(v) {
			ciphertext, err = DecodeText(v)
			return ciphertext, true, err
		}
		if _, err := Parse(v); err != nil {
			return nil, false, err
		}
		return slices.Clone(v), false, nil
	}
	return nil, false, usagef("scan: a %T is no encrypted value", src)
}
