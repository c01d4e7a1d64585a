// Package fault holds the markers that errors of every package carry, so that
// a caller, and the exit code of the command line, can tell what happened
// with [errors.Is] whichever part noticed it. Public packages re-export the
// markers they return under names of their own.
package fault

import "errors"

// What a caller may do depends on which marker an error carries.
var (
	// Tampered: authenticated data does not authenticate, or an older state was put back.
	Tampered = errors.New("altered or replayed")
	// Damaged: a checksum is wrong or something is cut short. No claim is made about intent.
	Damaged = errors.New("damaged")
	// WrongKey: a wrong password, or other key bytes under the right ID.
	WrongKey = errors.New("wrong password or key")
	// NotActivated: the key is not in the keyring.
	NotActivated = errors.New("key not activated")
	// Version: a format version this build does not read.
	Version = errors.New("unsupported format version")
	// InUse: another process, or another open in this one, holds the lock.
	InUse = errors.New("in use")
	// State: refused because of the state things are in.
	State = errors.New("refused")
	// Usage: the caller's argument is out of bounds.
	Usage = errors.New("invalid argument")
	// NotFormat: the file is not one of Coffer's.
	NotFormat = errors.New("not a Coffer file")
	// Unsupported: not available on this platform or in this mode.
	Unsupported = errors.New("not supported here")
	// OutcomeUnknown: a sync failed, so that what was written may or may not be durable.
	OutcomeUnknown = errors.New("outcome unknown")
	// TooOld: the record that would prove it is gone.
	TooOld = errors.New("too old to prove")
)

type hinted struct {
	err  error
	hint string
}

func (h *hinted) Error() string { return h.err.Error() }
func (h *hinted) Unwrap() error { return h.err }

// Hint returns err with a sentence for people that says what to do. A nil err stays nil.
func Hint(err error, hint string) error {
	if err == nil {
		return nil
	}
	return &hinted{err, hint}
}

// HintOf returns the outermost hint in err's chain, or "".
func HintOf(err error) string {
	var h *hinted
	if errors.As(err, &h) {
		return h.hint
	}
	return ""
}

type both struct{ a, b error }

func (e both) Error() string   { return e.a.Error() + " (" + e.b.Error() + ")" }
func (e both) Unwrap() []error { return []error{e.a, e.b} }

// Both returns an error that is a and b at once.
func Both(a, b error) error { return both{a, b} }
