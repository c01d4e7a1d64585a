package pebblefs

import (
	"errors"
	"fmt"
	"io"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/cofferdb/coffer/internal/fault"
)

// Rename implements vfs.FS. Where the base name changes the new one is made durable in the file first: a file opens only
// under names that it was given here.
func (f *FS) Rename(oldname, newname string) error {
	f.headOf(oldname)
	err := f.rename(oldname, newname)
	if errors.Is(err, errNames) { // sealed anew, it has one name
		if _, err = f.reseal(oldname); err == nil {
			err = f.rename(oldname, newname)
		}
	}
	if err == nil {
		f.renamed(oldname, newname)
	}
	return err
}

func (f *FS) rename(oldname, newname string) error {
	f.space.RLock()
	defer f.space.RUnlock()
	from := f.resolve(oldname)
	to := newname
	if from != oldname || f.names == nil {
		to = f.path(newname)
	}
	if err := f.addName(from, f.inner.PathBase(oldname), f.inner.PathBase(newname)); err != nil {
		return err
	}
	return f.inner.Rename(from, to)
}

// Link implements vfs.FS. A file has its first base name and three more; for others a copy has to do, which Pebble
// makes where Link fails.
func (f *FS) Link(oldname, newname string) error {
	f.headOf(oldname)
	f.space.RLock()
	defer f.space.RUnlock()
	from := f.path(oldname)
	if err := f.addName(from, f.inner.PathBase(oldname), f.inner.PathBase(newname)); err != nil {
		return err
	}
	return f.inner.Link(from, f.path(newname))
}

// writersOf returns who writes the file of that name.
func (f *FS) writersOf(name string) []*writer {
	f.mu.Lock()
	all := make([]*writer, 0, len(f.writers))
	for w := range f.writers {
		all = append(all, w)
	}
	f.mu.Unlock()
	found := all[:0]
	for _, w := range all {
		w.mu.Lock()
		if w.name == name {
			found = append(found, w)
		}
		w.mu.Unlock()
	}
	return found
}

// headOf makes sure that a file that is being written has its head, since a name is added there.
func (f *FS) headOf(name string) {
	for _, w := range f.writersOf(name) {
		w.mu.Lock()
		if w.c != nil && w.err == nil {
			_ = w.putHead() // the writer remembers
		}
		w.mu.Unlock()
	}
}

// renamed tells writers the new names of their files.
func (f *FS) renamed(oldname, newname string) {
	for _, w := range f.writersOf(oldname) {
		w.mu.Lock()
		w.name = newname
		w.mu.Unlock()
	}
}

// errNames: every place for a further name is taken.
var errNames = fmt.Errorf("pebblefs: a file has %d names at most: %w", 1+aliasPages, fault.State)

// addName makes it durable in a file that it may have another base name.
func (f *FS) addName(path, oldBase, newBase string) (err error) {
	if oldBase == newBase {
		return nil
	}
	info, err := f.inner.Stat(path)
	if err != nil {
		return err
	}
	if info.IsDir() || info.Size() == 0 {
		return nil
	}
	file, err := f.inner.OpenReadWrite(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	head := make([]byte, headSize)
	n, err := file.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	h, err := parseHeader(head[:n])
	if err != nil {
		return fmt.Errorf("pebblefs: %s: %w", oldBase, err)
	}
	key, err := f.acquire(h.key)
	if err != nil {
		return err
	}
	defer f.release(key)
	if err := h.admit(file, head, key, oldBase); err != nil {
		return fmt.Errorf("%s: %w", oldBase, err)
	}
	tag, err := h.nameTag(key.lease.Key(), newBase)
	if err != nil || h.named(head[:n], tag) {
		return err
	}
	i := h.freeAlias(head[:n])
	if i < 0 {
		return fmt.Errorf("%s: %w", oldBase, errNames)
	}
	page := make([]byte, pageSize)
	h.putAlias(page, tag)
	if _, err := file.WriteAt(page, int64(1+i)*pageSize); err != nil {
		return err
	}
	return file.Sync()
}
