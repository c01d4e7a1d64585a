package fsx

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
)

// OS returns the operating system's file system.
func OS() FS { return osFS{} }

type osFS struct{}

type osFile struct {
	f      *os.File
	name   string
	remove bool // a TempFile that has a name: removed by Close

	mu     sync.Mutex // guards locked, and orders Lock against Close
	locked bool
}

var (
	_ FS   = osFS{}
	_ File = (*osFile)(nil)
)

func (osFS) Open(name string, flag int, perm fs.FileMode) (File, error) {
	if flag&os.O_APPEND != 0 {
		return nil, &fs.PathError{Op: "open", Path: name, Err: ErrFlag}
	}
	f, err := os.OpenFile(name, flag|syscall.O_NONBLOCK, perm) // a pipe would wait for a writer
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err != nil || info.IsDir() {
		_ = f.Close()
		return nil, errors.Join(err, &fs.PathError{Op: "open", Path: name, Err: errIsDir})
	} else if info.Mode()&fs.ModeNamedPipe != 0 {
		_ = f.Close()
		return nil, &fs.PathError{Op: "open", Path: name, Err: errors.New("is a pipe")}
	}
	return &osFile{f: f, name: name}, nil
}

func (osFS) Rename(oldName, newName string) error  { return os.Rename(oldName, newName) }
func (osFS) Remove(name string) error              { return os.Remove(name) }
func (osFS) Stat(name string) (fs.FileInfo, error) { return os.Stat(name) }

func (osFS) RenameNoReplace(oldName, newName string) error {
	if err := renameNoReplace(oldName, newName); err != nil {
		return &os.LinkError{Op: "rename", Old: oldName, New: newName, Err: err}
	}
	return nil
}

func (osFS) ReadDir(name string) ([]string, error) {
	d, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = d.Close() }()
	names, err := d.Readdirnames(-1)
	slices.Sort(names)
	return names, err
}

func (osFS) Mkdir(name string, perm fs.FileMode) error { return os.Mkdir(name, perm) }

func (osFS) SyncDir(name string) error {
	if err := syncDir(name); err != nil {
		return &fs.PathError{Op: "sync directory", Path: name, Err: err}
	}
	return nil
}

func (osFS) SameFile(name string, f File) (bool, error) {
	o, ok := f.(*osFile)
	if !ok {
		return false, ErrForeign
	}
	mine, err := o.f.Stat()
	if err != nil {
		return false, err
	}
	named, err := os.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && os.SameFile(mine, named), err
}

func (osFS) TempFile(dir string) (File, error) {
	if dir == "" {
		dir = os.TempDir()
	}
	if f, err := anonymousFile(dir); err == nil {
		return &osFile{f: f, name: f.Name()}, nil
	}
	f, err := os.CreateTemp(dir, ".coffer-spill-*")
	if err != nil {
		return nil, err
	}
	// Systems that cannot remove an open file do it when it is closed.
	return &osFile{f: f, name: f.Name(), remove: os.Remove(f.Name()) != nil}, nil
}

func (osFS) FreeSpace(dir string) (int64, error) {
	n, err := freeSpace(dir)
	if err != nil {
		return 0, &fs.PathError{Op: "free space", Path: dir, Err: err}
	}
	return n, nil
}

func (osFS) copyOwnerMode(from, to string) error { return CopyOwnerMode(from, to) }

func (o *osFile) Name() string                             { return o.name }
func (o *osFile) ReadAt(p []byte, off int64) (int, error)  { return o.f.ReadAt(p, off) }
func (o *osFile) WriteAt(p []byte, off int64) (int, error) { return o.f.WriteAt(p, off) }
func (o *osFile) Truncate(size int64) error                { return o.f.Truncate(size) }
func (o *osFile) Sync() error                              { return o.f.Sync() }

func (o *osFile) Size() (int64, error) {
	info, err := o.f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (o *osFile) Allocate(off, n int64) error {
	if err := checkRange(off, n); err != nil {
		return &fs.PathError{Op: "allocate", Path: o.name, Err: err}
	}
	if n == 0 {
		return nil
	}
	err := o.control(func(fd uintptr) error { return allocate(fd, off, n) })
	if errors.Is(err, errors.ErrUnsupported) {
		err = o.extend(off + n)
	}
	if err != nil {
		return &fs.PathError{Op: "allocate", Path: o.name, Err: err}
	}
	return nil
}

func (o *osFile) extend(size int64) error {
	if now, err := o.Size(); err != nil || now >= size {
		return err
	}
	return o.f.Truncate(size)
}

func (o *osFile) SyncData() error {
	if err := o.control(o.syncData); err != nil {
		return &fs.PathError{Op: "sync data", Path: o.name, Err: err}
	}
	return nil
}

func (o *osFile) Lock(mode LockMode) error {
	if mode != Shared && mode != Exclusive {
		return ErrLockMode
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	err := o.control(func(fd uintptr) error { return lock(fd, mode, o.locked) })
	if err != nil {
		o.locked = false
		return &fs.PathError{Op: "lock", Path: o.name, Err: err}
	}
	o.locked = true
	return nil
}

// Close unlocks first: a child that is being started holds the same open file
// until it runs, and with it the lock.
func (o *osFile) Close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.locked {
		o.locked = false
		_ = o.control(unlock)
	}
	err := o.f.Close()
	if o.remove && err == nil {
		err = os.Remove(o.name)
	}
	return err
}

// control runs fn on the descriptor, which stays valid meanwhile.
func (o *osFile) control(fn func(fd uintptr) error) error {
	raw, err := o.f.SyscallConn()
	if err != nil {
		return fs.ErrClosed
	}
	var inner error
	if err := raw.Control(func(fd uintptr) { inner = fn(fd) }); err != nil {
		return fs.ErrClosed // the one way in which Control itself fails
	}
	return inner
}

func checkRange(off, n int64) error {
	if off < 0 || n < 0 || off+n < 0 {
		return fmt.Errorf("offset or length out of range: %w", os.ErrInvalid)
	}
	return nil
}

// CopyOwnerMode gives the file to the owner, the group and the permission bits
// of the file from, both paths of the operating system. It fails where the
// owner differs and this process may not set it. Access control lists and
// extended attributes are not copied. On Windows only the read-only bit is.
func CopyOwnerMode(from, to string) error {
	src, err := os.Stat(from)
	if err != nil {
		return err
	}
	dst, err := os.Stat(to)
	if err != nil {
		return err
	}
	// The owner first: giving a file away may clear bits of its mode.
	if err := copyOwner(src, dst, to); err != nil {
		return err
	}
	return os.Chmod(to, src.Mode()&(fs.ModePerm|fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky))
}

// HardLinks returns how many names the file has in its file system.
func HardLinks(path string) (uint64, error) {
	n, err := hardLinks(path)
	if err != nil {
		return 0, fmt.Errorf("fsx: hard links of %s: %w", filepath.Clean(path), err)
	}
	return n, nil
}
