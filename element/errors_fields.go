package element

import (
	"fmt"

	"github.com/cofferdb/coffer/internal/fault"
)

// What fields and structs can have wrong with them.
var (
	// ErrUnbound: a field has a plaintext and no [Column] to encrypt it. It is a fault.State.
	ErrUnbound = fmt.Errorf("element: a field without a column: %w", fault.State)
	// ErrSealed: a field's value was read and not decrypted. It is a fault.State.
	ErrSealed = fmt.Errorf("element: a field that is still encrypted: %w", fault.State)
	// ErrEncrypted: what is to be encrypted is encrypted already. It is a fault.State.
	ErrEncrypted = fmt.Errorf("element: encrypted already: %w", fault.State)
)

// FieldError says which field of a struct an error is about.
type FieldError struct {
	Field string // Patient.Visits[2].Note
	Err   error
}

func (e *FieldError) Error() string { return e.Field + ": " + e.Err.Error() }

// Unwrap returns what is wrong with the field.
func (e *FieldError) Unwrap() error { return e.Err }
