package blockstore

import (
	"context"
	"fmt"
	"io"

	"github.com/cofferdb/coffer/internal/fault"
)

// File is a volume seen as a file of bytes. Writes are lazy commits, one for
// each call and atomic; Sync makes them durable. Reads see every write before
// them. It may be used by many goroutines.
type File struct{ s *Store }

var (
	_ io.ReaderAt = (*File)(nil)
	_ io.WriterAt = (*File)(nil)
)

// File returns the byte view of the volume.
func (s *Store) File() *File { return &File{s} }

// Size returns the length in bytes.
func (f *File) Size() int64 {
	f.s.mu.RLock()
	defer f.s.mu.RUnlock()
	return f.s.over.sizeAt(f.head())
}

// head is what reads see: every write so far, or, after a failed sync, only what is durable.
func (f *File) head() uint64 {
	if f.s.failure.Load() != nil {
		return f.s.durableSeq()
	}
	return latest
}

// Sync makes every write so far durable.
func (f *File) Sync() error { return f.s.Sync(context.Background()) }

// Truncate sets the length in bytes; what is added reads as zeros.
func (f *File) Truncate(size int64) error {
	return f.s.UpdateLazy(func(tx *Tx) error { return tx.Resize(size) })
}

// ReadAt implements [io.ReaderAt] at any offset.
func (f *File) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("blockstore: read at negative offset %d: %w", off, fault.Usage)
	}
	if err := f.s.gate.enter(); err != nil {
		return 0, err
	}
	defer f.s.gate.leave()
	snap := f.s.acquireHead()
	defer f.s.release(snap)
	f.s.mu.RLock()
	size := f.s.over.sizeAt(snap.seq)
	f.s.mu.RUnlock()
	if off >= size {
		return 0, io.EOF
	}
	want := min(int64(len(p)), size-off)
	if err := f.read(snap.seq, p[:want], off); err != nil {
		return 0, err
	}
	if want < int64(len(p)) {
		return int(want), io.EOF
	}
	return int(want), nil
}

// read reads whole blocks straight into p and the ends through a block of its own.
func (f *File) read(snap uint64, p []byte, off int64) error {
	bs := f.s.lay.blockSize
	for len(p) > 0 {
		b, in := uint64(off/bs), off%bs
		var n int64
		if in == 0 && int64(len(p)) >= bs {
			n = int64(len(p)) / bs * bs
			if err := f.s.readRun(snap, b, p[:n]); err != nil {
				return err
			}
		} else {
			page := make([]byte, bs)
			if err := f.s.readRun(snap, b, page); err != nil {
				return err
			}
			n = int64(copy(p, page[in:]))
		}
		p, off = p[n:], off+n
	}
	return nil
}

// WriteAt implements [io.WriterAt] at any offset. Writing past the end grows the volume.
func (f *File) WriteAt(p []byte, off int64) (int, error) {
	if off < 0 || off+int64(len(p)) < off {
		return 0, fmt.Errorf("blockstore: write at offset %d: %w", off, fault.Usage)
	}
	if len(p) == 0 {
		return 0, nil
	}
	err := f.s.UpdateLazy(func(tx *Tx) error { return tx.writeBytes(p, off) })
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

// writeBytes writes at any offset, reading the blocks it covers in part.
func (tx *Tx) writeBytes(p []byte, off int64) error {
	if end := off + int64(len(p)); end > tx.Size() {
		if err := tx.Resize(end); err != nil {
			return err
		}
	}
	bs := tx.s.lay.blockSize
	for len(p) > 0 {
		b, in := uint64(off/bs), off%bs
		n := min(bs-in, int64(len(p)))
		page := p[:n]
		if n < bs {
			whole, err := tx.Read(b)
			if err != nil {
				return err
			}
			copy(whole[in:], page)
			page = whole
		}
		if err := tx.Write(b, page); err != nil {
			return err
		}
		p, off = p[n:], off+n
	}
	return nil
}
