package pebblefs

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
)

// A random is a file whose pages are written in place: page i holds bytes from i·pageData on.
type random struct {
	fs   *FS
	name string
	id   identity // of the file

	mu  sync.Mutex // guards everything below
	c   *content   // nil once closed
	e   extent
	pos int64 // of Read and Write
}

var _ vfs.File = (*random)(nil)

// createRandom writes the head of a new file and makes it durable. It takes over file.
func (f *FS) createRandom(name string, file vfs.File) (vfs.File, error) {
	h, key, err := f.freshHeader(Random, f.inner.PathBase(name))
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	c, err := f.newContent(file, h, key)
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	head := make([]byte, headSize)
	if err = h.put(head, key.lease.Key()); err == nil {
		_, err = file.WriteAt(head, 0)
	}
	if err == nil {
		err = file.Sync()
	}
	if err != nil {
		return nil, errors.Join(err, c.close())
	}
	return f.newRandom(name, c, extent{uniform: true}), nil
}

func (f *FS) newRandom(name string, c *content, e extent) *random {
	r := &random{fs: f, name: name, c: c, e: e}
	r.id.Store(c.h.file)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.randoms[r] = struct{}{}
	f.opened.Add(1)
	return r
}

// WriteAt seals the pages that the range touches anew and writes them in their places. Space between the end
// and off is filled with zeros.
func (r *random) WriteAt(p []byte, off int64) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.writeAt(p, off)
}

// Write is WriteAt behind the last Write or Read.
func (r *random) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n, err := r.writeAt(p, r.pos)
	r.pos += int64(n)
	return n, err
}

func (r *random) writeAt(p []byte, off int64) (int, error) {
	switch {
	case r.c == nil:
		return 0, ErrClosed
	case off < 0 || (off+int64(len(p)))/pageData >= maxPages:
		return 0, fmt.Errorf("pebblefs: %s: offset %d: %w", r.name, off, fault.Usage)
	case r.c.key.lease.Mode() != dek.Active:
		return 0, fmt.Errorf("pebblefs: %s: %w", r.name, dek.ErrDecryptOnly)
	}
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	for r.e.size < off { // a gap is content
		gap := min(off-r.e.size, pageData)
		if err := r.writePage(s, make([]byte, gap), r.e.size); err != nil {
			return 0, err
		}
	}
	n := 0
	for n < len(p) {
		m := min(len(p)-n, int(pageData-(off+int64(n))%pageData))
		if err := r.writePage(s, p[n:n+m], off+int64(n)); err != nil {
			return n, err
		}
		n += m
	}
	return n, nil
}

// writePage writes bytes of one page, or of two where a gap is filled across a border.
func (r *random) writePage(s *scratch, p []byte, off int64) error {
	if most := int(pageData - off%pageData); len(p) > most {
		p = p[:most]
	}
	index := off / pageData
	in := inner{offset: index * pageData}
	page := s.page(0)
	if index < r.e.pages {
		var inners [1]inner
		if _, err := r.c.readGood(s, index, 1, 1, inners[:]); err != nil {
			return err
		}
		in.length = inners[0].length
		clear(page[dataAt+in.length:])
	}
	copy(page[dataAt+off%pageData:], p)
	in.length = max(in.length, int(off%pageData)+len(p))
	in.put(page)
	if err := sealPages(r.c.cipher, s.blocks[:1], page, index); err != nil {
		return err
	}
	if _, err := r.c.file.WriteAt(page, headSize+index*pageSize); err != nil {
		return err
	}
	r.e.pages, r.e.size = max(r.e.pages, index+1), max(r.e.size, in.end())
	return nil
}

// ReadAt implements io.ReaderAt.
func (r *random) ReadAt(p []byte, off int64) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.c == nil {
		return 0, ErrClosed
	}
	return r.c.readAt(p, off, &r.e, nil, 0)
}

// Read implements io.Reader.
func (r *random) Read(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.c == nil {
		return 0, ErrClosed
	}
	n, err := r.c.readAt(p, r.pos, &r.e, nil, 0)
	r.pos += int64(n)
	if n > 0 && err == io.EOF {
		err = nil
	}
	return n, err
}

// Stat describes the file: its size is that of the content.
func (r *random) Stat() (vfs.FileInfo, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.c == nil {
		return nil, ErrClosed
	}
	info, err := r.c.file.Stat()
	if err != nil {
		return nil, err
	}
	return fileInfo{info, r.fs.inner.PathBase(r.name), r.e.size}, nil
}

// with runs do on the file below while it is open.
func (r *random) with(do func(vfs.File) error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.c == nil {
		return ErrClosed
	}
	return do(r.c.file)
}

// Preallocate reserves space below.
func (r *random) Preallocate(offset, length int64) error {
	return r.with(func(f vfs.File) error {
		return f.Preallocate(headSize+offset/pageData*pageSize, (length+pageData-1)/pageData*pageSize)
	})
}

// Sync makes durable what was written.
func (r *random) Sync() error { return r.with(func(f vfs.File) error { return f.Sync() }) }

// SyncData makes durable what was written.
func (r *random) SyncData() error { return r.with(func(f vfs.File) error { return f.SyncData() }) }

// SyncTo asks for what lies below the first length bytes.
func (r *random) SyncTo(length int64) (full bool, err error) {
	err = r.with(func(f vfs.File) (err error) {
		full, err = f.SyncTo(headSize + (length+pageData-1)/pageData*pageSize)
		return err
	})
	return full, err
}

// Prefetch asks for the pages that hold the range.
func (r *random) Prefetch(offset, length int64) error {
	return r.with(func(f vfs.File) error {
		return f.Prefetch(headSize+offset/pageData*pageSize, (length/pageData+2)*pageSize)
	})
}

// Fd returns the descriptor of the file below.
func (r *random) Fd() uintptr {
	fd := vfs.InvalidFd
	_ = r.with(func(f vfs.File) error { fd = f.Fd(); return nil })
	return fd
}

// Close closes the file.
func (r *random) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.c == nil {
		return ErrClosed
	}
	r.fs.mu.Lock()
	delete(r.fs.randoms, r)
	r.fs.mu.Unlock()
	c := r.c
	r.c = nil
	return c.close()
}
