package plainfile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"

	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/fsx"
)

// sqliteMagic begins every SQLite 3 database ("Database File Format", section 1.3).
const sqliteMagic = "SQLite format 3\x00"

// Block sizes of a volume, in bytes.
const (
	minBlockSize     = 4096
	maxBlockSize     = 65536
	defaultBlockSize = 8192
)

// sqlitePageSize returns the page size of the SQLite database that begins with
// header, and false if it does not look like one. Offset 16 holds the size in
// bytes, big-endian, a power of two from 512 to 32,768, or 1 for 65,536.
func sqlitePageSize(header []byte) (int, bool) {
	if len(header) < 18 || string(header[:len(sqliteMagic)]) != sqliteMagic {
		return 0, false
	}
	n := int(binary.BigEndian.Uint16(header[16:]))
	if n == 1 {
		n = maxBlockSize
	}
	if n < 512 || n&(n-1) != 0 {
		return 0, false
	}
	return n, true
}

// checkSQLiteFiles refuses a database whose newest changes are not in it.
func checkSQLiteFiles(fsys fsx.FS, path string) error {
	for _, suffix := range []string{"-wal", "-journal"} {
		fi, err := fsys.Stat(path + suffix)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return fmt.Errorf("plainfile: %w", err)
		case fi.Size() > 0:
			return fault.Hint(fmt.Errorf("%w: %s%s is not empty", ErrSQLiteBusy, path, suffix),
				"Close every program that uses the database. If none does, open it once with sqlite3 and run "+
					"\"PRAGMA wal_checkpoint(TRUNCATE); PRAGMA journal_mode=DELETE;\".")
		}
	}
	return nil
}

// lockSQLite takes the lock that keeps every SQLite process out, and looks for
// unfinished changes again once nobody can make any.
func (s *source) lockSQLite(note func(string)) error {
	unlock, err := fsx.LockSQLite(s.file)
	switch {
	case errors.Is(err, fault.Unsupported):
		note("this platform has no lock that SQLite would see: keep other programs away from the database")
	case errors.Is(err, fault.InUse):
		return fault.Hint(fmt.Errorf("%w: %s is locked: %w", ErrSQLiteBusy, s.path, err),
			"Close every program that uses the database.")
	case err != nil:
		return fmt.Errorf("plainfile: lock %s: %w", s.path, err)
	default:
		s.unlock = unlock
	}
	return checkSQLiteFiles(s.fs, s.path)
}
