package fsx

import (
	"io"
	"io/fs"
	"os"
	"syscall"
)

// memFile is an open file of a Mem, whose mu guards it.
type memFile struct {
	m      *Mem
	n      *node
	name   string
	access int // os.O_RDONLY, O_WRONLY or O_RDWR
	closed bool
}

func (f *memFile) Name() string { return f.name }

// usable fails for a closed handle and a dead machine. The caller holds mu.
func (f *memFile) usable() error {
	if f.closed {
		return fs.ErrClosed
	}
	return f.m.alive()
}

// start is what every operation on content does first.
func (f *memFile) start(kind OpKind, off int64, n int) error {
	if err := f.usable(); err != nil {
		return err
	}
	if kind == OpRead && f.access == os.O_WRONLY || kind.writes() && f.access == os.O_RDONLY {
		return syscall.EBADF
	}
	if off < 0 || off+int64(n) < 0 {
		return os.ErrInvalid
	}
	return f.m.begin(Op{Kind: kind, Name: f.name, Off: off, Len: n})
}

func (f *memFile) ReadAt(p []byte, off int64) (int, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if len(p) == 0 {
		return 0, nil
	}
	if err := f.start(OpRead, off, len(p)); err != nil {
		n := 0
		if t, ok := tornBytes(err); ok {
			n = f.n.read(p[:min(len(p), t)], off)
		}
		return n, pathError("read", f.name, err)
	}
	if n := f.n.read(p, off); n < len(p) {
		return n, io.EOF
	}
	return len(p), nil
}

func (f *memFile) WriteAt(p []byte, off int64) (int, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if len(p) == 0 {
		return 0, nil
	}
	if err := f.start(OpWrite, off, len(p)); err != nil {
		n := 0
		if t, ok := tornBytes(err); ok {
			n, _ = f.m.write(f.n, p[:min(len(p), t)], f.m.misdirected(off))
		}
		return n, pathError("write", f.name, err)
	}
	n, err := f.m.write(f.n, p, f.m.misdirected(off))
	if err != nil {
		return n, pathError("write", f.name, err)
	}
	return n, nil
}

func (f *memFile) Size() (int64, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.usable(); err != nil {
		return 0, pathError("stat", f.name, err)
	}
	return f.n.size, nil
}

var _ holes = (*memFile)(nil)

func (f *memFile) nextData(off int64) (next int64, ok bool) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if off < 0 || f.usable() != nil {
		return off, true
	}
	for i := off / pageSize; i < int64(len(f.n.pages)) && i*pageSize < f.n.size; i++ {
		if f.n.pages[i] != nil {
			return max(off, i*pageSize), true
		}
	}
	return off, false
}

func (f *memFile) Truncate(size int64) error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.start(OpTruncate, size, 0); err != nil {
		return pathError("truncate", f.name, err)
	}
	if size > f.n.size && f.m.space.full() {
		return pathError("truncate", f.name, syscall.ENOSPC)
	}
	f.m.truncate(f.n, size)
	return nil
}

func (f *memFile) Allocate(off, n int64) error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	err := checkRange(off, n)
	if err == nil && off+n > maxContent {
		err = syscall.EFBIG
	}
	if err == nil {
		err = f.start(OpAllocate, off, int(n))
	}
	if err == nil && n > 0 {
		err = f.m.space.reserve(f.n, int(off/pageSize), int((off+n+pageSize-1)/pageSize))
	}
	if err != nil {
		return pathError("allocate", f.name, err)
	}
	if n > 0 && off+n > f.n.size {
		f.m.truncate(f.n, off+n)
	}
	return nil
}

func (f *memFile) Sync() error     { return f.sync(OpSync) }
func (f *memFile) SyncData() error { return f.sync(OpSyncData) }

func (f *memFile) sync(kind OpKind) error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.usable(); err != nil {
		return pathError("sync", f.name, err)
	}
	if err := f.start(kind, 0, 0); err != nil {
		if f.m.alive() == nil {
			f.n.failSync()
		}
		return pathError("sync", f.name, err)
	}
	f.n.sync()
	return nil
}

// Lock has the rules of flock.
func (f *memFile) Lock(mode LockMode) error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if mode != Shared && mode != Exclusive {
		return ErrLockMode
	}
	if err := f.usable(); err != nil {
		return pathError("lock", f.name, err)
	}
	delete(f.n.locks, f)
	for _, held := range f.n.locks {
		if mode == Exclusive || held == Exclusive {
			return pathError("lock", f.name, ErrLocked)
		}
	}
	if f.n.locks == nil {
		f.n.locks = map[*memFile]LockMode{}
	}
	f.n.locks[f] = mode
	return nil
}

func (f *memFile) lockSQLite() (func() error, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.usable(); err != nil {
		return nil, pathError("lock as SQLite", f.name, err)
	}
	if f.n.sqlite != nil && f.n.sqlite != f {
		return nil, pathError("lock as SQLite", f.name, ErrLocked)
	}
	f.n.sqlite = f
	return func() error {
		f.m.mu.Lock()
		defer f.m.mu.Unlock()
		f.unlockSQLite()
		return nil
	}, nil
}

func (f *memFile) unlockSQLite() {
	if f.n.sqlite == f {
		f.n.sqlite = nil
	}
}

// Close works on a dead machine too, so that clean-up code can run.
func (f *memFile) Close() error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if f.closed {
		return pathError("close", f.name, fs.ErrClosed)
	}
	f.closed = true
	delete(f.n.locks, f)
	f.unlockSQLite()
	f.n.opens--
	f.m.reclaim(f.n)
	return nil
}
