package sqlitevfs

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/vfs"
)

// super is a super-journal: SQLite makes one for a transaction over several
// databases, names the journals of all of them in it, and commits by deleting it.
//
// Databases of ours wait for that deletion with their commits, because it is the
// last thing whose failure SQLite reports. Databases of other VFSs need the file
// on the disk: after a power cut they roll back as long as it is there.
type super struct {
	v    *VFS
	name string

	mu      sync.Mutex // guards the fields below
	data    []byte
	members []*file
	disk    bool
}

var (
	supersMu sync.Mutex
	supers   = map[string]*super{} // of all VFSs of this package
)

func findSuper(name string) *super {
	if name == "" {
		return nil
	}
	supersMu.Lock()
	defer supersMu.Unlock()
	return supers[name]
}

func (v *VFS) openSuper(name string) vfs.File {
	supersMu.Lock()
	defer supersMu.Unlock()
	s := supers[name]
	if s == nil {
		s = &super{v: v, name: name}
		supers[name] = s
	}
	return &superFile{s}
}

// join adds a database whose commit waits.
func (s *super) join(f *file) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Contains(s.members, f) {
		s.members = append(s.members, f)
	}
	return true
}

func (s *super) leave(f *file) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.members = slices.DeleteFunc(s.members, func(m *file) bool { return m == f })
	if len(s.members) == 0 { // the transaction is rolled back in all of them
		supersMu.Lock()
		defer supersMu.Unlock()
		delete(supers, s.name)
	}
}

// deleteSuper commits what waits for a super-journal and removes it. SQLite
// deletes one with syncDir where it commits, and without where it gives it up.
func (v *VFS) deleteSuper(name string, syncDir bool) error {
	s := findSuper(name)
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if syncDir {
		if err := s.commit(); err != nil {
			return code(err, sqlite3.IOERR_DELETE)
		}
	}
	supersMu.Lock()
	delete(supers, name)
	supersMu.Unlock()
	if !s.disk {
		return nil
	}
	if err := errors.Join(v.fs.Remove(name), v.fs.SyncDir(filepath.Dir(name))); err != nil {
		if syncDir { // SQLite takes it for a commit that failed
			for _, f := range s.members {
				f.half = fmt.Errorf("%w: %w", errHalf, err)
			}
		}
		return code(fmt.Errorf("sqlitevfs: super-journal: %w", err), sqlite3.IOERR_DELETE)
	}
	return nil
}

// commit commits the members one by one. Where one fails, those that have been
// committed cannot be undone: they answer with errors until SQLite lets go of them, so that it does not go by its cache.
func (s *super) commit() error {
	for i, f := range s.members {
		if err := f.commit(); err != nil {
			for _, done := range s.members[:i] {
				done.half = fmt.Errorf("%w: %w", errHalf, err)
			}
			return err
		}
	}
	return nil
}

// superFile is a super-journal as SQLite writes it.
type superFile struct{ *super }

func (s superFile) Close() error                                    { return nil }
func (s superFile) Lock(vfs.LockLevel) error                        { return nil }
func (s superFile) Unlock(vfs.LockLevel) error                      { return nil }
func (s superFile) CheckReservedLock() (bool, error)                { return false, nil }
func (s superFile) SectorSize() int                                 { return 512 }
func (s superFile) DeviceCharacteristics() vfs.DeviceCharacteristic { return 0 } // or there would be no Sync

func (s superFile) ReadAt(p []byte, off int64) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if off >= int64(len(s.data)) {
		return 0, io.EOF
	}
	n := copy(p, s.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (s superFile) WriteAt(p []byte, off int64) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if end := off + int64(len(p)); end > int64(len(s.data)) {
		s.data = append(s.data, make([]byte, end-int64(len(s.data)))...)
	}
	return copy(s.data[off:], p), nil
}

func (s superFile) Truncate(size int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.data = append(s.data[:0:0], s.data[:min(size, int64(len(s.data)))]...)
	return nil
}

func (s superFile) Size() (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return int64(len(s.data)), nil
}

// Sync puts the super-journal on the disk where a journal is named in it that is not of a volume.
func (s superFile) Sync(vfs.SyncFlag) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.disk || !s.foreign() {
		return nil
	}
	if err := s.store(); err != nil {
		return code(fmt.Errorf("sqlitevfs: super-journal: %w", err), sqlite3.IOERR_FSYNC)
	}
	return nil
}

// foreign reports whether a database of another VFS takes part. mu is held.
func (s superFile) foreign() bool {
	s.v.mu.Lock()
	defer s.v.mu.Unlock()
	for name := range strings.SplitSeq(strings.TrimRight(string(s.data), "\x00"), "\x00") {
		if s.v.dbs[strings.TrimSuffix(name, "-journal")] == nil {
			return true
		}
	}
	return false
}

// store writes the file, durably with its name. mu is held.
func (s superFile) store() error {
	f, err := s.v.fs.Open(s.name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	s.disk = true
	_, err = f.WriteAt(s.data, 0)
	return errors.Join(err, f.Sync(), f.Close(), s.v.fs.SyncDir(filepath.Dir(s.name)))
}
