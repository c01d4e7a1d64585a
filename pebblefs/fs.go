package pebblefs

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
)

// Options of an FS. The zero value is usable, and nil stands for it.
type Options struct {
	// Key of new files; zero is the keyring's default key.
	Key dek.ID

	// Names, if not empty, hides the names of files: it is the path, in the file system below, of the file that keeps
	// the key of names, such as "db/coffer.names". It is made where it and its folder's content are not there
	// yet. Names of folders, and how many files there are, stay visible. Names are 150 bytes at most then. A copy of
	// files in another folder, such as a checkpoint, is opened with the same file of names, or a copy of it.
	Names string

	// Cache is how many bytes of opened pages are kept in memory, beside what Pebble keeps itself: reading a page from below and opening
	// it costs more than a read of a plain file. Zero is DefaultCache, less than zero none.
	Cache int64
}

// FS is an encrypted vfs.FS. See the package comment.
type FS struct {
	inner vfs.FS
	ring  *dek.Keyring
	names *hider // nil: names are as they are
	kept  *cache // nil: nothing is kept

	// space is held shared by what makes, removes or renames files, and alone by Rekey when it puts a file in the place
	// of another. Lock order: a writer's or random's mu, space, a reader's posMu, its mu, FS.mu.
	space sync.RWMutex

	resealing sync.Mutex    // held while a file is sealed anew, whose temporary file has one name; before a writer's mu
	opened    atomic.Uint64 // how often a file was opened for random writes

	mu      sync.Mutex // guards everything below
	keys    map[dek.ID]*keyRef
	write   dek.ID // of new files
	writers map[*writer]struct{}
	randoms map[*random]struct{}
	readers map[[16]byte]map[*reader]struct{} // by the file's identity
	closed  bool
}

var _ vfs.FS = (*FS)(nil)

// New returns an encrypted file system over inner, such as vfs.Default. Files below that it did not write are refused
// with ErrNotCoffer. Close it when the database is closed. Errors: ErrNotActivated, ErrState where there is no default
// key or the key may only decrypt, or the names of files that are there cannot be known.
func New(inner vfs.FS, keys *dek.Keyring, o *Options) (*FS, error) {
	if inner == nil || keys == nil {
		return nil, fmt.Errorf("pebblefs: a file system and a keyring are needed: %w", fault.Usage)
	}
	if o == nil {
		o = &Options{}
	}
	id := o.Key
	if id.IsZero() {
		var ok bool
		if id, ok = keys.Default(); !ok {
			return nil, fault.Hint(fmt.Errorf("pebblefs: the keyring has no default key: %w", fault.NotActivated), "Activate a key for databases.")
		}
	}
	f := &FS{inner: inner, ring: keys, keys: map[dek.ID]*keyRef{}, writers: map[*writer]struct{}{}, randoms: map[*random]struct{}{},
		readers: map[[16]byte]map[*reader]struct{}{}}
	if o.Cache == 0 {
		f.kept = newCache(DefaultCache)
	} else {
		f.kept = newCache(o.Cache)
	}
	if err := f.SetKey(id); err != nil {
		return nil, err
	}
	if o.Names != "" {
		if err := f.openNames(o.Names); err != nil {
			return nil, errors.Join(err, f.Close())
		}
	}
	return f, nil
}

// Unwrap implements vfs.FS: the file system below.
func (f *FS) Unwrap() vfs.FS { return f.inner }

// path returns the path below of a file.
func (f *FS) path(name string) string {
	if f.names == nil {
		return name
	}
	base := f.inner.PathBase(name)
	return f.inner.PathJoin(f.inner.PathDir(name), f.names.hide(base))
}

// resolve returns the path below of something that may be a folder, whose name is never hidden.
func (f *FS) resolve(name string) string {
	if f.names == nil {
		return name
	}
	if info, err := f.inner.Stat(name); err == nil && info.IsDir() {
		return name
	}
	return f.path(name)
}

// Open implements vfs.FS.
func (f *FS) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	f.space.RLock()
	defer f.space.RUnlock()
	path := f.resolve(name)
	file, err := f.inner.Open(path, opts...)
	if err != nil {
		return nil, err
	}
	// Only a folder has no head to be read, and asking each file what it is costs a system call.
	r, err := f.newReader(name, file)
	if err == nil {
		if r.c != nil {
			r.c.once = slices.Contains(opts, vfs.SequentialReadsOption)
		}
		return r, nil
	}
	if info, err := f.inner.Stat(path); err == nil && info.IsDir() {
		return f.inner.Open(path, opts...)
	}
	return nil, err
}

