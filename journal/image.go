package journal

import (
	"bytes"
	"os"

	"github.com/cofferdb/coffer/internal/fsx"
)

// image reads one slot's bytes through a window. It opens the file when it has
// to read, and keeps it open until it is closed; it may be read again then.
type image struct {
	slot  *found
	size  int64
	file  fsx.File // nil: not open
	buf   []byte   // the window
	start int64    // its place in the file
}

func imagesOf(slots []*found) []*image {
	images := make([]*image, len(slots))
	for i, s := range slots {
		images[i] = &image{slot: s, size: s.size}
	}
	return images
}

// close closes the file and drops the window.
func (m *image) close() {
	if m.file != nil {
		_ = m.file.Close() // it was read only
	}
	m.file, m.buf = nil, nil
}

const windowSize = 256 << 10

// read returns up to n bytes at off, fewer where the file ends. They are valid until the next read.
func (m *image) read(off int64, n int) ([]byte, error) {
	if n = int(min(int64(n), m.size-off)); n <= 0 {
		return nil, nil
	}
	if off < m.start || off+int64(n) > m.start+int64(len(m.buf)) {
		if err := m.load(off, n); err != nil {
			return nil, err
		}
	}
	from := int(off - m.start)
	if from >= len(m.buf) {
		return nil, nil
	}
	return m.buf[from:min(from+n, len(m.buf))], nil
}

func (m *image) load(off int64, n int) error {
	if m.file == nil {
		f, err := m.slot.fsys.Open(m.slot.path, os.O_RDONLY, 0)
		if err != nil {
			return err
		}
		m.file = f
	}
	want := int(min(int64(max(n, windowSize)), m.size-off))
	if cap(m.buf) < want {
		m.buf = make([]byte, want)
	}
	m.buf = m.buf[:want]
	got, err := readFull(m.file, m.buf, off)
	m.buf, m.start = m.buf[:got], off
	return err
}

// each calls f with windows that cover the file from off to limit; each overlaps the next by overlap bytes.
func (m *image) each(off, limit int64, overlap int, f func(b []byte, off int64) (more bool, err error)) error {
	limit = min(limit, m.size)
	for off < limit {
		b, err := m.read(off, int(min(windowSize, limit-off)))
		if err != nil {
			return err
		}
		if len(b) == 0 {
			return nil
		}
		more, err := f(b, off)
		if err != nil || !more || off+int64(len(b)) >= limit {
			return err
		}
		off += int64(max(len(b)-overlap, 1))
	}
	return nil
}

// nonZero counts the bytes that are not zero from off to limit.
func (m *image) nonZero(off, limit int64) (n int64, err error) {
	err = m.each(off, limit, 0, func(b []byte, _ int64) (bool, error) {
		n += nonZero(b)
		return true, nil
	})
	return n, err
}

// traces calls f for every place from off to limit where a frame header of the
// segment may begin, aligned or not, with the offset. f may not read from m.
func (m *image) traces(segment [16]byte, off, limit int64, f func(head []byte, off int64) (more bool)) error {
	return m.each(off, limit, frameHeaderSize-1, func(b []byte, at int64) (bool, error) {
		for i := 0; ; i++ {
			n := bytes.Index(b[i:], []byte(frameMagic))
			if n < 0 {
				return true, nil
			}
			i += n
			if isFrameOf(b[i:], segment) && !f(b[i:i+frameHeaderSize], at+int64(i)) {
				return false, nil
			}
		}
	})
}
