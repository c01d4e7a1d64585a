package retable

import (
	"errors"
	"fmt"

	"github.com/cofferdb/coffer/internal/fault"
)

// Markers for errors.Is, shared with Coffer's other packages.
var (
	// ErrUsage: a table, column, key or option that is none.
	ErrUsage = fault.Usage
	// ErrState: the work cannot go on as things are: another job's checkpoint,
	// nulls in the key, writers that go on with the old key.
	ErrState = fault.State
	// ErrUnsupported: a type, encoding or table that values cannot lie in.
	ErrUnsupported = fault.Unsupported
)

// errNotText: a plaintext that a column of text cannot hold.
var errNotText = fault.Hint(fmt.Errorf("retable: %w: the plaintext is not UTF-8 text, and the column holds text", fault.Unsupported),
	"Such values can only be decrypted in a column of bytes.")

// errNumber: SQLite holds a floating-point number, whose text is not unique.
var errNumber = fmt.Errorf("retable: %w: a floating-point number", fault.Unsupported)

// BadRow is a value that was left as it is.
type BadRow struct {
	Row string // the key, for people: id=42
	Key Key
	Err error // why: [element.ErrTampered], [element.ErrNotElement], …
}

func (b BadRow) String() string { return b.Row + ": " + b.Err.Error() }

// IncompleteError says that everything is done but some values, which were left
// as they are. It matches what is wrong with each of those that Rows lists.
type IncompleteError struct {
	Bad  int64    // how many
	Rows []BadRow // the first of them, at most [MaxBad]
	Left int64    // values that are still to be converted, as the last count found them
}

func (e *IncompleteError) Error() string {
	text := fmt.Sprintf("retable: %d values were left as they are", e.Bad)
	if e.Bad == 1 {
		text = "retable: 1 value was left as it is"
	}
	if len(e.Rows) > 0 {
		text += ", the first in " + e.Rows[0].String()
	}
	return text
}

// Unwrap makes errors.Is find what is wrong with the values.
func (e *IncompleteError) Unwrap() []error {
	var all []error
	for _, marker := range badMarkers {
		for _, b := range e.Rows {
			if errors.Is(b.Err, marker) {
				all = append(all, b.Err)
				break
			}
		}
	}
	return all
}

// badMarkers are what can be wrong with a value; one example of each is unwrapped.
var badMarkers = []error{fault.NotActivated, fault.WrongKey, fault.Tampered, fault.Damaged, fault.Version, fault.NotFormat,
	fault.State, fault.Unsupported}
