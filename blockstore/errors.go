package blockstore

import (
	"errors"
	"fmt"

	"github.com/cofferdb/coffer/internal/fault"
)

// Markers that errors of this package carry, for [errors.Is].
var (
	// ErrTampered: a block, record, tree block, label or journal frame does not
	// authenticate, or an older state was put back. Nothing was released.
	ErrTampered = fault.Tampered
	// ErrDamaged: a checksum is wrong or something is cut short.
	ErrDamaged = fault.Damaged
	// ErrWrongKey: the keyring holds other key bytes under the right ID.
	ErrWrongKey = fault.WrongKey
	// ErrNotActivated: a key that the volume needs is not in the keyring.
	ErrNotActivated = fault.NotActivated
	// ErrVersion: a format version that this build does not read.
	ErrVersion = fault.Version
	// ErrInUse: another process, or another Store in this one, has the volume open.
	ErrInUse = fault.InUse
	// ErrState: refused by the state the volume is in.
	ErrState = fault.State
	// ErrUsage: an argument out of bounds.
	ErrUsage = fault.Usage
	// ErrNotVolume: the file is not a volume.
	ErrNotVolume = fault.NotFormat
	// ErrOutcomeUnknown: a sync failed. Whether the commit is durable shows when the volume is opened again.
	ErrOutcomeUnknown = fault.OutcomeUnknown
	// ErrUnsupported: not on this platform, or not in FIPS mode (see package fips).
	ErrUnsupported = fault.Unsupported
	// ErrTooOld: the lineage no longer reaches back to the anchor's session.
	ErrTooOld = fault.TooOld
)

// Errors of their own.
var (
	// ErrClosed: the store is closed.
	ErrClosed = errors.New("blockstore: the store is closed")
	// ErrStale: a transaction cannot become a write transaction, because something was committed since its snapshot. Begin anew.
	ErrStale = fmt.Errorf("blockstore: committed to since the transaction began: %w", fault.State)
	// ErrReadOnly: a write on a store or transaction that is read-only.
	ErrReadOnly = fmt.Errorf("blockstore: read-only: %w", fault.State)
	// ErrNested: a transaction was begun inside another one.
	ErrNested = fmt.Errorf("blockstore: transactions do not nest: %w", fault.Usage)
	// ErrPlain: the volume is under suite none and the opener did not allow that.
	ErrPlain = fault.Hint(fmt.Errorf("blockstore: the volume is not encrypted: %w", fault.State),
		"open it with --cipher none (in Go Options.AllowPlain) if that is what you expect")
	// ErrLost: the block was given up when a conversion accepted its loss.
	ErrLost = fmt.Errorf("blockstore: the block is recorded as lost: %w", fault.Damaged)
	// ErrJournalMissing: the volume was not closed cleanly and its journal is not there.
	ErrJournalMissing = fmt.Errorf("blockstore: the journal that the volume needs is missing: %w", fault.Damaged)
	// ErrJournalGoesOn: the volume says it was closed cleanly, and its journal holds commits after that.
	ErrJournalGoesOn = fmt.Errorf("blockstore: the journal goes on from a volume that says it needs none: %w", fault.Tampered)
)

// BlockError says which block an operation failed on.
type BlockError struct {
	Op    string // "read", "write", "convert", "verify"
	Block uint64
	Err   error
}

func (e *BlockError) Error() string {
	return fmt.Sprintf("blockstore: %s block %d: %v", e.Op, e.Block, e.Err)
}

// Unwrap returns the cause.
func (e *BlockError) Unwrap() error { return e.Err }
