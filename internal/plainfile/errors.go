package plainfile

import (
	"errors"
	"fmt"

	"github.com/cofferdb/coffer/internal/fault"
)

// Refusals. In each case the file is as it was.
var (
	// ErrVolume: the file to encrypt is a volume already.
	ErrVolume = fmt.Errorf("plainfile: already encrypted: %w", fault.State)
	// ErrHardLinks: the file has other names, which would go on meaning the old file.
	ErrHardLinks = fmt.Errorf("plainfile: the file has several hard links: %w", fault.State)
	// ErrNotRegular: not a regular file.
	ErrNotRegular = fmt.Errorf("plainfile: not a regular file: %w", fault.Usage)
	// ErrSQLiteBusy: the database is locked, or has changes in a -wal or -journal file.
	ErrSQLiteBusy = fmt.Errorf("plainfile: the SQLite database is in use: %w", fault.State)
	// ErrChanging: the file kept changing while it was being copied.
	ErrChanging = fmt.Errorf("plainfile: the file keeps changing: %w", fault.State)
	// ErrLeftJournal: a journal folder lies where the new volume's will be.
	ErrLeftJournal = fmt.Errorf("plainfile: the journal folder of another volume is in the way: %w", fault.State)
	// ErrInTheWay: what lies at a name that the work needs was not left by an
	// interrupted run, or is not what that run left.
	ErrInTheWay = fmt.Errorf("plainfile: something else is in the way: %w", fault.State)
	// ErrSpace: the disk has no room for the second copy.
	ErrSpace = errors.New("plainfile: not enough free space")
)
