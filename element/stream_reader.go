package element

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// A Reader decrypts a stream from its beginning. It gives nothing out of a segment before
// its tag was found right, and io.EOF only behind a segment that was written as the last.
// What it gave out before an error is authentic, and may be the beginning of a longer
// stream. It belongs to one goroutine at a time.
type Reader struct {
	r   io.Reader
	k   *streamKey
	mem []byte // what is left to read, where all of it lies in memory; never written to
	buf []byte // sealed segments, and one byte more, opened in place; or plaintext of those in mem

	segments []segment // room for batch
	batch    []segment // what is in buf and has not been opened, or not given out
	opened   int       // how many of batch are open
	pending  []byte    // what is left of the first of them
	number   uint64    // of the next segment to be read
	more     bool      // buf begins with a byte of the next batch
	err      error     // what comes behind everything that is open
	closed   bool
}

var (
	_ io.ReadCloser = (*Reader)(nil)
	_ io.WriterTo   = (*Reader)(nil)
)

// NewReader reads the header of a stream from r. The key is leased until [Reader.Close], the
// end of the stream, or an error, whichever comes first. context must be the one it was written with.
// A bytes.Reader is taken to its end at once and its bytes are opened from where they lie: leave them as they are meanwhile.
// Errors: as [Cipher.Decrypt]; [ErrUsage] for a value; those of r. A wrong context shows at the first Read.
func NewReader(r io.Reader, c *Cipher, context []byte) (*Reader, error) {
	return NewReaderWith(r, c, context, StreamOptions{})
}

// NewReaderWith is [NewReader] with options, of which only Workers counts.
func NewReaderWith(r io.Reader, c *Cipher, context []byte, o StreamOptions) (*Reader, error) {
	header := make([]byte, streamHeaderSize)
	n, err := io.ReadFull(r, header)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, fmt.Errorf("element: stream: %w", err)
	}
	k, err := c.oldStream(header[:n], context, o)
	if err != nil {
		return nil, err
	}
	return newReader(r, k), nil
}

func newReader(r io.Reader, k *streamKey) *Reader {
	rd := &Reader{r: r, k: k, buf: newBuffer(k.batch()*k.sealedSize() + 1), segments: make([]segment, k.batch())}
	if b, ok := r.(*bytes.Reader); ok { // opened from where it lies: no copy
		var all lastWritten
		_, _ = b.WriteTo(&all)
		rd.mem = all.b
	}
	return rd
}

// A lastWritten remembers what was written last: bytes.Reader writes once, what it has.
type lastWritten struct{ b []byte }

func (w *lastWritten) Write(p []byte) (int, error) {
	w.b = p
	return len(p), nil
}

// Segment returns how many bytes of plaintext a segment holds.
func (r *Reader) Segment() int { return r.k.size }

// Read implements io.Reader. Errors, beside io.EOF: [ErrCut], [ErrTampered], those of what it reads from.
func (r *Reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for len(r.pending) == 0 {
		if err := r.advance(); err != nil {
			return 0, err
		}
		if len(r.pending) > 0 || len(r.batch) == 0 {
			continue
		}
		if r.opened == 0 && len(p) >= len(r.batch[0].plain) {
			if n := r.openInto(p); n > 0 {
				return n, nil
			}
			continue
		}
		r.openAll()
	}
	n := copy(p, r.pending)
	r.pending = r.pending[n:]
	return n, nil
}

// WriteTo writes the rest of the stream to w, without a copy in between.
func (r *Reader) WriteTo(w io.Writer) (done int64, err error) {
	for {
		for len(r.pending) == 0 {
			if err := r.advance(); err == io.EOF {
				return done, nil
			} else if err != nil {
				return done, err
			}
			r.openAll()
		}
		n, err := w.Write(r.pending)
		done += int64(n)
		r.pending = r.pending[n:]
		if err != nil {
			return done, err
		}
	}
}

// advance goes on to the next segment: one that is open becomes pending; else there are some in batch to open.
func (r *Reader) advance() error {
	if r.closed {
		return ErrClosed
	}
	if r.opened > 0 {
		r.pending = r.batch[0].plain
		r.batch, r.opened = r.batch[1:], r.opened-1
		return nil
	}
	if len(r.batch) == 0 && r.err == nil {
		r.fill()
	}
	if len(r.batch) == 0 {
		r.release()
		return r.err
	}
	return nil
}

