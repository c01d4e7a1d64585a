package fsx

// sqliteLocker is a file that can hold SQLite's own locks.
type sqliteLocker interface {
	lockSQLite() (unlock func() error, err error)
}

// LockSQLite takes the lock that a writer of SQLite holds over the database
// file f, exclusively: no SQLite, in this process or another one, reads or
// writes the database until unlock is called or f is closed. It fails with
// ErrLocked (fault.InUse) when any SQLite has it locked, in WAL mode when any
// has it open. f must be open for writing. The lock is an open file
// description lock: closing another descriptor of the same file does not drop
// it, as it would a POSIX lock. Where there are none (outside Linux) the error
// is ErrUnsupported.
func LockSQLite(f File) (unlock func() error, err error) {
	l, ok := f.(sqliteLocker)
	if !ok {
		return nil, ErrUnsupported
	}
	return l.lockSQLite()
}
