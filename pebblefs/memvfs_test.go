package pebblefs

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/cofferdb/coffer/internal/fsx"
)

// memVFS is a vfs.FS over Coffer's crashing file system, which is harsher than Pebble's: sectors of what was not synced
// are lost each for itself, or garbage, sizes go their own way, and operations can be cut and made to fail.
type memVFS struct{ *fsx.Mem }

var _ vfs.FS = memVFS{}

func (m memVFS) Create(name string, _ vfs.DiskWriteCategory) (vfs.File, error) {
	if err := m.Mem.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return m.open(name, os.O_RDWR|os.O_CREATE|os.O_EXCL)
}

func (m memVFS) open(name string, flag int) (vfs.File, error) {
	f, err := m.Mem.Open(name, flag, 0o600)
	if err != nil {
		return nil, err
	}
	return &memVFile{File: f, m: m, name: name}, nil
}

func (m memVFS) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	if info, err := m.Mem.Stat(name); err == nil && info.IsDir() {
		return m.OpenDir(name)
	}
	return m.open(name, os.O_RDONLY)
}

func (m memVFS) OpenReadWrite(name string, _ vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return m.open(name, os.O_RDWR|os.O_CREATE)
}

func (m memVFS) OpenDir(name string) (vfs.File, error) {
	info, err := m.Mem.Stat(name)
	if err != nil {
		return nil, err
	}
	return memDir{m: m, name: name, info: memVInfo{info}}, nil
}

func (m memVFS) Link(_, newname string) error {
	return &os.LinkError{Op: "link", New: newname, Err: errors.ErrUnsupported}
}

func (m memVFS) RemoveAll(name string) error {
	info, err := m.Mem.Stat(name)
	if err != nil {
		return nil
	}
	if info.IsDir() {
		names, err := m.Mem.ReadDir(name)
		if err != nil {
			return err
		}
		for _, n := range names {
			if err := m.RemoveAll(path.Join(name, n)); err != nil {
				return err
			}
		}
	}
	return m.Mem.Remove(name)
}

func (m memVFS) ReuseForWrite(oldname, newname string, _ vfs.DiskWriteCategory) (vfs.File, error) {
	if err := m.Mem.Rename(oldname, newname); err != nil {
		return nil, err
	}
	return m.open(newname, os.O_RDWR)
}

func (m memVFS) MkdirAll(dir string, perm os.FileMode) error {
	if dir == "" || dir == "." || dir == "/" {
		return nil
	}
	if err := m.MkdirAll(path.Dir(dir), perm); err != nil {
		return err
	}
	if err := m.Mem.Mkdir(dir, perm); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

type memLock struct{ fsx.File }

func (m memVFS) Lock(name string) (io.Closer, error) {
	f, err := m.Mem.Open(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := f.Lock(fsx.Exclusive); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return memLock{f}, nil
}

func (m memVFS) List(dir string) ([]string, error) { return m.Mem.ReadDir(dir) }

func (m memVFS) Stat(name string) (vfs.FileInfo, error) {
	info, err := m.Mem.Stat(name)
	if err != nil {
		return nil, err
	}
	return memVInfo{info}, nil
}

func (m memVFS) PathBase(p string) string       { return path.Base(p) }
func (m memVFS) PathJoin(elem ...string) string { return path.Join(elem...) }
func (m memVFS) PathDir(p string) string        { return path.Dir(p) }
func (m memVFS) Unwrap() vfs.FS                 { return nil }
func (m memVFS) GetDiskUsage(string) (vfs.DiskUsage, error) {
	return vfs.DiskUsage{}, vfs.ErrUnsupported
}

type memVInfo struct{ fs.FileInfo }

func (memVInfo) DeviceID() vfs.DeviceID { return vfs.DeviceID{} }

// memVFile is an open file with a position.
type memVFile struct {
	fsx.File
	m    memVFS
	name string
	mu   sync.Mutex
	pos  int64
}

func (f *memVFile) Read(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, err := f.ReadAt(p, f.pos)
	f.pos += int64(n)
	if n > 0 && err == io.EOF {
		err = nil
	}
	return n, err
}

// Write spoils what it is given, as a vfs.File may.
func (f *memVFile) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, err := f.WriteAt(p, f.pos)
	f.pos += int64(n)
	for i := range p {
		p[i] = 0xa5 //lint:ignore SA1023 vfs.File's Write may do so
	}
	return n, err
}

func (f *memVFile) Stat() (vfs.FileInfo, error) {
	info, err := f.m.Mem.Stat(f.name)
	size, err2 := f.File.Size()
	if err = errors.Join(err, err2); errors.Is(err, fs.ErrNotExist) && err2 == nil {
		err, info = nil, gone{}
	}
	return sized{memVInfo{info}, size}, err
}

type gone struct{ fs.FileInfo }

func (gone) Name() string { return "gone" }
func (gone) IsDir() bool  { return false }

type sized struct {
	memVInfo
	size int64
}

func (s sized) Size() int64 { return s.size }

func (f *memVFile) Preallocate(_, _ int64) error { return nil }
func (f *memVFile) SyncTo(int64) (bool, error)   { return true, f.SyncData() }
func (f *memVFile) Prefetch(_, _ int64) error    { return nil }
func (f *memVFile) Fd() uintptr                  { return vfs.InvalidFd }

// memDir is an open folder.
type memDir struct {
	vfs.File
	m    memVFS
	name string
	info vfs.FileInfo
}

func (d memDir) Stat() (vfs.FileInfo, error)       { return d.info, nil }
func (d memDir) Sync() error                       { return d.m.Mem.SyncDir(d.name) }
func (d memDir) SyncData() error                   { return d.m.Mem.SyncDir(d.name) }
func (d memDir) Close() error                      { return nil }
func (d memDir) ReadAt([]byte, int64) (int, error) { return 0, errors.New("is a directory") }