// openAll opens what is in batch, in place.
func (r *Reader) openAll() {
	if r.opened == 0 && len(r.batch) > 0 {
		r.k.open(r.batch)
		r.opened = r.accept(len(r.batch))
	}
}

// openInto opens as many segments as fit into p and returns how many bytes that is.
func (r *Reader) openInto(p []byte) (done int) {
	count := 0
	for count < len(r.batch) && done+len(r.batch[count].plain) <= len(p) {
		s := &r.batch[count]
		s.plain = p[done:][:len(s.plain)]
		done += len(s.plain)
		count++
	}
	r.k.open(r.batch[:count])
	good := r.accept(count)
	n := 0
	for _, s := range r.batch[:good] {
		n += len(s.plain)
	}
	clear(p[n:done])
	r.batch = r.batch[good:]
	return n
}

// accept returns how many of the first count segments, which were opened, are
// authentic up to the first that is not; with that one the stream ends.
func (r *Reader) accept(count int) int {
	for i := range count {
		s := &r.batch[i]
		final := r.err == io.EOF && i == len(r.batch)-1
		if s.ok && s.last == final {
			continue
		}
		if s.ok && final { // all there is of a longer stream
			r.err = fmt.Errorf("stream, behind segment %d: %w", s.number, ErrCut)
			continue
		}
		r.err = segmentError(r.batch[i].number)
		for j := i; j < len(r.batch); j++ {
			clear(r.batch[j].plain)
		}
		r.batch = r.batch[:i]
		return i
	}
	return count
}

func segmentError(number uint64) error {
	if number == 0 {
		return tampered("stream, segment 0")
	}
	return fmt.Errorf("stream, segment %d; those before it are authentic, so that context and key are right: %w", number, ErrTampered)
}

// fill reads a batch and one byte more, which tells whether it has the last segment.
func (r *Reader) fill() {
	whole := len(r.buf) - 1
	if r.mem != nil {
		b := r.mem[:min(len(r.mem), whole)]
		if r.mem = r.mem[len(b):]; len(r.mem) == 0 {
			r.err = io.EOF
		}
		r.split(b, r.buf)
		return
	}
	have := 0
	if r.more {
		r.buf[0] = r.buf[whole]
		have = 1
	}
	n, err := io.ReadFull(r.r, r.buf[have:])
	n += have
	switch err {
	case nil:
		r.more = true
		n--
	case io.EOF, io.ErrUnexpectedEOF:
		r.err = io.EOF
	default:
		r.err = fmt.Errorf("element: stream: %w", err)
		n = max(0, n-1) / r.k.sealedSize() * r.k.sealedSize() // those that something follows are good all the same
	}
	r.split(r.buf[:n], nil)
}

// split makes the batch of the sealed segments in b, which are opened in place, or into room.
func (r *Reader) split(b, room []byte) {
	r.batch = r.segments[:0]
	for len(b) > 0 || r.err == io.EOF && r.number == 0 {
		n := min(len(b), r.k.sealedSize())
		if n < segmentHeader || n == segmentHeader && r.number > 0 {
			r.err = fmt.Errorf("stream, segment %d: %w", r.number, ErrCut)
			return
		}
		if r.number == maxSegments {
			r.err = fmt.Errorf("stream: %w: more segments than a stream has", ErrDamaged)
			return
		}
		s := segment{number: r.number, sealed: b[:n:n], plain: b[segmentHeader:n:n]}
		if room != nil {
			s.plain = room[len(r.batch)*r.k.size:][:n-segmentHeader]
		}
		r.batch = append(r.batch, s)
		r.number++
		b = b[n:]
	}
}

// release wipes what is in memory and gives the key back.
func (r *Reader) release() {
	if r.buf != nil {
		freeBuffer(r.buf)
		r.buf, r.mem = nil, nil
		r.k.close()
	}
}

// Close gives the key back. It may be called again, and before the end. It does not close what is read from.
func (r *Reader) Close() error {
	r.closed = true
	r.batch, r.opened, r.pending = nil, 0, nil
	r.release()
	return nil
}
