package pebblefs

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/seal"
)

// A writer is a file being written from its beginning to its end.
type writer struct {
	fs *FS
	id identity // of the file

	mu      sync.Mutex // guards everything below
	name    string
	c       *content // nil once closed
	err     error    // why nothing can be written any more
	buf     *wbuf
	head    bool   // the head of the file has been written below
	fill    int    // bytes of content in the last page of the buffer
	pages   int    // pages of the buffer in use
	e       extent // what was written below
	synced  int64  // pages that are durable
	final   bool   // the last page written says that the table is complete
	ahead   int64  // bytes below for which space was asked
	aheadBy int64  // how many at a time
}

var _ vfs.File = (*writer)(nil)

// An identity is that of the file that somebody writes; Rekey changes it.
type identity struct{ p atomic.Pointer[[16]byte] }

func (i *identity) Store(id [16]byte) { i.p.Store(&id) }
func (i *identity) Load() [16]byte    { return *i.p.Load() }

// wbuf is the head of a file and a batch of pages.
type wbuf struct {
	head   [headSize]byte // used until it is written
	body   [batchSize]byte
	blocks [batch]seal.Block
}

var wbufs = sync.Pool{New: func() any { return new(wbuf) }}

// newWriter takes over c. Nobody else knows the writer until it is registered.
func newWriter(f *FS, name string, c *content) *writer {
	w := &writer{fs: f, name: name, c: c, buf: wbufs.Get().(*wbuf)}
	w.id.Store(c.h.file)
	return w
}

// register makes the writer known to Rekey. The caller holds f.space shared, since the file had its name.
func (f *FS) register(w *writer) *writer {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.writers[w] = struct{}{}
	return w
}

// Write implements io.Writer. What was written to a log is in the file below when it returns.
func (w *writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.usable(); err != nil {
		return 0, err
	}
	n := 0
	for n < len(p) {
		if w.pages == 0 || w.fill == pageData {
			if w.pages == batch {
				if err := w.flush(0); err != nil {
					return n, err
				}
			}
			w.pages, w.fill = w.pages+1, 0
		}
		page := w.buf.body[(w.pages-1)*pageSize:][:pageSize]
		m := copy(page[dataAt+w.fill:], p[n:])
		w.fill, n = w.fill+m, n+m
	}
	if w.c.h.kind == Log && w.pages > 0 {
		return n, w.flush(0)
	}
	return n, nil
}

func (w *writer) usable() error {
	switch {
	case w.c == nil:
		return fmt.Errorf("%s: %w", w.name, ErrClosed)
	case w.err != nil:
		return fmt.Errorf("%s: %w: %w", w.name, ErrFailed, w.err)
	}
	return nil
}

// fail remembers an error: what lies below is not known any more.
func (w *writer) fail(err error) error {
	if err != nil && w.err == nil {
		w.err = err
	}
	return err
}

// flush seals the pages of the buffer and writes them, with the head before them if need be. The last page
// gets flags.
func (w *writer) flush(flags uint8) error {
	if w.e.pages+int64(w.pages) > maxPages {
		return w.fail(fmt.Errorf("pebblefs: %s: a file has at most %d pages: %w", w.name, int64(maxPages), fault.State))
	}
	for i := range w.pages {
		in := inner{offset: w.e.size, synced: w.synced, length: pageData}
		if i == w.pages-1 {
			in.length, in.flags = w.fill, flags
		}
		in.put(w.buf.body[i*pageSize:][:pageSize])
		w.e.extend(in)
	}
	body := w.buf.body[:w.pages*pageSize]
	if err := sealPages(w.c.cipher, w.buf.blocks[:w.pages], body, w.e.pages-int64(w.pages)); err != nil {
		return w.fail(err)
	}
	w.final = flags&flagFinal != 0
	w.pages, w.fill = 0, 0
	w.reserve()
	if err := w.putHead(); err != nil {
		return err
	}
	return w.below(body)
}

// putHead writes the head of the file if it is not there yet.
func (w *writer) putHead() error {
	if w.head {
		return nil
	}
	if err := w.c.h.put(w.buf.head[:], w.c.key.lease.Key()); err != nil {
		return w.fail(err)
	}
	w.head = true
	return w.below(w.buf.head[:])
}

func (w *writer) below(b []byte) error {
	n, err := w.c.file.Write(b)
	if err == nil && n < len(b) {
		err = errors.New("short write")
	}
	return w.fail(err)
}

