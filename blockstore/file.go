package blockstore

import (
	"context"
	"io"
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
func (f *File) Sync() error {
	defer f.s.foreground()()
	return f.s.Sync(context.Background())
}

// Truncate sets the length in bytes; what is added reads as zeros.
func (f *File) Truncate(size int64) error {
	return f.s.UpdateLazy(func(tx *Tx) error { return tx.Resize(size) })
}

// ReadAt implements [io.ReaderAt] at any offset. Where a block cannot be read,
// n counts the bytes before it.
func (f *File) ReadAt(p []byte, off int64) (n int, err error) {
	if err := checkRead(off); err != nil || len(p) == 0 {
		return 0, err
	}
	if err := f.s.gate.enter(); err != nil {
		return 0, err
	}
	defer f.s.gate.leave()
	f.s.pacing.Load().note()
	snap := f.s.acquireHead()
	defer f.s.release(snap)
	f.s.mu.RLock()
	size := f.s.over.sizeAt(snap.seq)
	f.s.mu.RUnlock()
	return readBytes(p, off, size, f.s.lay.blockSize, func(b uint64, dst []byte) error { return f.s.readRun(snap.seq, b, dst) })
}

// WriteAt implements [io.WriterAt] at any offset. Writing past the end grows the
// volume. On an error nothing was written.
func (f *File) WriteAt(p []byte, off int64) (int, error) {
	if err := checkWrite(p, off); err != nil || len(p) == 0 {
		return 0, err
	}
	if err := f.s.UpdateLazy(func(tx *Tx) error { _, err := tx.WriteAt(p, off); return err }); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Zero makes n bytes from off on read as zeros, in one lazy commit. Whole
// blocks become holes. What lies behind the end is left out: the length stays.
func (f *File) Zero(off, n int64) error {
	return f.s.UpdateLazy(func(tx *Tx) error { return tx.Zero(off, n) })
}
