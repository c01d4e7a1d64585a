package fsx

import (
	"errors"
	"io"
	"io/fs"

	"golang.org/x/sys/unix"
)

// SQLite's lock bytes (sqlite.org/fileformat2.html, section 1.5, and os_unix.c):
// PENDING, RESERVED, and 510 bytes of SHARED.
const (
	sqliteLockStart = 0x40000000
	sqliteLockLen   = 512
)

var _ sqliteLocker = (*osFile)(nil)

func (o *osFile) lockSQLite() (func() error, error) {
	if err := o.ofdLock(unix.F_WRLCK); err != nil {
		return nil, &fs.PathError{Op: "lock as SQLite", Path: o.name, Err: err}
	}
	return func() error { return o.ofdLock(unix.F_UNLCK) }, nil
}

func (o *osFile) ofdLock(kind int16) error {
	return o.control(func(fd uintptr) error {
		err := retry(func() error {
			return unix.FcntlFlock(fd, unix.F_OFD_SETLK, &unix.Flock_t{
				Type: kind, Whence: io.SeekStart, Start: sqliteLockStart, Len: sqliteLockLen})
		})
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
			return ErrLocked
		}
		return err
	})
}
