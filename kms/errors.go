package kms

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/cofferdb/coffer/internal/fault"
)

// Markers for errors.Is, shared with Coffer's other packages.
var (
	// ErrNotKeyFile: the file is no KMS key file at all.
	ErrNotKeyFile = fault.NotFormat
	// ErrVersion: a format version, or flags, that this build does not read.
	ErrVersion = fault.Version
	// ErrDamaged: the checksum is wrong, the file is cut short, or a field is
	// out of the bounds of the format.
	ErrDamaged = fault.Damaged
	// ErrTampered: the key unwraps and the MAC is wrong.
	ErrTampered = fault.Tampered
	// ErrWrongKey: the service's key does not unwrap this file's key, or what it
	// gave back is another key.
	ErrWrongKey = fault.WrongKey
	// ErrState: refused because of the state things are in.
	ErrState = fault.State
	// ErrUsage: an argument is out of bounds.
	ErrUsage = fault.Usage
)

// Errors of a service. Each [Error] matches one of them, or [ErrWrongKey].
var (
	// ErrUnreachable: no answer: the name does not resolve, nobody listens, the
	// connection broke, TLS failed, or time ran out.
	ErrUnreachable = errors.New("kms: service out of reach")
	// ErrUnavailable: the service answered that it cannot work now (5xx).
	ErrUnavailable = errors.New("kms: service unavailable")
	// ErrThrottled: too many requests; the answer says nothing about permission.
	ErrThrottled = errors.New("kms: throttled")
	// ErrDenied: the service knows who asks and says no.
	ErrDenied = errors.New("kms: access denied")
	// ErrCredentials: no credentials, expired ones, or ones the service does not know.
	ErrCredentials = errors.New("kms: credentials")
	// ErrClock: the service refuses the request's time.
	ErrClock = errors.New("kms: clock differs from the service's")
	// ErrKeyUnusable: the service's key is disabled, about to be deleted, deleted,
	// not there, or of the wrong kind. It matches fault.NotActivated, the marker
	// for a key that is not where it is looked for.
	ErrKeyUnusable = fmt.Errorf("kms: the service's key cannot be used: %w", fault.NotActivated)
	// ErrAnswer: the answer is not one of the service's.
	ErrAnswer = errors.New("kms: unexpected answer")
)

// ErrFileExists: a file of this name is there and is never overwritten. It
// matches [ErrState] and fs.ErrExist.
var ErrFileExists = fmt.Errorf("kms: %w: %w", fault.State, fs.ErrExist)

// Away reports whether err says that a service could not be asked, as opposed to
// one that answered no: only then may keys from elsewhere stand in for its keys.
func Away(err error) bool {
	return errors.Is(err, ErrUnreachable) || errors.Is(err, ErrUnavailable) || errors.Is(err, ErrThrottled)
}

func damaged(format string, args ...any) error {
	return fmt.Errorf("kms: %w: %s", fault.Damaged, fmt.Sprintf(format, args...))
}

func usage(format string, args ...any) error {
	return fmt.Errorf("kms: %w: %s", fault.Usage, fmt.Sprintf(format, args...))
}

// notOverwritten gives the error of fsx.Create its marker.
func notOverwritten(err error) error {
	if errors.Is(err, fs.ErrExist) {
		return fault.Hint(fmt.Errorf("%w: %w", ErrFileExists, err), "Choose a name that is free; a KMS key file is never overwritten.")
	}
	return err
}
