package pebblefs

import (
	"errors"
	"runtime"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// tmpSuffix is of files that are not ready for their names. Nobody else sees them.
const tmpSuffix = ".coffer-tmp"

// renamesOpen: a file can be renamed while it is open. Elsewhere a log gets its name at once, and a power cut
// before its first sync leaves one that cannot be opened.
const renamesOpen = runtime.GOOS != "windows"

// kindOf says how files of a base name are written.
func kindOf(base string) Kind {
	switch {
	case strings.HasSuffix(base, ".log"), strings.HasPrefix(base, "MANIFEST-"), strings.HasPrefix(base, "REMOTE-OBJ-CATALOG-"):
		return Log
	case strings.HasSuffix(base, ".sst"), strings.HasSuffix(base, ".blob"):
		return Table
	}
	return Plain
}

// mayBeEmpty reports whether a file of that base name may have no byte below: Pebble's markers and locks
// are such files. Logs have their head before they have their name, and Pebble's tables are never empty.
func mayBeEmpty(base string) bool { return kindOf(base) == Plain }

// Create implements vfs.FS. A log has a durable head before it has its name, so that a log whose head
// is not whole is always damage and never a power cut; and a manifest has a durable name when Pebble moves its marker to it.
func (f *FS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f.space.RLock()
	defer f.space.RUnlock()
	base := f.inner.PathBase(name)
	kind := kindOf(base)
	h, key, err := f.freshHeader(kind, base)
	if err != nil {
		return nil, err
	}
	path := f.path(name)
	at := path
	if kind == Log && renamesOpen {
		at = path + tmpSuffix
	}
	file, err := f.inner.Create(at, category)
	if err != nil {
		f.release(key)
		return nil, err
	}
	c, err := f.newContent(file, h, key)
	if err != nil {
		return nil, errors.Join(err, file.Close(), f.inner.Remove(at))
	}
	w := newWriter(f, name, c)
	if kind != Log {
		return f.register(w), nil
	}
	return f.begin(w, at, path)
}

// freshHeader makes a header under the key of new files.
func (f *FS) freshHeader(kind Kind, base string) (*header, *keyRef, error) {
	key, err := f.acquireWrite()
	if err != nil {
		return nil, nil, err
	}
	h, err := newHeader(kind, key.lease.Key(), base)
	if err != nil {
		f.release(key)
		return nil, nil, err
	}
	return h, key, nil
}

// begin writes the head of a log, makes it durable and gives the log its name.
func (f *FS) begin(w *writer, at, path string) (vfs.File, error) {
	err := w.putHead()
	if err == nil {
		err = w.fail(w.c.file.Sync())
	}
	if err == nil && at != path {
		err = w.fail(f.inner.Rename(at, path))
	}
	if err == nil && !strings.HasSuffix(w.name, ".log") { // whose folder Pebble syncs itself
		err = w.fail(syncDir(f.inner, f.inner.PathDir(path)))
	}
	if err != nil {
		return nil, errors.Join(err, w.Close(), f.inner.Remove(at))
	}
	return f.register(w), nil
}

// ReuseForWrite implements vfs.FS: the space of a log is used again, under a new identity, subkey and head. What is
// left of its former life does not authenticate.
func (f *FS) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (vfs.File, error) {
	base := f.inner.PathBase(newname)
	if kindOf(base) != Log || !renamesOpen {
		if err := f.Remove(oldname); err != nil {
			return nil, err
		}
		return f.Create(newname, category)
	}
	f.space.RLock()
	defer f.space.RUnlock()
	h, key, err := f.freshHeader(Log, base)
	if err != nil {
		return nil, err
	}
	path := f.path(newname)
	file, err := f.inner.ReuseForWrite(f.path(oldname), path+tmpSuffix, category)
	if err != nil {
		f.release(key)
		return nil, err
	}
	c, err := f.newContent(file, h, key)
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return f.begin(newWriter(f, newname, c), path+tmpSuffix, path)
}

// OpenReadWrite implements vfs.FS. A file that is not there is made for random writes; of the other kinds only
// reading is possible.
func (f *FS) OpenReadWrite(name string, category vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	f.space.RLock()
	defer f.space.RUnlock()
	path := f.path(name)
	file, err := f.inner.OpenReadWrite(path, category, opts...)
	if err != nil {
		return nil, err
	}
	c, e, err := f.contentOf(name, file)
	if err == errEmpty {
		return f.createRandom(name, file)
	}
	if err != nil {
		return nil, err
	}
	if c.h.kind != Random {
		return nil, errors.Join(writeOnly(name), c.close())
	}
	return f.newRandom(name, c, e), nil
}
