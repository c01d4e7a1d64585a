package dek

import (
	"errors"
	"fmt"
	"strings"

	"github.com/cofferdb/coffer/internal/fault"
)

// Markers for errors.Is, shared with Coffer's other packages.
var (
	// ErrWrongKey: a wrapped secret does not unwrap under this key, or other
	// key bytes were given under an ID that is activated already.
	ErrWrongKey = fault.WrongKey
	// ErrNotActivated: the key is not in the keyring for that use.
	ErrNotActivated = fault.NotActivated
	// ErrState: the keyring is closed, or the key is needed; see [HeldError].
	ErrState = fault.State
	// ErrUsage: an argument is out of bounds: key length, mode, use, a zero or
	// malformed ID, a keyring that is full.
	ErrUsage = fault.Usage
)

// Errors of keys.
var (
	// ErrDestroyed: the key was destroyed before it was used.
	ErrDestroyed = fmt.Errorf("dek: key was destroyed: %w", fault.State)
	// ErrSecret: something tried to marshal a key.
	ErrSecret = errors.New("dek: a key is never marshalled")
)

// Errors of the keyring.
var (
	// ErrKeyringFull: every slot for that use is taken. Nothing was activated.
	ErrKeyringFull = fmt.Errorf("dek: keyring is full: %w", fault.Usage)
	// ErrClosed: the keyring was closed.
	ErrClosed = fmt.Errorf("dek: keyring is closed: %w", fault.State)
	// ErrDecryptOnly: a key that may only decrypt cannot be the default or the journal key.
	ErrDecryptOnly = fmt.Errorf("dek: key is decrypt-only: %w", fault.State)
)

// NotActivatedError says which key is missing from the keyring. It matches
// [ErrNotActivated].
type NotActivatedError struct {
	ID  ID
	Use Use
}

func (e *NotActivatedError) Error() string {
	return fmt.Sprintf("dek: key %s is not activated for %s use", e.ID, e.Use)
}

// Unwrap makes errors.Is find [ErrNotActivated].
func (e *NotActivatedError) Unwrap() error { return fault.NotActivated }

func notActivated(id ID, use Use) error {
	return fault.Hint(&NotActivatedError{id, use}, "Activate the key file or key server that holds this key.")
}

// HeldError refuses to let go of a key. Reasons names each thing that needs it:
// "default key", "journal key", or who holds a lease. It matches [ErrState].
type HeldError struct {
	ID      ID
	Reasons []string
}

func (e *HeldError) Error() string {
	return fmt.Sprintf("dek: key %s is needed: %s", e.ID, strings.Join(e.Reasons, "; "))
}

// Unwrap makes errors.Is find [ErrState].
func (e *HeldError) Unwrap() error { return fault.State }
