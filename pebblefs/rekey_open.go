package pebblefs

import (
	"errors"
	"fmt"

	"github.com/cofferdb/coffer/internal/fault"
)

// resealWriter makes a new file of what a writer has written, and the writer go on there. It returns the name, and the
// bytes of content, or −1 where there was nothing to do.
func (f *FS) resealWriter(w *writer, dirs []string) (string, int64, error) {
	f.resealing.Lock()
	defer f.resealing.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.c == nil || w.c.h.key == f.Key() || !f.within(w.name, dirs) {
		return w.name, -1, nil
	}
	if w.err != nil {
		return w.name, -1, fmt.Errorf("%w: %w", ErrFailed, w.err)
	}
	if !w.head {
		return w.name, 0, w.rekeyHead()
	}
	path := f.path(w.name)
	file, err := f.inner.Open(path)
	if err != nil {
		return w.name, -1, err
	}
	below := &content{fs: f, file: file, h: w.c.h, cipher: w.c.cipher}
	nw, err := f.copyOf(below, w.e, w.name, path)
	if err = errors.Join(err, file.Close()); err != nil {
		if nw != nil {
			err = errors.Join(err, nw.Close(), f.inner.Remove(path+tmpSuffix))
		}
		return w.name, -1, err
	}
	f.space.Lock()
	defer f.space.Unlock()
	renamed, err := f.exchange(w.c.h.file, w.name, path)
	if !renamed {
		return w.name, -1, errors.Join(err, nw.Close())
	}
	if errors.Is(err, fault.OutcomeUnknown) { // a later sync would promise too much
		_ = w.fail(err)
	}
	return w.name, w.e.size, errors.Join(err, w.adopt(nw))
}

// adopt makes the writer go on in the file of another, with what it has buffered itself.
func (w *writer) adopt(nw *writer) error {
	old := w.c
	w.c, w.head, w.e, w.synced, w.final = nw.c, true, nw.e, nw.synced, nw.final
	w.ahead = headSize + w.e.pages*pageSize
	w.id.Store(w.c.h.file)
	nw.drop()
	return old.close()
}

// rekeyHead changes key and identity of a file of which nothing is below yet.
func (w *writer) rekeyHead() error {
	h, key, err := w.fs.freshHeader(w.c.h.kind, w.fs.inner.PathBase(w.name))
	if err != nil {
		return err
	}
	c, err := w.fs.newContent(w.c.file, h, key)
	if err != nil {
		return err
	}
	w.c.cipher.Close()
	w.fs.release(w.c.key)
	w.c = c
	w.id.Store(h.file)
	return nil
}

// resealRandom is resealWriter for a file that is written in place.
func (f *FS) resealRandom(r *random, dirs []string) (string, int64, error) {
	f.resealing.Lock()
	defer f.resealing.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.c == nil || r.c.h.key == f.Key() || !f.within(r.name, dirs) {
		return r.name, -1, nil
	}
	path := f.path(r.name)
	nw, err := f.copyOf(r.c, r.e, r.name, path)
	if err != nil {
		return r.name, -1, err
	}
	f.space.Lock()
	defer f.space.Unlock()
	renamed, err := f.exchange(r.c.h.file, r.name, path)
	if !renamed {
		return r.name, -1, errors.Join(err, nw.Close())
	}
	old := r.c
	r.c, r.e = nw.c, nw.e
	r.id.Store(r.c.h.file)
	nw.drop()
	if r.e.size != 0 && !r.e.uniform {
		err = errors.Join(err, fmt.Errorf("pebblefs: %s: pages are not in their places: %w", r.name, fault.State))
	}
	return r.name, r.e.size, errors.Join(err, old.close())
}
