package fsx

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path"
	"sync"
	"syscall"
	"time"
)

// Mem is a file system in memory that crashes on purpose. It keeps what a disk
// would durably have apart from what the running system sees, and Crash makes
// of the two any state that a machine might find after a power cut. Errors,
// full disks, misdirected writes and cuts inside operations are injected.
//
// Names are slash-separated and cleaned; relative ones are relative to the
// root, which always exists. Permissions are kept, not enforced. A directory
// can be renamed within its parent only.
//
// It is safe for concurrent use. Contents live in immutable pages that all
// copies share, so that an image costs little more than a list of pointers.
type Mem struct {
	mu   sync.Mutex // guards everything below, and every node and handle
	rng  *rand.Rand
	root *node

	dirOps []dirOp // changes of directories that are not durable, oldest first
	clock  int64   // one tick per change: modification times

	space space
	inject
}

var (
	_ FS           = (*Mem)(nil)
	_ File         = (*memFile)(nil)
	_ sqliteLocker = (*memFile)(nil)
)

// NewMem returns an empty file system. seed drives what Crash(nil) decides.
func NewMem(seed uint64) *Mem {
	m := &Mem{rng: rand.New(rand.NewPCG(seed, 0x636f66666572)), root: newDir(fs.ModeDir | 0o755)}
	m.inject.reset()
	return m
}

// Open opens or creates a file.
func (m *Mem) Open(name string, flag int, perm fs.FileMode) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if flag&os.O_APPEND != 0 {
		return nil, pathError("open", name, ErrFlag)
	}
	if err := m.alive(); err != nil {
		return nil, pathError("open", name, err)
	}
	at, n, err := m.lookup(name)
	switch {
	case err != nil:
	case n == nil && flag&os.O_CREATE == 0:
		err = fs.ErrNotExist
	case n == nil:
		n, err = m.create(name, at, perm)
	case flag&(os.O_CREATE|os.O_EXCL) == os.O_CREATE|os.O_EXCL:
		err = fs.ErrExist
	case n.dir:
		err = syscall.EISDIR
	}
	if err != nil {
		return nil, pathError("open", name, err)
	}
	f := &memFile{m: m, n: n, name: name, access: flag & (os.O_WRONLY | os.O_RDWR)}
	if flag&os.O_TRUNC != 0 && n.size > 0 {
		if err := m.begin(Op{Kind: OpTruncate, Name: name}); err != nil {
			return nil, pathError("open", name, err)
		}
		m.truncate(n, 0)
	}
	n.opens++
	return f, nil
}

func (m *Mem) create(name string, at slot, perm fs.FileMode) (*node, error) {
	if err := m.begin(Op{Kind: OpCreate, Name: name}); err != nil {
		return nil, err
	}
	n := newFile(perm.Perm())
	m.change(dirOp{kind: opLink, node: n, to: at})
	return n, nil
}

// Mkdir makes a directory.
func (m *Mem) Mkdir(name string, perm fs.FileMode) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	at, n, err := m.lookupAlive(name)
	if err == nil && n != nil {
		err = fs.ErrExist
	}
	if err == nil {
		err = m.begin(Op{Kind: OpMkdir, Name: name})
	}
	if err != nil {
		return pathError("mkdir", name, err)
	}
	m.change(dirOp{kind: opLink, node: newDir(fs.ModeDir | perm.Perm()), to: at})
	return nil
}

// Remove removes a name. A file that is open lives on until it is closed.
func (m *Mem) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	at, n, err := m.lookupAlive(name)
	switch {
	case err != nil:
	case n == nil:
		err = fs.ErrNotExist
	case n == m.root:
		err = syscall.EINVAL
	case n.dir && len(n.entries) > 0:
		err = syscall.ENOTEMPTY
	default:
		err = m.begin(Op{Kind: OpRemove, Name: name})
	}
	if err != nil {
		return pathError("remove", name, err)
	}
	m.change(dirOp{kind: opUnlink, node: n, from: at})
	return nil
}

// Rename moves a name and replaces what is there.
func (m *Mem) Rename(oldName, newName string) error { return m.rename(oldName, newName, true) }

