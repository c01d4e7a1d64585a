package element

import (
	"fmt"
	"io"

	"github.com/cofferdb/coffer/dek"
)

// A Writer encrypts a stream, segment by segment, on several goroutines where there is
// enough to do. It must be closed: only [Writer.Close] writes the last segment, and a stream
// without it is refused by every reader. It belongs to one goroutine at a time.
type Writer struct {
	w     io.Writer
	k     *streamKey
	buf   []byte // a batch of sealed segments; the plaintext of each lies where its ciphertext will
	batch []segment
	n     int    // plaintext bytes in buf
	next  uint64 // number of the first segment in buf
	err   error  // of the first failure, or ErrClosed
}

var (
	_ io.WriteCloser = (*Writer)(nil)
	_ io.ReaderFrom  = (*Writer)(nil)
)

// NewWriter begins a stream under the key of that ID, bound to context, and writes its
// header to w. The key is leased until Close. Errors: as [Cipher.Encrypt]; those of w.
func NewWriter(w io.Writer, c *Cipher, key dek.ID, context []byte) (*Writer, error) {
	return NewWriterWith(w, c, key, context, StreamOptions{})
}

// NewWriterWith is [NewWriter] with options.
func NewWriterWith(w io.Writer, c *Cipher, key dek.ID, context []byte, o StreamOptions) (*Writer, error) {
	k, err := c.newStream(key, context, o)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(k.header[:]); err != nil {
		k.close()
		return nil, fmt.Errorf("element: stream: %w", err)
	}
	n := k.batch()
	return &Writer{w: w, k: k, buf: newBuffer(n * k.sealedSize()), batch: make([]segment, n)}, nil
}

// Write encrypts p. What is written comes out in whole segments, the last of them when the stream is closed.
func (w *Writer) Write(p []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	for rest := p; len(rest) > 0; {
		have, more := w.n/w.k.size, (len(rest)-1)/w.k.size // whole segments, none of which is the last
		take := min(more, len(w.batch)-have)
		if w.n%w.k.size == 0 && (have == len(w.batch) || take > 0 && have+take > len(w.batch)/2) {
			if err := w.flush(rest[:take*w.k.size], false); err != nil {
				return len(p) - len(rest), err
			}
			rest = rest[take*w.k.size:]
			continue
		}
		n := copy(w.room(), rest)
		w.n += n
		rest = rest[n:]
	}
	return len(p), nil
}

// ReadFrom encrypts everything that r has, without a copy in between.
func (w *Writer) ReadFrom(r io.Reader) (done int64, err error) {
	var more [1]byte // whether a batch that is full is the end is known from one byte more
	defer clear(more[:])
	for w.err == nil {
		room := w.room()
		full := len(room) == 0
		if full {
			room = more[:]
		}
		n, err := io.ReadFull(r, room)
		done += int64(n)
		if full && n > 0 {
			if err := w.flush(nil, false); err != nil {
				return done, err
			}
			copy(w.room(), more[:])
		}
		w.n += n
		switch err {
		case nil:
		case io.EOF, io.ErrUnexpectedEOF:
			return done, nil
		default:
			return done, err
		}
	}
	return done, w.err
}

// room returns what is free of the segment in buf that is being filled.
func (w *Writer) room() []byte {
	i, at := w.n/w.k.size, w.n%w.k.size
	if i == len(w.batch) {
		return nil
	}
	begin := i*w.k.sealedSize() + segmentHeader
	return w.buf[begin+at : begin+w.k.size]
}

// flush seals what is in buf and then plain, whole segments, and writes them. Only the
// last flush may end with a part of a segment, or with none.
func (w *Writer) flush(plain []byte, last bool) error {
	in := (w.n + w.k.size - 1) / w.k.size
	count := in + len(plain)/w.k.size
	if last {
		count = max(1, count)
	}
	if w.next+uint64(count) > maxSegments {
		w.fail(usagef("a stream has at most %d segments", uint64(maxSegments)))
		return w.err
	}
	end := 0
	for i := range count {
		begin, length := i*w.k.sealedSize(), w.k.size
		if i >= in-1 && len(plain) == 0 {
			length = w.n - i*w.k.size
		}
		end = begin + segmentHeader + length
		s := segment{number: w.next + uint64(i), last: last && i == count-1, sealed: w.buf[begin:end]}
		s.plain = s.sealed[segmentHeader:]
		if i >= in && len(plain) > 0 {
			s.plain = plain[(i-in)*w.k.size:][:length]
		}
		w.batch[i] = s
	}
	w.k.seal(w.batch[:count])
	clear(w.batch[:count])
	w.next, w.n = w.next+uint64(count), 0
	if _, err := w.w.Write(w.buf[:end]); err != nil {
		w.fail(fmt.Errorf("element: stream: %w", err))
		return w.err
	}
	return nil
}

// fail ends the stream without its end.
func (w *Writer) fail(err error) {
	w.err = err
	freeBuffer(w.buf)
	w.buf = nil
	w.k.close()
}

// Close writes the last segment and gives the key back. It does not close what is
// written to. After a failure it returns that failure; a second call does nothing.
func (w *Writer) Close() error {
	if w.err == ErrClosed {
		return nil
	}
	if w.err != nil {
		return w.err
	}
	if err := w.flush(nil, true); err != nil {
		return err
	}
	w.fail(ErrClosed)
	return nil
}

// Abort gives the key back and writes nothing more: what was written is no stream. After
// Close it does nothing.
func (w *Writer) Abort() {
	if w.err == nil {
		w.fail(ErrClosed)
	}
}
