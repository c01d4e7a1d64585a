package pebblefs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
)

// A RekeyReport says how far a Rekey has come, and in the end what it proved.
type RekeyReport struct {
	Key      dek.ID `json:"key"`      // the key of new files, that everything is to be under
	Files    int    `json:"files"`    // found at the last count, those without a byte left out
	Done     int    `json:"done"`     // of them under Key
	Resealed int    `json:"resealed"` // files sealed anew
	Bytes    int64  `json:"bytes"`    // of content sealed anew
	Pinned   int    `json:"pinned"`   // open files that were removed and are under another key until they are closed

	Left []File `json:"-"` // files under other keys or with unreadable headers, at the end
}

// rekeyPasses bounds how often Rekey looks again for what was made or renamed while it was at work.
const rekeyPasses = 4

// Rekey seals anew what is in the folders, and in those inside them, under another key than that of new files: call
// [FS.SetKey] first. Pebble goes on meanwhile, and so do the files that it has open: readers move to the new
// file, a writer waits until its own file is copied. A file with several names (a link) becomes as many files. At the end all
// headers are counted: nil means that no file in the folders is under another key. Otherwise the error is ErrRemaining and
// the report names what is left, such as tables that were cut short. Interrupted, it goes on when called again.
// progress, if not nil, is called after each file.
//
// The old key can be deactivated when Rekey has ended and Pinned is zero. Plaintext is not written, and what lay
// under the old key stays in freed blocks of the disk.
func (f *FS) Rekey(ctx context.Context, dirs []string, progress func(RekeyReport)) (RekeyReport, error) {
	r := RekeyReport{Key: f.Key()}
	failed := map[string]error{}
	for range rekeyPasses {
		if err := f.rekeyNames(dirs); err != nil {
			return r, err
		}
		if err := f.rekeyOpen(ctx, dirs, &r, failed, progress); err != nil {
			return r, err
		}
		if err := f.rekeyFiles(ctx, dirs, &r, failed, progress); err != nil {
			return r, err
		}
		if err := f.count(dirs, &r); err != nil {
			return r, err
		}
		if len(r.Left) == 0 {
			return r, nil
		}
	}
	err := fmt.Errorf("%w: %d of %d", ErrRemaining, len(r.Left), r.Files)
	for _, path := range slices.Sorted(maps.Keys(failed)) {
		err = errors.Join(err, failed[path])
	}
	return r, err
}

// rekeyNames wraps the key of names anew, where its file lies in the folders.
func (f *FS) rekeyNames(dirs []string) error {
	if f.names == nil || !f.within(f.names.path, dirs) {
		return nil
	}
	b, err := readAll(f.inner, f.names.path)
	if err != nil {
		return err
	}
	if id, err := parseNames(b); err != nil || id == f.Key() {
		return err
	}
	return f.writeNames()
}

// within reports whether a path lies in one of the folders.
func (f *FS) within(path string, dirs []string) bool {
	path = f.inner.PathJoin(path) // as the file system below spells it
	return slices.ContainsFunc(dirs, func(dir string) bool {
		dir = f.inner.PathJoin(dir)
		for at := f.inner.PathDir(path); ; at = f.inner.PathDir(at) {
			if at == strings.TrimSuffix(dir, "/") || at == dir {
				return true
			}
			if at == f.inner.PathDir(at) {
				return false
			}
		}
	})
}

