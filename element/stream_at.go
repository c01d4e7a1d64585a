package element

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/cofferdb/coffer/internal/secmem"
)

// A ReaderAt decrypts any part of a stream without reading the rest: whole segments, of
// which nothing is given out before its tag was found right. ReadAt may be used by many
// goroutines at once; Read and Seek share one position and belong to one at a time.
type ReaderAt struct {
	src      io.ReaderAt
	k        *streamKey
	size     int64  // of the plaintext, authentic
	segments uint64 // how many there are
	tail     int    // plaintext bytes of the last one
	position int64  // of Read

	life   sync.RWMutex // held shared by ReadAt, alone by Close
	closed bool

	mu     sync.Mutex // guards kept and number
	kept   *[]byte    // the segment that was opened last for a part of it, in place; nil: none
	number uint64     // of kept

	small sync.Pool // of *[]byte, room for a sealed segment, without plaintext
	large sync.Pool // of *[]byte, room for a batch of them
}

var (
	_ io.ReaderAt       = (*ReaderAt)(nil)
	_ io.ReadSeekCloser = (*ReaderAt)(nil)
)

// OpenReaderAt opens a stream of size bytes, header included, in src. It reads the header and
// the last segment, so that from then on the length is authentic: a stream that was cut
// is refused here. The key is leased until [ReaderAt.Close]. context must be the
// one it was written with. Errors: as [NewReader], [ErrCut], [ErrTampered].
func OpenReaderAt(src io.ReaderAt, size int64, c *Cipher, context []byte) (*ReaderAt, error) {
	return OpenReaderAtWith(src, size, c, context, StreamOptions{})
}

// OpenReaderAtWith is [OpenReaderAt] with options, of which only Workers counts.
func OpenReaderAtWith(src io.ReaderAt, size int64, c *Cipher, context []byte, o StreamOptions) (*ReaderAt, error) {
	header := make([]byte, max(0, min(size, streamHeaderSize)))
	if err := readFull(src, header, 0); err != nil {
		return nil, err
	}
	k, err := c.oldStream(header, context, o)
	if err != nil {
		return nil, err
	}
	r := &ReaderAt{src: src, k: k}
	r.small.New = func() any { b := make([]byte, k.sealedSize()); return &b }
	r.large.New = func() any { b := make([]byte, k.batch()*k.sealedSize()); return &b }
	if err := r.measure(size - streamHeaderSize); err != nil {
		k.close()
		return nil, err
	}
	return r, nil
}

// readFull fills b from an offset; that the end comes first is [ErrCut].
func readFull(src io.ReaderAt, b []byte, offset int64) error {
	n, err := src.ReadAt(b, offset)
	switch {
	case n == len(b):
		return nil
	case errors.Is(err, io.EOF):
		return ErrCut
	case err == nil:
		err = io.ErrNoProgress
	}
	return fmt.Errorf("element: stream: %w", err)
}

// measure finds the last of the segments in so many bytes, and opens it.
func (r *ReaderAt) measure(body int64) error {
	sealed := int64(r.k.sealedSize())
	count := (body + sealed - 1) / sealed
	if count > maxSegments {
		return fmt.Errorf("stream: %w: more segments than a stream has", ErrDamaged)
	}
	last := body - (count-1)*sealed
	if body < segmentHeader || last < segmentHeader || last == segmentHeader && count > 1 {
		return fmt.Errorf("stream: %w", ErrCut)
	}
	r.segments, r.tail = uint64(count), int(last)-segmentHeader
	r.size = (count-1)*int64(r.k.size) + int64(r.tail)
	buf, ends, err := r.openOne(r.segments - 1)
	if err == nil && !ends {
		r.give(buf)
		err = fmt.Errorf("stream, behind segment %d: %w", r.segments-1, ErrCut)
	}
	if err != nil {
		return err
	}
	r.kept, r.number = buf, r.segments-1
	return nil
}

// openOne opens a segment in place, in a buffer that is the caller's to give back, and says whether it is
// the last of its stream.
func (r *ReaderAt) openOne(number uint64) (_ *[]byte, last bool, err error) {
	buf := r.small.Get().(*[]byte)
	sealed := (*buf)[:r.length(number)+segmentHeader]
	err = readFull(r.src, sealed, streamHeaderSize+int64(number)*int64(r.k.sealedSize()))
	if err == nil {
		s := [1]segment{{number: number, sealed: sealed, plain: sealed[segmentHeader:]}}
		r.k.openPart(s[:])
		last = s[0].last
		if !s[0].ok || last && number != r.segments-1 {
			err = tampered("stream, segment %d", number)
		}
	}
	if err != nil {
		r.give(buf)
		return nil, false, err
	}
	return buf, last, nil
}

