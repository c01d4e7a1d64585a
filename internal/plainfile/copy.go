package plainfile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
)

const (
	// chunkBytes is read, compared and written at a time: a multiple of every block size.
	chunkBytes = 1 << 20
	// syncBytes are written between two syncs, so that an interrupted run
	// leaves most of what it did.
	syncBytes = 32 << 20
)

var (
	// errShort: the old file ended before its size. It is being changed.
	errShort = errors.New("plainfile: the file became shorter")
	// errRebuild: the half-built file cannot be read; a new one is begun.
	errRebuild = errors.New("plainfile: the half-built file cannot be read")
)

// target is a new file in the making.
type target interface {
	io.ReaderAt
	io.WriterAt
	Sync() error
}

// transfer copies the old content into the new file.
type transfer struct {
	from io.ReaderAt
	to   target
	size int64 // of the content, bytes
	unit int   // what is compared and written as one, bytes; divides chunkBytes
	// mend reads the new file first and writes only what differs.
	mend bool
	// zeros writes units of zeros even where the new file reads as zeros
	// already: in a volume those may be holes, which tell where zeros are.
	zeros bool
	// progress is called after each chunk.
	progress func(done int64)
}

// run makes the new content durable and returns how many bytes it wrote.
// Errors: errShort, errRebuild, the context's, and those of writing.
func (t *transfer) run(ctx context.Context) (written int64, err error) {
	src, dst := make([]byte, chunkBytes), make([]byte, chunkBytes)
	var unsynced int64
	for off := int64(0); off < t.size; off += chunkBytes {
		if err := ctx.Err(); err != nil {
			return written, errors.Join(err, t.to.Sync())
		}
		n := int(min(chunkBytes, t.size-off))
		if err := readFull(t.from, src[:n], off); err != nil {
			return written, err
		}
		w, err := t.chunk(src[:n], dst[:n], off)
		written, unsynced = written+w, unsynced+w
		if err != nil {
			return written, err
		}
		if unsynced >= syncBytes {
			unsynced = 0
			if err := t.to.Sync(); err != nil {
				return written, err
			}
		}
		t.progress(off + int64(n))
	}
	return written, t.to.Sync()
}

// chunk writes what differs of one chunk: runs of units, each run at once.
func (t *transfer) chunk(src, dst []byte, off int64) (written int64, err error) {
	if !t.mend {
		_, err := t.to.WriteAt(src, off)
		return int64(len(src)), err
	}
	if err := readFull(t.to, dst, off); err != nil {
		return 0, fmt.Errorf("%w: %w", errRebuild, err)
	}
	for begin := 0; begin < len(src); {
		end := min(begin+t.unit, len(src))
		if t.keep(src[begin:end], dst[begin:end]) {
			begin = end
			continue
		}
		for end < len(src) {
			next := min(end+t.unit, len(src))
			if t.keep(src[end:next], dst[end:next]) {
				break
			}
			end = next
		}
		if _, err := t.to.WriteAt(src[begin:end], off+int64(begin)); err != nil {
			return written, err
		}
		written += int64(end - begin)
		begin = end
	}
	return written, nil
}

// keep says whether a unit of the new file can stay.
func (t *transfer) keep(src, dst []byte) bool {
	return bytes.Equal(src, dst) && !(t.zeros && allZero(src))
}

// equal compares the whole of both. The old content ending early is "not equal".
func equal(ctx context.Context, from, to io.ReaderAt, size int64, progress func(done int64)) (bool, error) {
	a, b := make([]byte, chunkBytes), make([]byte, chunkBytes)
	for off := int64(0); off < size; off += chunkBytes {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		n := int(min(chunkBytes, size-off))
		switch err := readFull(from, a[:n], off); {
		case errors.Is(err, errShort):
			return false, nil
		case err != nil:
			return false, err
		}
		if err := readFull(to, b[:n], off); err != nil {
			return false, fmt.Errorf("plainfile: reading back: %w", err)
		}
		if !bytes.Equal(a[:n], b[:n]) {
			return false, nil
		}
		progress(off + int64(n))
	}
	return true, nil
}

// readFull fills p or fails; an early end is errShort.
func readFull(r io.ReaderAt, p []byte, off int64) error {
	n, err := r.ReadAt(p, off)
	switch {
	case n == len(p):
		return nil
	case err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return errShort
	}
	return fmt.Errorf("plainfile: read: %w", err)
}

func allZero(p []byte) bool {
	for len(p) >= len(zeros) {
		if !bytes.Equal(p[:len(zeros)], zeros[:]) {
			return false
		}
		p = p[len(zeros):]
	}
	return bytes.Equal(p, zeros[:len(p)])
}

var zeros [minBlockSize]byte