// rekeyOpen seals anew the files that are being written.
func (f *FS) rekeyOpen(ctx context.Context, dirs []string, r *RekeyReport, failed map[string]error, progress func(RekeyReport)) error {
	f.mu.Lock()
	writers, randoms := slices.Collect(maps.Keys(f.writers)), slices.Collect(maps.Keys(f.randoms))
	f.mu.Unlock()
	for _, w := range writers {
		name, n, err := f.resealWriter(w, dirs)
		r.note(name, n, err, failed, progress)
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	for _, d := range randoms {
		name, n, err := f.resealRandom(d, dirs)
		r.note(name, n, err, failed, progress)
	}
	return ctx.Err()
}

// rekeyFiles seals anew the files that nobody writes.
func (f *FS) rekeyFiles(ctx context.Context, dirs []string, r *RekeyReport, failed map[string]error, progress func(RekeyReport)) error {
	files, err := f.Files(dirs...)
	if err != nil {
		return err
	}
	for _, file := range files {
		if err := ctx.Err(); err != nil {
			return err
		}
		if file.Kind == 0 || file.Key == r.Key || strings.HasSuffix(file.Path, tmpSuffix) {
			continue
		}
		n, err := f.reseal(file.Path)
		r.note(file.Path, n, err, failed, progress)
	}
	return nil
}

// note puts what became of a file into the report. n is negative where nothing was to be done.
func (r *RekeyReport) note(name string, n int64, err error, failed map[string]error, progress func(RekeyReport)) {
	delete(failed, name)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, errMoved), err == nil && n < 0:
		return // it is gone, or goes on under another name: the next pass finds it
	case err != nil:
		failed[name] = fmt.Errorf("%s: %w", name, err)
	default:
		r.Resealed, r.Bytes = r.Resealed+1, r.Bytes+n
	}
	if progress != nil {
		progress(*r)
	}
}

// count counts the headers in the folders by key.
func (f *FS) count(dirs []string, r *RekeyReport) error {
	files, err := f.Files(dirs...)
	if err != nil {
		return err
	}
	r.Files, r.Done, r.Left = 0, 0, nil
	for _, file := range files {
		switch {
		case strings.HasSuffix(file.Path, tmpSuffix) && file.Key != r.Key, file.Err != nil, !file.Key.IsZero() && file.Key != r.Key:
			r.Left = append(r.Left, file)
		case file.Key.IsZero():
			continue
		default:
			r.Done++
		}
		r.Files++
	}
	r.Pinned = f.pinned(r.Key)
	return nil
}

// pinned counts open files under other keys.
func (f *FS) pinned(key dek.ID) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for id, k := range f.keys {
		if id != key {
			n += k.refs
		}
	}
	return n
}

// errMoved: the name means another file by now.
var errMoved = fmt.Errorf("pebblefs: the file was replaced or removed meanwhile: %w", fault.State)

// reseal makes a new file of the same content under the key of new files and gives it the name. It returns the bytes
// of content, or −1 where the file is somebody's who writes it.
func (f *FS) reseal(name string) (int64, error) {
	f.resealing.Lock()
	defer f.resealing.Unlock()
	path := f.path(name)
	file, err := f.inner.Open(path)
	if err != nil {
		return -1, err
	}
	c, _, err := f.contentOf(name, file)
	if err == errEmpty {
		return -1, file.Close()
	}
	if err != nil {
		return -1, err
	}
	defer func() { _ = c.close() }()
	opened := f.opened.Load()
	if f.written(c.h.file) {
		return -1, nil
	}
	e, err := c.findEnd() // anew: who wrote it a moment ago has closed it, and nobody appends any more
	if err != nil {
		return -1, fmt.Errorf("pebblefs: %s: %w", name, err)
	}
	w, err := f.copyOf(c, e, name, path)
	if err != nil {
		return -1, err
	}
	if err := w.Close(); err != nil {
		return -1, errors.Join(err, f.inner.Remove(path+tmpSuffix))
	}
	f.space.Lock()
	defer f.space.Unlock()
	if f.written(c.h.file) || c.h.kind == Random && f.opened.Load() != opened { // it may have been written in place
		return -1, f.inner.Remove(path + tmpSuffix)
	}
	_, err = f.exchange(c.h.file, name, path)
	return e.size, err
}

