package pebblefs

import (
	"fmt"

	"github.com/cofferdb/coffer/internal/fault"
)

// Markers for errors.Is, shared with Coffer's other packages.
var (
	// ErrTampered: something does not authenticate, or is not where, or under the name, it was put.
	ErrTampered = fault.Tampered
	// ErrDamaged: a checksum is wrong, or something is cut short.
	ErrDamaged = fault.Damaged
	// ErrNotActivated: the key of the file is not in the keyring.
	ErrNotActivated = fault.NotActivated
	// ErrWrongKey: other key bytes are activated under the ID of the file's key.
	ErrWrongKey = fault.WrongKey
	// ErrNotCoffer: the file was not written by this package.
	ErrNotCoffer = fault.NotFormat
	// ErrVersion: a format version this build does not read.
	ErrVersion = fault.Version
	// ErrUnsupported: not with this kind of file, or not on this system.
	ErrUnsupported = fault.Unsupported
	// ErrState: refused because of the state things are in.
	ErrState = fault.State
	// ErrUsage: an argument is out of bounds.
	ErrUsage = fault.Usage
)

var (
	// ErrClosed: the file or the FS was closed.
	ErrClosed = fmt.Errorf("pebblefs: closed: %w", fault.State)
	// ErrUnfinished: a table was cut short, or its writer never synced or closed it.
	ErrUnfinished = fmt.Errorf("pebblefs: cut short or never finished: %w", fault.Both(fault.Tampered, fault.Damaged))
	// ErrName: the file was put under a name that it never had.
	ErrName = fmt.Errorf("pebblefs: the file was not made under this name: %w", fault.Tampered)
	// ErrFailed: an earlier write or sync of this file failed; what it holds is unknown.
	ErrFailed = fmt.Errorf("pebblefs: an earlier write or sync failed: %w", fault.OutcomeUnknown)
	// ErrRemaining: a Rekey ended and files are left under other keys; the report names them.
	ErrRemaining = fmt.Errorf("pebblefs: not every file is under the new key: %w", fault.State)
)
