package journal

import (
	"fmt"

	"github.com/cofferdb/coffer/internal/fault"
)

// Markers that errors of this package carry, for [errors.Is].
var (
	// ErrTampered: a header, frame or chain does not authenticate or does not fit, or an older label was put back.
	ErrTampered = fault.Tampered
	// ErrDamaged: frames that were durable are unreadable or missing.
	ErrDamaged = fault.Damaged
	// ErrNotActivated: the key of a segment that is needed is not in the keyring.
	ErrNotActivated = fault.NotActivated
	// ErrVersion: a segment in a format version this build does not read.
	ErrVersion = fault.Version
	// ErrState: refused because of the state the journal or its folder is in.
	ErrState = fault.State
	// ErrUsage: an argument out of bounds.
	ErrUsage = fault.Usage
	// ErrOutcomeUnknown: a write or sync failed. What was handed over and not yet durable
	// may or may not survive; nothing more is accepted until the journal is reopened by [Recover].
	ErrOutcomeUnknown = fault.OutcomeUnknown
)

// Returned by [Recover].
var (
	// ErrMissing: a segment that is needed is not there. It carries [ErrDamaged].
	ErrMissing = fmt.Errorf("journal: segment missing: %w", fault.Damaged)
)

// Returned by methods of [Journal] and [Ticket].
var (
	// ErrClosed: the journal was closed. It carries [ErrState].
	ErrClosed = fmt.Errorf("journal: closed: %w", fault.State)
	// ErrTicketUsed: the ticket was committed or aborted before. It carries [ErrState].
	ErrTicketUsed = fmt.Errorf("journal: ticket used twice: %w", fault.State)
)

// SegmentError says which segment, and where in it, an error is about. Get it with [errors.As].
type SegmentError struct {
	Segment uint64 // number of the segment; 0 where the header could not tell
	Slot    string // base name of the slot file; empty where several or none
	Seq     uint64 // the frame that was expected; 0 where the header is meant
	Offset  int64  // byte offset in the slot file
	Err     error
}

// Error implements error.
func (e *SegmentError) Error() string {
	s := fmt.Sprintf("journal: segment %d", e.Segment)
	if e.Slot != "" {
		s += " (" + e.Slot + ")"
	}
	if e.Seq != 0 {
		s += fmt.Sprintf(", frame %d at offset %d", e.Seq, e.Offset)
	}
	return s + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *SegmentError) Unwrap() error { return e.Err }

// Reasons inside a [SegmentError], each with its marker.
var (
	errHeaderMAC   = fmt.Errorf("header does not authenticate: %w", fault.Tampered)
	errKeyNotNamed = fmt.Errorf("under a key that the caller does not name: %w", fault.Tampered)
	errGeneration  = fmt.Errorf("written for a newer label than the one given: %w", fault.Tampered)
	errDuplicate   = fmt.Errorf("two different segments of this number: %w", fault.Tampered)
	errPredecessor = fmt.Errorf("does not continue its predecessor: %w", fault.Tampered)
	errForged      = fmt.Errorf("frame does not authenticate: %w", fault.Tampered)
	errMisplaced   = fmt.Errorf("frame does not continue the chain: %w", fault.Tampered)
	errAfterClose  = fmt.Errorf("frame after the closing frame: %w", fault.Tampered)
	errPosition    = fmt.Errorf("does not hold the position to start from: %w", fault.Tampered)
	errLost        = fmt.Errorf("frame was durable and is unreadable: %w", fault.Damaged)
)
