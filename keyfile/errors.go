package keyfile

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/cofferdb/coffer/internal/fault"
)

// Markers for errors.Is, shared with Coffer's other packages.
var (
	// ErrNotKeyFile: the file is no key file at all.
	ErrNotKeyFile = fault.NotFormat
	// ErrVersion: a format version, or flags, that this build does not read.
	ErrVersion = fault.Version
	// ErrDamaged: the checksum is wrong, the file is cut short, or a field is
	// out of the bounds of the format. No claim is made about intent.
	ErrDamaged = fault.Damaged
	// ErrWrongKey: a wrong password or an altered administrator record, which
	// nothing can tell apart; also an unknown administrator.
	ErrWrongKey = fault.WrongKey
	// ErrTampered: the KEK unwraps and the MAC is wrong, or an older file was
	// put back while this one was open.
	ErrTampered = fault.Tampered
	// ErrInUse: another process is changing the file and did not finish in time.
	ErrInUse = fault.InUse
	// ErrState: refused because of what the file holds now.
	ErrState = fault.State
	// ErrUsage: an argument is out of bounds.
	ErrUsage = fault.Usage
)

// Errors of opening.
var (
	// ErrUnknownAdmin: no administrator of this name. It matches [ErrWrongKey].
	ErrUnknownAdmin = fmt.Errorf("keyfile: unknown administrator: %w", fault.WrongKey)
	// ErrClosed: the File was closed.
	ErrClosed = fmt.Errorf("keyfile: closed: %w", fault.State)
)

// Errors of changes.
var (
	// ErrUnknownKey: the file does not hold this key. It matches dek.ErrNotActivated,
	// the marker for a key that is not where it is looked for.
	ErrUnknownKey = fmt.Errorf("keyfile: no such key in this file: %w", fault.NotActivated)
	// ErrFull: a 257th key or administrator. It matches [ErrUsage].
	ErrFull = fmt.Errorf("keyfile: file is full: %w", fault.Usage)
	// ErrKeyExists: the file holds this key already. It matches [ErrState].
	ErrKeyExists = fmt.Errorf("keyfile: key is in this file already: %w", fault.State)
	// ErrAdminExists: there is an administrator of this name. It matches [ErrState].
	ErrAdminExists = fmt.Errorf("keyfile: administrator exists: %w", fault.State)
	// ErrLastAdmin: the last administrator is never deleted. It matches [ErrState].
	ErrLastAdmin = fmt.Errorf("keyfile: the last administrator cannot be deleted: %w", fault.State)
	// ErrWeakPassword: the policy insists on a stronger password. It matches [ErrUsage].
	ErrWeakPassword = fmt.Errorf("keyfile: password too weak: %w", fault.Usage)
	// ErrFileExists: a file of this name is there and is never overwritten. It
	// matches [ErrState] and fs.ErrExist.
	ErrFileExists = fmt.Errorf("keyfile: %w: %w", fault.State, fs.ErrExist)
)

func damaged(format string, args ...any) error {
	return fmt.Errorf("keyfile: %w: %s", fault.Damaged, fmt.Sprintf(format, args...))
}

func usage(format string, args ...any) error {
	return fmt.Errorf("keyfile: %w: %s", fault.Usage, fmt.Sprintf(format, args...))
}

// notOverwritten gives the error of fsx.Create its marker.
func notOverwritten(err error) error {
	if errors.Is(err, fs.ErrExist) {
		return fault.Hint(fmt.Errorf("%w: %w", ErrFileExists, err), "Choose a name that is free; a key file is never overwritten.")
	}
	return err
}