// RenameNoReplace moves a name to one that is free.
func (m *Mem) RenameNoReplace(oldName, newName string) error {
	return m.rename(oldName, newName, false)
}

func (m *Mem) rename(oldName, newName string, replace bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	from, n, err := m.lookupAlive(oldName)
	if err == nil && n == nil {
		err = fs.ErrNotExist
	}
	to, target, err2 := m.lookup(newName)
	if err == nil {
		err = err2
	}
	if err == nil {
		err = renameAllowed(from, to, n, target, replace)
	}
	if err == nil && n != target {
		err = m.begin(Op{Kind: OpRename, Name: oldName, NewName: newName})
	}
	if err != nil {
		return &os.LinkError{Op: "rename", Old: oldName, New: newName, Err: err}
	}
	if n != target {
		m.change(dirOp{kind: opRename, node: n, from: from, to: to})
	}
	return nil
}

func renameAllowed(from, to slot, n, target *node, replace bool) error {
	switch {
	case from.dir == nil || to.dir == nil: // the root
		return syscall.EINVAL
	case target != nil && !replace:
		return fs.ErrExist
	case n.dir && from.dir != to.dir:
		return syscall.EXDEV
	case target == nil || target == n:
		return nil
	case target.dir && !n.dir:
		return syscall.EISDIR
	case !target.dir && n.dir:
		return syscall.ENOTDIR
	case target.dir && len(target.entries) > 0:
		return syscall.ENOTEMPTY
	}
	return nil
}

// SyncDir makes the names in a directory durable. A rename between two
// directories is durable, whole, once either is synced. A failed SyncDir leaves
// its names in doubt; unlike content, a later one that succeeds settles them,
// since a name cannot be written again.
func (m *Mem) SyncDir(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	d, err := m.directory(name)
	if err == nil {
		err = m.begin(Op{Kind: OpSyncDir, Name: name})
	}
	if err != nil {
		return pathError("sync directory", name, err)
	}
	m.settle(func(op dirOp) bool { return op.from.dir == d || op.to.dir == d })
	return nil
}

// ReadDir returns the names in a directory, sorted.
func (m *Mem) ReadDir(name string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	d, err := m.directory(name)
	if err != nil {
		return nil, pathError("read directory", name, err)
	}
	return sortedNames(d.entries), nil
}

// Stat describes a name. Modification times are a count of changes, not real
// time; Sys is nil.
func (m *Mem) Stat(name string) (fs.FileInfo, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, n, err := m.lookupAlive(name)
	if err == nil && n == nil {
		err = fs.ErrNotExist
	}
	if err != nil {
		return nil, pathError("stat", name, err)
	}
	return memInfo{path.Base(clean(name)), n.size, n.mode, time.Unix(1e9, n.changed*1e6)}, nil
}

// SameFile says whether name still means f.
func (m *Mem) SameFile(name string, f File) (bool, error) {
	mf, ok := f.(*memFile)
	if !ok || mf.m != m {
		return false, ErrForeign
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	_, n, err := m.lookupAlive(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && n == mf.n, err
}

// TempFile returns a file without a name. It never survives a crash.
func (m *Mem) TempFile(dir string) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	name := path.Join(dir, "(anonymous)")
	_, err := m.directory(dir)
	if err == nil {
		err = m.begin(Op{Kind: OpCreate, Name: name})
	}
	if err != nil {
		return nil, pathError("open", name, err)
	}
	n := newFile(0o600)
	n.opens = 1
	return &memFile{m: m, n: n, name: name, access: os.O_RDWR}, nil
}

// FreeSpace returns what is left of the capacity, or 1 PiB where none is set.
func (m *Mem) FreeSpace(dir string) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, err := m.directory(dir); err != nil {
		return 0, pathError("free space", dir, err)
	}
	return m.space.free(), nil
}

func (m *Mem) copyOwnerMode(from, to string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, src, err1 := m.lookupAlive(from)
	_, dst, err2 := m.lookupAlive(to)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	if src == nil || dst == nil {
		return fs.ErrNotExist
	}
	dst.mode = src.mode
	return nil
}
