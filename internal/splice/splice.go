package splice

import (
	"fmt"

	"github.com/cofferdb/coffer/internal/fault"
)

// MaxRecord is the longest record that is read, in bytes.
const MaxRecord = 1 << 28

// Change returns what takes a value's place; nil leaves it. value is the caller's
// to keep. Errors come back with the place.
type Change func(at Place, value []byte) (out []byte, err error)

// Place is where a value is.
type Place struct {
	Line   int                               // on which its record begins, from 1
	Name   string                            // column or path
	Others func(name string) (string, error) // another value of the same record
}

// Error says where something is wrong.
type Error struct {
	Line int
	Name string // column or path; "" where it is about the record
	Err  error
}

func (e *Error) Error() string {
	if e.Name == "" {
		return fmt.Sprintf("line %d: %v", e.Line, e.Err)
	}
	return fmt.Sprintf("line %d, %s: %v", e.Line, e.Name, e.Err)
}

// Unwrap returns what is wrong.
func (e *Error) Unwrap() error { return e.Err }

func usage(format string, args ...any) error {
	return fmt.Errorf("%w: %w", fault.Usage, fmt.Errorf(format, args...))
}

// ErrMissing: a line has nothing at the path.
var ErrMissing = usage("there is no such place")

var errTooLong = usage("a record of more than %d bytes", MaxRecord)
