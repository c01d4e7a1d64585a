package secmem

import (
	"fmt"

	"github.com/cofferdb/coffer/internal/fault"
)

// Errors of this package. Nothing that a secret contains is ever part of one.
var (
	// ErrSize: a buffer of a negative length or beyond MaxLen was asked for.
	ErrSize = fmt.Errorf("secmem: length out of range: %w", fault.Usage)
	// ErrSecret: an encoder tried to write a secret.
	ErrSecret = fmt.Errorf("secmem: a secret cannot be encoded: %w", fault.Usage)
	// ErrUnsupported: the system has no such facility.
	ErrUnsupported = fmt.Errorf("secmem: %w", fault.Unsupported)
)
