package fsx

import (
	"io"
	"io/fs"
	"path/filepath"
)

// LockMode says who may hold a lock beside the holder.
type LockMode uint8

// The zero LockMode is invalid.
const (
	Shared    LockMode = iota + 1 // any number of shared holders
	Exclusive                     // one holder, and no shared ones
)

// File is an open file, read and written at offsets.
//
// ReadAt and WriteAt are as of *os.File: a read that meets the end of the file
// returns what there is and io.EOF; a write past the end leaves a hole that
// reads as zeros; a failed write may have happened in part.
type File interface {
	io.ReaderAt
	io.WriterAt

	// Name returns the name given to Open.
	Name() string
	// Size returns the present size in bytes.
	Size() (int64, error)
	// Truncate sets the size. What lies behind it is gone; what is added reads as zeros.
	Truncate(size int64) error
	// Allocate reserves space for n bytes at off, so that writing there later
	// does not fail for space, and makes the size at least off+n. The content
	// does not change; what is added reads as zeros. A full disk is
	// syscall.ENOSPC. Where the file system cannot reserve, only the size
	// changes and the error is nil: file systems that copy on write may still
	// fail an overwrite for space. The reservation is durable after a sync.
	Allocate(off, n int64) error
	// Sync makes content, size and all metadata durable (fsync).
	Sync() error
	// SyncData makes content and size durable (fdatasync).
	SyncData() error
	// Lock takes a lock without waiting, or changes the mode of the one held.
	// A conflict with any other open file is ErrLocked (fault.InUse); then a
	// lock held before is lost too. Locks are advisory between programs
	// (mandatory on Windows for nobody, since they lie beyond any content),
	// freed by Close and when the process dies. Who opens by name and locks
	// must check afterwards that the name still means this file: OpenLocked does.
	Lock(mode LockMode) error
	// Close frees the lock. It makes nothing durable.
	Close() error
}

// FS is a file system. Names are as of package os; flags are os.O_RDONLY,
// O_WRONLY, O_RDWR, O_CREATE, O_EXCL, O_TRUNC.
type FS interface {
	// Open opens or creates a file; its name is durable after SyncDir of its directory.
	Open(name string, flag int, perm fs.FileMode) (File, error)
	// Rename moves a file within one file system and replaces what is there,
	// atomically; it is durable after SyncDir of the new directory, and of the
	// old one if that is another. Only this package calls it.
	Rename(oldName, newName string) error
	// RenameNoReplace is Rename that fails with fs.ErrExist instead of replacing.
	RenameNoReplace(oldName, newName string) error
	// Remove removes a file's name, or an empty directory. Open files go on.
	Remove(name string) error
	// Stat follows symbolic links.
	Stat(name string) (fs.FileInfo, error)
	// ReadDir returns the base names in a directory, sorted.
	ReadDir(name string) ([]string, error)
	// Mkdir makes one directory; fs.ErrExist if there is something of that name.
	Mkdir(name string, perm fs.FileMode) error
	// SyncDir makes the names in a directory durable.
	SyncDir(name string) error
	// SameFile says whether name still means the open file f. A name that
	// means nothing is no error, only not the same.
	SameFile(name string, f File) (bool, error)
	// TempFile returns a file without a name, gone when it is closed or the
	// process dies. The folder is dir, or the system's for "".
	TempFile(dir string) (File, error)
	// FreeSpace returns how many bytes this process may still write in the
	// file system that holds dir.
	FreeSpace(dir string) (int64, error)
}

// Resolve follows symbolic links in the operating system's file system, so that
// what lies beside a file is looked for beside the file and not beside a link to
// it. A name that cannot be followed, such as one that does not exist yet, stays as it is.
func Resolve(fsys FS, name string) string {
	if fsys == OS() {
		if real, err := filepath.EvalSymlinks(name); err == nil {
			return real
		}
	}
	return name
}

// OpenLocked opens name and locks it, and makes sure that the name still means
// the locked file: a writer may have replaced it in between. It fails with
// ErrLocked if somebody else holds it, and with ErrMoved if it was replaced
// again and again.
func OpenLocked(fsys FS, name string, flag int, perm fs.FileMode, mode LockMode) (File, error) {
	const attempts = 100
	for range attempts {
		f, err := fsys.Open(name, flag, perm)
		if err != nil {
			return nil, err
		}
		if err := f.Lock(mode); err != nil {
			_ = f.Close()
			return nil, err
		}
		same, err := fsys.SameFile(name, f)
		if err == nil && same {
			return f, nil
		}
		_ = f.Close()
		if err != nil {
			return nil, err
		}
	}
	return nil, &fs.PathError{Op: "lock", Path: name, Err: ErrMoved}
}