// written reports whether somebody writes the file.
func (f *FS) written(file [16]byte) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for w := range f.writers {
		if w.id.Load() == file {
			return true
		}
	}
	for r := range f.randoms {
		if r.id.Load() == file {
			return true
		}
	}
	return false
}

// copyOf writes the content into a temporary file under the key of new files and makes it durable.
func (f *FS) copyOf(c *content, e extent, name, path string) (_ *writer, err error) {
	h, key, err := f.freshHeader(c.h.kind, f.inner.PathBase(name))
	if err != nil {
		return nil, err
	}
	out, err := f.inner.Create(path+tmpSuffix, vfs.WriteCategoryUnspecified)
	if err != nil {
		f.release(key)
		return nil, err
	}
	nc, err := f.newContent(out, h, key)
	if err != nil {
		return nil, errors.Join(err, out.Close(), f.inner.Remove(path+tmpSuffix))
	}
	w := newWriter(f, name, nc)
	if err := w.copyFrom(c, e); err != nil {
		return nil, errors.Join(err, w.Close(), f.inner.Remove(path+tmpSuffix))
	}
	return w, nil
}

// copyFrom appends the content of another file and syncs.
func (w *writer) copyFrom(c *content, e extent) error {
	if err := w.putHead(); err != nil {
		return err
	}
	buf := make([]byte, batch*pageData)
	defer clear(buf)
	var h hint
	for off := int64(0); off < e.size; {
		n, err := c.readAt(buf[:min(int64(len(buf)), e.size-off)], off, &e, &h, 0)
		if err != nil {
			return err
		}
		if _, err := w.Write(buf[:n]); err != nil {
			return err
		}
		off += int64(n)
	}
	return w.Sync()
}

// exchange puts the temporary file into the place of the file that was old, and moves its readers. The caller holds f.space
// alone. Whether it succeeds or not, renamed says that the name means the new file: who writes must go on there.
func (f *FS) exchange(old [16]byte, name, path string) (renamed bool, err error) {
	if err := f.still(old, path); err != nil {
		return false, errors.Join(err, f.inner.Remove(path+tmpSuffix))
	}
	if err := f.inner.Rename(path+tmpSuffix, path); err != nil {
		return false, errors.Join(err, f.inner.Remove(path+tmpSuffix))
	}
	if err := syncDir(f.inner, f.inner.PathDir(path)); err != nil {
		return true, fmt.Errorf("pebblefs: renamed, but the folder could not be synced: %w: %w", fault.OutcomeUnknown, err)
	}
	return true, f.moveReaders(old, name, path)
}

// still fails with errMoved unless the path means that file.
func (f *FS) still(file [16]byte, path string) error {
	in, err := f.inner.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	head := make([]byte, pageSize)
	if _, err := in.ReadAt(head, 0); err != nil {
		return errors.Join(errMoved, err)
	}
	if h, err := parseHeader(head); err != nil || h.file != file {
		return errMoved
	}
	return nil
}

// moveReaders makes the readers of a file read the one that has its name now.
func (f *FS) moveReaders(old [16]byte, name, path string) error {
	f.mu.Lock()
	readers := slices.Collect(maps.Keys(f.readers[old]))
	f.mu.Unlock()
	for _, r := range readers {
		file, err := f.inner.Open(path)
		if err != nil {
			return err
		}
		c, e, err := f.contentOf(name, file)
		if err != nil {
			return err
		}
		if err := r.move(c, e); err != nil {
			return err
		}
	}
	return nil
}

// move makes the reader read c. It takes over c.
func (r *reader) move(c *content, e extent) error {
	r.posMu.Lock()
	defer r.posMu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	old := r.c
	if old == nil {
		return c.close() // closed meanwhile
	}
	r.fs.mu.Lock()
	r.fs.forget(r)
	r.file = c.h.file
	r.fs.remember(r)
	r.fs.mu.Unlock()
	c.once = old.once
	r.c, r.e, r.hint = c, e, hint{}
	return old.close()
}