// finish flushes what there is. A table says with its last page that it is complete.
func (w *writer) finish() error {
	flags := uint8(0)
	if w.c.h.kind == Table {
		flags = flagFinal
	}
	if w.pages == 0 && (flags == 0 || w.final) {
		return nil
	}
	w.pages = max(1, w.pages)
	return w.flush(flags)
}

// end flushes what there is, and says of a log or a plain file that it was closed here. A plain file in which nothing
// was written stays a file without a byte.
func (w *writer) end() error {
	if w.c.h.kind == Table || w.c.h.kind == Random {
		return w.finish()
	}
	if !w.head && w.pages == 0 {
		return nil
	}
	if w.pages == 0 {
		w.pages, w.fill = 1, 0
	}
	return w.flush(flagEnd)
}

// Sync makes durable what was written.
func (w *writer) Sync() error { return w.sync(func(f vfs.File) error { return f.Sync() }) }

// SyncData makes durable what was written, and the size.
func (w *writer) SyncData() error { return w.sync(func(f vfs.File) error { return f.SyncData() }) }

func (w *writer) sync(sync func(vfs.File) error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.usable(); err != nil {
		return err
	}
	if err := w.finish(); err != nil {
		return err
	}
	if err := w.fail(sync(w.c.file)); err != nil {
		return err
	}
	w.synced = w.e.pages
	return nil
}

// SyncTo asks for what lies below the first length bytes. It promises nothing for what is still buffered.
func (w *writer) SyncTo(length int64) (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.usable(); err != nil || !w.head {
		return false, err
	}
	full, err := w.c.file.SyncTo(headSize + min(length/pageData, w.e.pages)*pageSize)
	if err != nil {
		return false, w.fail(err)
	}
	if full {
		w.synced = w.e.pages
	}
	return full && w.pages == 0, nil
}

// Preallocate reserves space below for the pages of the range; a log, whose pages are not all full, asks for as
// much again whenever it comes to the end of it.
func (w *writer) Preallocate(offset, length int64) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.usable(); err != nil {
		return err
	}
	w.aheadBy = max(w.aheadBy, (length+pageData-1)/pageData*pageSize)
	return w.preallocate(headSize + (offset+length+pageData-1)/pageData*pageSize)
}

func (w *writer) preallocate(to int64) error {
	if to <= w.ahead {
		return nil
	}
	from := w.ahead
	w.ahead = to
	return w.c.file.Preallocate(from, to-from)
}

// reserve goes on with preallocation where pages that are not full ran ahead of it.
func (w *writer) reserve() {
	if to := headSize + w.e.pages*pageSize; w.aheadBy > 0 && to > w.ahead {
		_ = w.preallocate(to + w.aheadBy) // it is a help, and no promise
	}
}

// Close writes what is buffered and closes the file. It makes nothing durable.
func (w *writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.c == nil {
		return ErrClosed
	}
	err := w.usable()
	if err == nil {
		err = w.end()
	}
	w.fs.mu.Lock()
	delete(w.fs.writers, w)
	w.fs.mu.Unlock()
	err = errors.Join(err, w.c.close())
	w.c = nil
	w.drop()
	return err
}

// drop gives the buffer back. It may hold plaintext of a page that was not sealed.
func (w *writer) drop() {
	clear(w.buf.body[:])
	wbufs.Put(w.buf)
	w.buf = nil
}

// Stat describes the file: its size is that of the content, with what is buffered.
func (w *writer) Stat() (vfs.FileInfo, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.c == nil {
		return nil, ErrClosed
	}
	info, err := w.c.file.Stat()
	if err != nil {
		return nil, err
	}
	size := w.e.size
	if w.pages > 0 {
		size += int64(w.pages-1)*pageData + int64(w.fill)
	}
	return fileInfo{info, w.fs.inner.PathBase(w.name), size}, nil
}

// Fd returns the descriptor of the file below, for advice about it. What can be read from it is ciphertext.
func (w *writer) Fd() uintptr {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.c == nil {
		return vfs.InvalidFd
	}
	return w.c.file.Fd()
}

// A file is written or read: what was written is read through another handle.

func (w *writer) Read([]byte) (int, error)            { return 0, writeOnly(w.name) }
func (w *writer) ReadAt([]byte, int64) (int, error)   { return 0, writeOnly(w.name) }
func (w *writer) WriteAt([]byte, int64) (int, error)  { return 0, writeOnly(w.name) }
func (w *writer) Prefetch(offset, length int64) error { return nil }

func writeOnly(name string) error {
	return fmt.Errorf("pebblefs: %s is being appended to and can be read through another handle: %w", name, fault.Unsupported)
}
