package plainfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/fsx"
)

// source is the plain file that is to be encrypted: open, locked, and watched.
type source struct {
	fs     fsx.FS
	host   host
	path   string // symbolic links followed
	file   fsx.File
	unlock func() error // of SQLite's lock; nil if not taken
	page   int          // SQLite's page size in bytes; 0 if no SQLite database
	// unwritable: it was opened for reading only, since no more is allowed.
	unwritable error
}

// mark is what a file's state is recognised by.
type mark struct {
	size     int64
	modified time.Time
	identity string
}

// same: the file did not change between the two, as far as its metadata tells.
func (m mark) same(o mark) bool {
	return m.size == o.size && m.modified.Equal(o.modified) && m.identity == o.identity
}

func openSource(path string, o *Options) (*source, error) {
	fsys := o.fs()
	s := &source{fs: fsys, host: hostOf(fsys)}
	var err error
	if s.path, err = s.host.resolve(path); err != nil {
		return nil, err
	}
	s.file, err = fsx.OpenLocked(fsys, s.path, os.O_RDWR, 0, fsx.Exclusive)
	if errors.Is(err, fs.ErrPermission) {
		s.unwritable = err
		s.file, err = openForLock(fsys, s.path)
	}
	if err != nil {
		return nil, fmt.Errorf("plainfile: open %s: %w", s.path, err)
	}
	if err := s.look(o); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// openForLock opens for writing if that is allowed, since SQLite's exclusive
// lock needs it. Nothing is ever written.
func openForLock(fsys fsx.FS, path string) (fsx.File, error) {
	f, err := fsx.OpenLocked(fsys, path, os.O_RDWR, 0, fsx.Exclusive)
	if errors.Is(err, fs.ErrPermission) {
		return fsx.OpenLocked(fsys, path, os.O_RDONLY, 0, fsx.Exclusive)
	}
	return f, err
}

// look finds out whether the file is a SQLite database, and locks it if so.
func (s *source) look(o *Options) error {
	header := make([]byte, 18)
	n, err := s.file.ReadAt(header, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("plainfile: read %s: %w", s.path, err)
	}
	page, ok := sqlitePageSize(header[:n])
	if !ok {
		return nil
	}
	s.page = page
	if s.unwritable != nil { // the lock needs it
		return fault.Hint(fmt.Errorf("plainfile: %s is a SQLite database that this process may not write to: %w", s.path, s.unwritable),
			"SQLite's lock, which keeps other programs out meanwhile, needs the permission to write: chmod u+w, or run this as its owner.")
	}
	if err := checkSQLiteFiles(s.fs, s.path); err != nil {
		return err
	}
	return s.lockSQLite(o.note)
}

// mark returns the file's present state. A name that means another file by now
// is a changed state too.
func (s *source) mark() (mark, error) {
	fi, err := s.fs.Stat(s.path)
	if err != nil {
		return mark{}, fmt.Errorf("plainfile: %w", err)
	}
	same, err := s.fs.SameFile(s.path, s.file)
	if err != nil {
		return mark{}, fmt.Errorf("plainfile: %w", err)
	}
	if !same {
		return mark{}, fmt.Errorf("%w: another file was put in the place of %s", ErrChanging, s.path)
	}
	return mark{fi.Size(), fi.ModTime(), s.host.identity(fi)}, nil
}

// blockSize is the one that fits the content.
func (s *source) blockSize() int {
	if s.page == 0 {
		return defaultBlockSize
	}
	return max(s.page, minBlockSize)
}

func (s *source) close() error {
	var err error
	if s.unlock != nil {
		err = s.unlock()
	}
	return errors.Join(err, s.file.Close())
}