// give wipes and returns a buffer for one segment.
func (r *ReaderAt) give(buf *[]byte) {
	if buf != nil {
		secmem.Wipe(*buf)
		r.small.Put(buf)
	}
}

// Size returns the length of the plaintext. It is authentic.
func (r *ReaderAt) Size() int64 { return r.size }

// length returns how many bytes of plaintext a segment has.
func (r *ReaderAt) length(number uint64) int {
	if number == r.segments-1 {
		return r.tail
	}
	return r.k.size
}

// ReadAt implements io.ReaderAt. Errors, beside io.EOF: [ErrTampered], [ErrClosed], those
// of what it reads from. The bytes before an error are authentic.
func (r *ReaderAt) ReadAt(p []byte, offset int64) (done int, err error) {
	r.life.RLock()
	defer r.life.RUnlock()
	switch {
	case r.closed:
		return 0, ErrClosed
	case offset < 0:
		return 0, usagef("a negative offset")
	}
	for done < len(p) && err == nil {
		at := offset + int64(done)
		if at >= r.size {
			return done, io.EOF
		}
		number, within := uint64(at)/uint64(r.k.size), int(at%int64(r.k.size))
		n := 0
		if within == 0 && len(p)-done >= r.length(number) {
			n, err = r.whole(number, p[done:])
		} else {
			n, err = r.part(number, within, p[done:])
		}
		done += n
	}
	return done, err
}

// part copies what a segment has from an offset on to p.
func (r *ReaderAt) part(number uint64, within int, p []byte) (int, error) {
	from := func(buf *[]byte) int { return copy(p, (*buf)[segmentHeader+within:][:r.length(number)-within]) }
	r.mu.Lock()
	if r.kept != nil && r.number == number {
		defer r.mu.Unlock()
		return from(r.kept), nil
	}
	r.mu.Unlock()

	buf, _, err := r.openOne(number)
	if err != nil {
		return 0, err
	}
	n := from(buf)
	r.mu.Lock()
	buf, r.kept, r.number = r.kept, buf, number
	r.mu.Unlock()
	r.give(buf)
	return n, nil
}

// whole opens as many whole segments as fit into p, from one on, at most a batch.
func (r *ReaderAt) whole(first uint64, p []byte) (int, error) {
	size, count, length := r.k.sealedSize(), 0, 0
	for count < r.k.batch() && first+uint64(count) < r.segments && length+r.length(first+uint64(count)) <= len(p) {
		length += r.length(first + uint64(count))
		count++
	}
	buf := r.large.Get().(*[]byte)
	defer r.large.Put(buf) // opened into p, and not in place, it holds no plaintext
	sealed := (*buf)[:length+count*segmentHeader]
	if err := readFull(r.src, sealed, streamHeaderSize+int64(first)*int64(size)); err != nil {
		return 0, err
	}
	batch := make([]segment, count)
	for i := range batch {
		number := first + uint64(i)
		n := r.length(number)
		batch[i] = segment{number: number, sealed: sealed[i*size:][:n+segmentHeader], plain: p[i*r.k.size:][:n]}
	}
	r.k.open(batch)
	for i := range batch {
		if !batch[i].ok || batch[i].last != (batch[i].number == r.segments-1) {
			clear(p[i*r.k.size : length])
			return i * r.k.size, tampered("stream, segment %d", batch[i].number)
		}
	}
	return length, nil
}

// Read implements io.Reader.
func (r *ReaderAt) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	n, err := r.ReadAt(p, r.position)
	r.position += int64(n)
	if n > 0 && err == io.EOF {
		err = nil
	}
	return n, err
}

// Seek implements io.Seeker.
func (r *ReaderAt) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekStart:
	case io.SeekCurrent:
		offset += r.position
	case io.SeekEnd:
		offset += r.size
	default:
		return 0, usagef("no such origin of a seek: %d", whence)
	}
	if offset < 0 {
		return 0, usagef("a seek to before the beginning")
	}
	r.position = offset
	return offset, nil
}

// Close waits for reads under way, wipes what is in memory and gives the key back. It may
// be called again. It does not close what is read from.
func (r *ReaderAt) Close() error {
	r.life.Lock()
	defer r.life.Unlock()
	if !r.closed {
		r.closed = true
		r.give(r.kept)
		r.kept = nil
		r.k.close()
	}
	return nil
}
