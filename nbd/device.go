package nbd

import (
	"github.com/cofferdb/coffer/blockstore"
)

// Device is what a server exports. Its methods are called by many goroutines at
// once, with ranges that lie within Size, and positive lengths.
type Device interface {
	// Size is the length in bytes. It is asked at every request; clients keep what
	// they were told when they connected.
	Size() int64
	// BlockSize is the size of requests, and what they are aligned to, that cost
	// least: a power of two from 512 to 32 MiB.
	BlockSize() int
	// ReadOnly says that every change is refused.
	ReadOnly() bool
	// ReadAt is as of [io.ReaderAt]. It sees every write that has returned.
	ReadAt(p []byte, off int64) (int, error)
	// WriteAt writes all of p. It may return before that is durable, unless durable is set.
	// A write that would pass the end is [ErrPastEnd].
	WriteAt(p []byte, off int64, durable bool) error
	// Zero makes a range read as zeros. With provision, writing there later must
	// not fail for space; else it may become a hole, at little cost. durable is as in WriteAt.
	Zero(off, n int64, provision, durable bool) error
	// Flush makes durable every change that returned before the call.
	Flush() error
}

// Mapper is a Device that knows its holes.
type Mapper interface {
	Device
	// Extent says how many bytes from off on, up to n, are alike: a hole, which
	// reads as zeros, or data. The length is positive.
	Extent(off, n int64) (length int64, hole bool, err error)
}

var _ Mapper = (*volume)(nil)

// volume is a store as a device.
type volume struct {
	s *blockstore.Store
	f *blockstore.File
}

// Volume returns the device of a volume. It is read-only if the store is.
func Volume(s *blockstore.Store) Mapper { return &volume{s, s.File()} }

func (v *volume) Size() int64 { return v.f.Size() }

func (v *volume) BlockSize() int { return v.s.BlockSize() }

func (v *volume) ReadOnly() bool { return v.s.ReadOnly() }

func (v *volume) ReadAt(p []byte, off int64) (int, error) { return v.f.ReadAt(p, off) }

func (v *volume) WriteAt(p []byte, off int64, durable bool) error {
	return v.commit(durable, func(tx *blockstore.Tx) error {
		if off+int64(len(p)) > tx.Size() {
			return ErrPastEnd
		}
		_, err := tx.WriteAt(p, off)
		return err
	})
}

// commit is one transaction.
func (v *volume) commit(durable bool, fn func(*blockstore.Tx) error) error {
	if durable {
		return v.s.Update(fn)
	}
	return v.s.UpdateLazy(fn)
}

// provisionBytes is how much of a range one commit provides with space.
const provisionBytes = 1 << 20

func (v *volume) Zero(off, n int64, provision, durable bool) error {
	if !provision {
		return v.commit(durable, func(tx *blockstore.Tx) error { return tx.Zero(off, n) })
	}
	zeros := make([]byte, min(n, provisionBytes))
	for n > 0 {
		part := zeros[:min(n, int64(len(zeros)))]
		off, n = off+int64(len(part)), n-int64(len(part))
		if err := v.WriteAt(part, off-int64(len(part)), durable && n == 0); err != nil { // the last one makes all durable
			return err
		}
	}
	return nil
}

func (v *volume) Flush() error {
	if v.s.ReadOnly() {
		return nil
	}
	return v.f.Sync()
}

func (v *volume) Extent(off, n int64) (int64, bool, error) { return v.f.Extent(off, n) }
