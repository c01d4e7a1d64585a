package fsx

import (
	"errors"
	"fmt"

	"github.com/cofferdb/coffer/internal/fault"
)

// Errors of both file systems. Beside them: fs.ErrExist, fs.ErrNotExist,
// fs.ErrClosed, and the system's own (syscall.ENOSPC, syscall.EIO).
var (
	// ErrLocked: another open file, of this process or another one, has a lock
	// that conflicts.
	ErrLocked = fmt.Errorf("fsx: the file is locked: %w", fault.InUse)
	// ErrFlag: flags that a file which is written at offsets cannot have.
	ErrFlag = fmt.Errorf("fsx: O_APPEND cannot be used: %w", fault.Usage)
	// ErrForeign: a file was handed to a file system that did not open it.
	ErrForeign = fmt.Errorf("fsx: the file belongs to another file system: %w", fault.Usage)
	// ErrLockMode: neither Shared nor Exclusive.
	ErrLockMode = fmt.Errorf("fsx: no such lock mode: %w", fault.Usage)
	// ErrUnsupported: this platform has no such facility.
	ErrUnsupported = fmt.Errorf("fsx: %w", fault.Unsupported)
	// ErrMoved: the name kept changing while it was being locked.
	ErrMoved = fmt.Errorf("fsx: the file is being replaced again and again: %w", fault.InUse)
)

// Errors of [Mem] alone.
var (
	// ErrPowerCut: the machine is off; only what Crash returns goes on.
	ErrPowerCut = errors.New("fsx: power cut")
	// ErrKilled: the process that this Mem served was killed; what Kill returned goes on.
	ErrKilled = errors.New("fsx: process killed")
)
