package seal

import (
	"fmt"

	"github.com/cofferdb/coffer/internal/fault"
)

// The caller's mistakes. Nothing was sealed, opened or written.
var (
	// ErrClosed: the cipher was closed. It is a fault.State.
	ErrClosed = fmt.Errorf("seal: cipher is closed: %w", fault.State)
	// ErrSuite: no such suite, or a key length the suite does not have. It is a fault.Usage.
	ErrSuite = fmt.Errorf("seal: no such suite or key length: %w", fault.Usage)
	// ErrScope: the scope and the key contradict each other, or the domain is zero. It is a fault.Usage.
	ErrScope = fmt.Errorf("seal: scope does not fit the key: %w", fault.Usage)
	// ErrBlock: a block's buffers are of a wrong size or overlap. It is a fault.Usage.
	ErrBlock = fmt.Errorf("seal: block buffers: %w", fault.Usage)
)

// ErrFrame: a frame does not authenticate. It is a fault.Tampered; whether it
// means damage or just the end of the journal is for the journal to say.
var ErrFrame = fmt.Errorf("seal: frame does not authenticate: %w", fault.Tampered)

// A BlockError says that one block of a batch was not opened. It is a
// fault.Tampered, and a fault.Damaged as well when the checksum of the
// ciphertext is wrong too.
type BlockError struct {
	Position uint64
	Suite    Suite
	Damaged  bool // the CRC32C over the ciphertext does not match either
}

func (e *BlockError) Error() string {
	if e.Damaged {
		return fmt.Sprintf("seal: block %d does not authenticate (%v), and its checksum is wrong", e.Position, e.Suite)
	}
	return fmt.Sprintf("seal: block %d does not authenticate (%v), though its checksum is right", e.Position, e.Suite)
}

// Unwrap returns the markers this error carries.
func (e *BlockError) Unwrap() []error {
	if e.Damaged {
		return []error{fault.Tampered, fault.Damaged}
	}
	return []error{fault.Tampered}
}

// A BatchError is what [Cipher.Open] returns when blocks failed: how many of how
// many, and the first. Each block's own error is in its Err.
type BatchError struct {
	Failed, Total int // blocks
	First         error
}

func (e *BatchError) Error() string {
	return fmt.Sprintf("seal: %d of %d blocks not opened, the first: %v", e.Failed, e.Total, e.First)
}

// Unwrap returns the first block's error.
func (e *BatchError) Unwrap() error { return e.First }
