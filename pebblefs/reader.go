package pebblefs

import (
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/cofferdb/coffer/internal/fault"
)

// A reader is a file opened for reading.
type reader struct {
	fs   *FS
	name string   // as given to Open
	file [16]byte // zero for an empty file; FS.mu guards it

	mu  sync.RWMutex // guards the next three: reads hold it shared, Rekey, growth and Close alone
	c   *content     // nil for an empty file
	raw vfs.File     // of an empty file
	e   extent

	ahead ahead

	posMu sync.Mutex // guards the next two, and Read
	pos   int64
	hint  hint
}

// A hint is a page that content was found in: where pages are not full the search begins there.
type hint struct {
	page   int64
	offset int64
}

var _ vfs.File = (*reader)(nil)

// newReader takes over file, whatever happens.
func (f *FS) newReader(name string, file vfs.File) (*reader, error) {
	r := &reader{fs: f, name: name}
	c, e, err := f.contentOf(name, file)
	switch {
	case err == errEmpty:
		r.raw = file
	case err != nil:
		return nil, err
	default:
		r.c, r.e, r.file = c, e, c.h.file
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.remember(r)
	return r, nil
}

// remember and forget keep the readers by file. The caller holds mu.
func (f *FS) remember(r *reader) {
	if f.readers[r.file] == nil {
		f.readers[r.file] = map[*reader]struct{}{}
	}
	f.readers[r.file][r] = struct{}{}
}

func (f *FS) forget(r *reader) {
	if rs := f.readers[r.file]; rs != nil {
		if delete(rs, r); len(rs) == 0 {
			delete(f.readers, r.file)
		}
	}
}

// contentOf opens the content of a file and finds its end. It takes over file unless it fails with errEmpty.
func (f *FS) contentOf(name string, file vfs.File) (*content, extent, error) {
	base := f.inner.PathBase(name)
	c, err := f.openContent(file, base)
	if err == errEmpty && !mayBeEmpty(base) {
		err = fmt.Errorf("pebblefs: %s has no byte: %w", base, ErrUnfinished)
	}
	if err != nil {
		if err != errEmpty {
			_ = file.Close()
		}
		return nil, extent{}, err
	}
	e, err := c.findEnd()
	if err != nil {
		_ = c.close()
		return nil, extent{}, fmt.Errorf("pebblefs: %s: %w", base, err)
	}
	return c, e, nil
}

// ReadAt implements io.ReaderAt.
func (r *reader) ReadAt(p []byte, off int64) (int, error) {
	n, err := r.readAt(p, off, nil)
	if err == io.EOF && n < len(p) && r.grow() {
		m, err := r.readAt(p[n:], off+int64(n), nil)
		return n + m, err
	}
	return n, err
}

// Read implements io.Reader.
func (r *reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	r.posMu.Lock()
	defer r.posMu.Unlock()
	n, err := r.readAt(p, r.pos, &r.hint)
	if n == 0 && err == io.EOF && r.grow() {
		n, err = r.readAt(p, r.pos, &r.hint)
	}
	r.pos += int64(n)
	if n > 0 && err == io.EOF {
		err = nil
	}
	return n, err
}

func (r *reader) readAt(p []byte, off int64, h *hint) (int, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.c == nil {
		if r.raw == nil {
			return 0, ErrClosed
		}
		return 0, io.EOF
	}
	n, err := r.c.readAt(p, off, &r.e, h, r.ahead.pages(off, len(p)))
	if err != nil && err != io.EOF {
		err = fmt.Errorf("%s: %w", r.name, err)
	}
	return n, err
}

// grow looks whether a log has more by now, and reports whether it has.
func (r *reader) grow() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.c == nil || r.c.h.kind != Log && r.c.h.kind != Plain {
		return false
	}
	info, err := r.c.file.Stat()
	if err != nil {
		return false
	}
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	e, _, err := r.c.scan(s, r.e.pages, max(0, (info.Size()-headSize)/pageSize))
	if err != nil || e.size == r.e.size {
		return false
	}
	r.e = e
	return true
}

// Stat describes the file: its size is that of the content.
func (r *reader) Stat() (vfs.FileInfo, error) {
	r.grow()
	r.mu.RLock()
	defer r.mu.RUnlock()
	file := r.raw
	if r.c != nil {
		file = r.c.file
	}
	if file == nil {
		return nil, ErrClosed
	}
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	return fileInfo{info, r.fs.inner.PathBase(r.name), r.e.size}, nil
}

// Prefetch asks for the pages that hold the range.
func (r *reader) Prefetch(offset, length int64) error {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.c == nil || length <= 0 || offset < 0 {
		return nil
	}
	from, to := offset/pageData, (offset+length-1)/pageData+1
	return r.c.file.Prefetch(headSize+from*pageSize, (to-from)*pageSize)
}

// Fd returns the descriptor of the file below, for advice about it. What can be read from it is ciphertext.
func (r *reader) Fd() uintptr {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.c == nil {
		return vfs.InvalidFd
	}
	return r.c.file.Fd()
}

// Close closes the file.
func (r *reader) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fs.mu.Lock()
	r.fs.forget(r)
	r.fs.mu.Unlock()
	c, raw := r.c, r.raw
	r.c, r.raw = nil, nil
	switch {
	case c != nil:
		return c.close()
	case raw != nil:
		return raw.Close()
	}
	return ErrClosed
}

// The file is for reading.

func (r *reader) Write([]byte) (int, error)          { return 0, readOnly("write", r.name) }
func (r *reader) WriteAt([]byte, int64) (int, error) { return 0, readOnly("write", r.name) }
func (r *reader) Preallocate(_, _ int64) error       { return readOnly("preallocate", r.name) }
func (r *reader) Sync() error                        { return nil }
func (r *reader) SyncData() error                    { return nil }
func (r *reader) SyncTo(int64) (bool, error)         { return false, nil }

func readOnly(op, name string) error {
	return &os.PathError{Op: op, Path: name, Err: fmt.Errorf("opened for reading: %w", fault.Usage)}
}

// fileInfo is a file below with the size of its content, under its name.
type fileInfo struct {
	vfs.FileInfo
	name string
	size int64
}

func (i fileInfo) Name() string { return i.name }
func (i fileInfo) Size() int64  { return i.size }
