package aes

import (
	"fmt"

	"github.com/cofferdb/coffer/internal/fault"
)

// Errors of this package; each is a fault.Usage. Misuse of buffers panics instead.
var (
	// ErrKey: a key is not 16, 24 or 32 bytes long (XTS: 16 or 32).
	ErrKey = fmt.Errorf("aes: key length: %w", fault.Usage)
	// ErrEqualKeys: both keys of XTS are equal, which SP 800-38E's users must refuse.
	ErrEqualKeys = fmt.Errorf("aes: both XTS keys are equal: %w", fault.Usage)
	// ErrTier: a tier that does not exist, or that this processor or build does not have.
	ErrTier = fmt.Errorf("aes: no such tier here: %w", fault.Usage)
)