// OpenDir implements vfs.FS.
func (f *FS) OpenDir(name string) (vfs.File, error) { return f.inner.OpenDir(name) }

// Remove implements vfs.FS. Before one of Pebble's markers goes, the folder is synced: Pebble makes the next one, removes this
// one and only then syncs the folder, and would begin a new database if a power cut kept the removal and lost the new name.
func (f *FS) Remove(name string) error {
	f.space.RLock()
	defer f.space.RUnlock()
	if strings.HasPrefix(f.inner.PathBase(name), "marker.") {
		if err := syncDir(f.inner, f.inner.PathDir(name)); err != nil {
			return err
		}
	}
	return f.inner.Remove(f.resolve(name))
}

// RemoveAll implements vfs.FS.
func (f *FS) RemoveAll(name string) error {
	f.space.RLock()
	defer f.space.RUnlock()
	return f.inner.RemoveAll(f.resolve(name))
}

// MkdirAll implements vfs.FS.
func (f *FS) MkdirAll(dir string, perm os.FileMode) error { return f.inner.MkdirAll(dir, perm) }

// List implements vfs.FS. Files that are not ready for their names, and the file of names, are left out.
func (f *FS) List(dir string) ([]string, error) {
	names, err := f.inner.List(dir)
	if err != nil {
		return nil, err
	}
	kept := names[:0]
	for _, name := range names {
		if strings.HasSuffix(name, tmpSuffix) || f.names != nil && f.inner.PathJoin(dir, name) == f.names.path {
			continue
		}
		if f.names != nil {
			if name, err = f.names.listed(f.inner, dir, name); err != nil {
				return nil, err
			}
		}
		kept = append(kept, name)
	}
	return kept, nil
}

// Stat implements vfs.FS: the size of a file is that of its content. A log that cannot be opened, because it is damaged or was
// about to be recycled when the power went, has the size that it has below: Pebble asks for sizes of logs that it is going to
// remove, and would not start without.
func (f *FS) Stat(name string) (vfs.FileInfo, error) {
	f.space.RLock()
	defer f.space.RUnlock()
	path := f.resolve(name)
	info, err := f.inner.Stat(path)
	if err != nil || info.IsDir() {
		return info, err
	}
	if info.Size() == 0 {
		return fileInfo{info, f.inner.PathBase(name), 0}, nil
	}
	file, err := f.inner.Open(path)
	if err != nil {
		return nil, err
	}
	c, e, err := f.contentOf(name, file)
	switch {
	case err == errEmpty:
		return fileInfo{info, f.inner.PathBase(name), 0}, file.Close()
	case unreadable(err) && kindOf(f.inner.PathBase(name)) == Log:
		return fileInfo{info, f.inner.PathBase(name), info.Size()}, nil
	case err != nil:
		return nil, err
	}
	return fileInfo{info, f.inner.PathBase(name), e.size}, c.close()
}

// unreadable reports whether the file itself is at fault.
func unreadable(err error) bool {
	return errors.Is(err, fault.Tampered) || errors.Is(err, fault.Damaged) || errors.Is(err, fault.NotFormat)
}

// Lock implements vfs.FS. The lock is one of the file system below, on a file without a byte. Whoever has it owns the folder:
// files that never got their names, because the power was cut, are removed from it.
func (f *FS) Lock(name string) (io.Closer, error) {
	lock, err := f.inner.Lock(f.path(name))
	if err != nil {
		return nil, err
	}
	if err := f.sweep(f.inner.PathDir(name)); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return lock, nil
}

// sweep removes from a folder what never got its name.
func (f *FS) sweep(dir string) error {
	f.space.Lock()
	defer f.space.Unlock()
	names, err := f.inner.List(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if strings.HasSuffix(name, tmpSuffix) {
			err = errors.Join(err, f.inner.Remove(f.inner.PathJoin(dir, name)))
		}
	}
	return err
}

// PathBase implements vfs.FS.
func (f *FS) PathBase(path string) string { return f.inner.PathBase(path) }

// PathJoin implements vfs.FS.
func (f *FS) PathJoin(elem ...string) string { return f.inner.PathJoin(elem...) }

// PathDir implements vfs.FS.
func (f *FS) PathDir(path string) string { return f.inner.PathDir(path) }

// GetDiskUsage implements vfs.FS.
func (f *FS) GetDiskUsage(path string) (vfs.DiskUsage, error) { return f.inner.GetDiskUsage(path) }
