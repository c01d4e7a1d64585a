package retable

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/element"
	"github.com/cofferdb/coffer/internal/fault"
)

// Operation is what is done to each value. The zero value is invalid.
type Operation uint8

// The operations.
const (
	Encrypt Operation = 1 // what is none of ours yet, under Job.To
	Decrypt Operation = 2 // what is one of ours
	Rekey   Operation = 3 // what is one of ours, under Job.To
)

var operations = []string{"", "encrypt", "decrypt", "rekey"}

// Valid reports whether o is one of the operations.
func (o Operation) Valid() bool { return o >= Encrypt && o <= Rekey }

// String returns "encrypt", "decrypt" or "rekey".
func (o Operation) String() string {
	if o.Valid() {
		return operations[o]
	}
	return fmt.Sprintf("Operation(%d)", uint8(o))
}

// MarshalText returns what String does; invalid values are [ErrUsage].
func (o Operation) MarshalText() ([]byte, error) {
	if !o.Valid() {
		return nil, fmt.Errorf("retable: %w: %s", fault.Usage, o)
	}
	return []byte(o.String()), nil
}

// Job says what is done to which column.
//
// In a column of text, values are in the text form; in one of bytes, in the
// binary form. SQLite has values of both kinds in any column: a text becomes the
// text form, an integer the text form of its digits, a blob the binary form. A
// re-key leaves each in the form it has.
type Job struct {
	Table  Name
	Column string
	// Key are the columns that identify a row: unique together and never null.
	// nil: the primary key; in SQLite, without one, the row ID.
	Key []string
	Do  Operation
	// From limits Decrypt and Rekey to values under this key. Zero: under any key
	// (Rekey: any other than To).
	From dek.ID
	// To is the key of new values, for Encrypt and Rekey.
	To dek.ID
	// Suite is that of new values, for Encrypt; 0 is [element.GCM]. A re-key keeps
	// the suite that a value has.
	Suite element.Suite
	// Context is what each value is bound to. Its names are key columns. nil is
	// the empty context.
	Context *element.Template
	// SkipEmpty leaves empty values as they are, for Encrypt, and makes nothing of
	// them in Rekey, where they are reported otherwise.
	SkipEmpty bool
}

// check finds what is wrong with a job before any database is asked.
func (j *Job) check() error {
	switch {
	case !j.Do.Valid():
		return fmt.Errorf("retable: %w: no such operation: %s", fault.Usage, j.Do)
	case j.Do == Decrypt && !j.To.IsZero():
		return fmt.Errorf("retable: %w: decrypt takes no key to encrypt under", fault.Usage)
	case j.Do != Decrypt && j.To.IsZero():
		return fmt.Errorf("retable: %w: %s needs the key of the new values", fault.Usage, j.Do)
	case j.Do == Encrypt && !j.From.IsZero():
		return fmt.Errorf("retable: %w: encrypt takes no key to begin from", fault.Usage)
	case j.Do == Rekey && j.From == j.To:
		return fmt.Errorf("retable: %w: the old key and the new one are the same", fault.Usage)
	}
	return j.checkNames()
}

func (j *Job) checkNames() error {
	names := append([]string{j.Table.Table, j.Column}, j.Key...)
	if j.Table.Schema != "" {
		names = append(names, j.Table.Schema)
	}
	for _, n := range names {
		if err := checkIdentifier(n); err != nil {
			return err
		}
	}
	return nil
}

// bindings says which value of the key each name of the context's template is.
func (j *Job) bindings(keys []string) ([]int, error) {
	if j.Context == nil {
		return nil, nil
	}
	var at []int
	for _, name := range j.Context.Names() {
		i := slices.Index(keys, name)
		if i < 0 {
			return nil, fault.Hint(fmt.Errorf("retable: %w: the context names %s, which is no column of the key of table %s", fault.Usage, show(name), j.Table),
				"The key is "+strings.Join(keys, ", ")+". Other columns may change, and the value would be lost with the context.")
		}
		at = append(at, i)
	}
	return at, nil
}

// name identifies a job in checkpoints.
func (j *Job) name(d Dialect, keys []string) string {
	parts := []string{j.Do.String(), d.String(), j.Table.String(), show(j.Column), "by " + strings.Join(keys, ",")}
	if !j.From.IsZero() {
		parts = append(parts, "from "+j.From.String())
	}
	if !j.To.IsZero() {
		parts = append(parts, "to "+j.To.String())
	}
	if j.Context != nil {
		parts = append(parts, "context "+strconv.Quote(j.Context.String()))
	}
	if j.Do == Encrypt {
		parts = append(parts, "suite "+j.suite().String())
	}
	return strings.Join(parts, " ")
}

// left is how many values are still to be converted, of those that were counted.
func (j *Job) left(c *Census) int64 {
	n := int64(0)
	switch j.Do {
	case Encrypt:
		if n = c.Plain; !j.SkipEmpty {
			n += c.Empty
		}
	case Decrypt, Rekey:
		for id, count := range c.Keys {
			if j.wants(id) {
				n += count
			}
		}
	}
	return n
}

// clean reports whether a count found nothing to do and nothing to report.
func (j *Job) clean(c *Census) bool {
	foreign := c.Plain
	if !j.SkipEmpty {
		foreign += c.Empty
	}
	return j.left(c) == 0 && c.Broken == 0 && (j.Do != Rekey || foreign == 0)
}

// wants reports whether a value under this key is to be decrypted or re-keyed.
func (j *Job) wants(id dek.ID) bool {
	if !j.From.IsZero() {
		return id == j.From
	}
	return id != j.To
}

// Cipher is what encrypts and decrypts: an [element.Cipher], or something that
// activates keys as they are met.
type Cipher interface {
	EncryptWith(suite element.Suite, plaintext []byte, key dek.ID, context []byte) ([]byte, error)
	Decrypt(ciphertext, context []byte) ([]byte, error)
	Rekey(ciphertext []byte, to dek.ID, context []byte) ([]byte, error)
}

var _ Cipher = (*element.Cipher)(nil)

// ready finds out before anything else that new values can be made.
func (j *Job) ready(c Cipher) error {
	if j.Do == Decrypt {
		return nil
	}
	_, err := c.EncryptWith(j.suite(), nil, j.To, nil)
	return err
}

func (j *Job) suite() element.Suite {
	if j.Suite == 0 {
		return element.GCM
	}
	return j.Suite
}

// fatal reports whether an error is about the cipher rather than one value.
func fatal(err error) bool { return errors.Is(err, dek.ErrClosed) }
