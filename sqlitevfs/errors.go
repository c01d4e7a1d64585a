package sqlitevfs

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/vfs"

	"github.com/cofferdb/coffer/internal/fault"
)

var (
	errNoWAL = fault.Hint(fmt.Errorf("sqlitevfs: no write-ahead log: the volume's journal is the only one: %w", fault.Unsupported),
		"every journal_mode but wal works, and none of them is slower or less durable")
	errUnlocked = fmt.Errorf("sqlitevfs: a write without a lock: %w", fault.State)
	errBroken   = fmt.Errorf("sqlitevfs: the transaction was given up after an earlier error: %w", fault.State)
	errHalf     = fmt.Errorf("sqlitevfs: a commit over several databases failed after this one was committed: %w", fault.State)
)

// remind is no error with the cause of an earlier one: go-sqlite3 tells people
// what the last call said, and SQLite unlocks after everything that fails.
func remind(cause error) error {
	if cause == nil {
		return nil
	}
	return vfs.SystemError(cause, sqlite3.ErrorCode(0))
}

// code maps an error of the engine to one that SQLite's pager acts on: it treats
// SQLITE_FULL and the SQLITE_IOERR family as failures of the file, and nothing else.
func code(err error, otherwise sqlite3.ExtendedErrorCode) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.ENOSPC):
		return vfs.SystemError(err, sqlite3.FULL)
	case errors.Is(err, fault.Tampered), errors.Is(err, fault.Damaged):
		return vfs.SystemError(err, sqlite3.IOERR_DATA)
	}
	return vfs.SystemError(err, otherwise)
}
