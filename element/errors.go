package element

import (
	"fmt"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
)

// What a ciphertext can have wrong with it. No plaintext is given out with any of these.
var (
	// ErrNotElement: the bytes are none of ours. It is a fault.NotFormat.
	ErrNotElement = fmt.Errorf("element: not an encrypted element: %w", fault.NotFormat)
	// ErrVersion: a version of the format that this build does not read. It is a fault.Version.
	ErrVersion = fmt.Errorf("element: %w", fault.Version)
	// ErrDamaged: the header has values that nothing writes, or a text form stray
	// characters. It is a fault.Damaged.
	ErrDamaged = fmt.Errorf("element: %w", fault.Damaged)
	// ErrCut: the end is missing. It is a fault.Damaged. A cut that leaves enough
	// bytes for a whole value is [ErrTampered].
	ErrCut = fmt.Errorf("element: cut short: %w", fault.Damaged)
	// ErrTampered: the ciphertext does not authenticate. It was altered, or it is
	// bound to another context than the one given: the two cannot be told apart. It is a
	// fault.Tampered.
	ErrTampered = fmt.Errorf("element: altered, or bound to another context: %w", fault.Tampered)
	// ErrWrongKey: the key that is activated under the ciphertext's key ID is not the one it
	// was made with, or the header was altered as well as the rest. It is a
	// fault.WrongKey and a fault.Tampered.
	ErrWrongKey = fault.Both(fmt.Errorf("element: another key under this ID, or altered: %w", fault.WrongKey), fault.Tampered)
)

// What the keyring can have wrong with it.
var (
	// ErrNotActivated: the key that is named is not activated for data elements; the
	// error says which. It is that of package dek.
	ErrNotActivated = dek.ErrNotActivated
	// ErrDecryptOnly: the key may decrypt and not encrypt. It is that of package dek, a fault.State.
	ErrDecryptOnly = dek.ErrDecryptOnly
)

// The caller's mistakes.
var (
	// ErrClosed: the Cipher, Writer or Reader was closed. It is a fault.State.
	ErrClosed = fmt.Errorf("element: closed: %w", fault.State)
	// ErrUnauthenticated: suite [CBCUnauthenticated] without [Options.AllowUnauthenticated]. It is a fault.State.
	ErrUnauthenticated = fmt.Errorf("element: an unauthenticated value: %w", fault.State)
	// ErrUsage: an argument is out of bounds.
	ErrUsage = fault.Usage
)

func usagef(format string, args ...any) error {
	return fmt.Errorf("element: %w: %w", fault.Usage, fmt.Errorf(format, args...))
}

// tampered returns [ErrTampered] about something, with what a person can do.
func tampered(format string, args ...any) error {
	return fault.Hint(fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), ErrTampered),
		"Is the context the one it was encrypted with? Another one and an alteration look the same.")
}

// wrongKey returns [ErrWrongKey] about something, with what a person can do.
func wrongKey(format string, args ...any) error {
	return fault.Hint(fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), ErrWrongKey),
		"Activate the very key it was encrypted under: another source has other bytes under the same ID.")
}
