package element

import (
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"math/bits"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/fips"
	"github.com/cofferdb/coffer/internal/aes"
	"github.com/cofferdb/coffer/internal/secmem"
)

const (
	// streamHolder is what refusals to deactivate a key say.
	streamHolder = "a stream of data elements"
	// groupSegments go to the kernels at a time, with one call to the system's generator.
	groupSegments = 4
	// groupBytes is how much plaintext a group should have, whatever the size of segments.
	groupBytes = groupSegments << defaultSegment
)

// maxSegments bounds a stream: so many nonces may be drawn under one key (SP 800-38D, section 8.3).
const maxSegments = 1 << 32

// StreamOptions of a stream that is written, or read. The zero value is the usual one.
type StreamOptions struct {
	// Segment is how many bytes of plaintext a segment holds, a power of two from 4,096
	// to 1,048,576: what must be read to read one byte. 0 is 65,536. Readers take it from the header.
	Segment int
	// Workers is how many goroutines seal or open at one time; 0 is GOMAXPROCS. Each takes
	// some 512 KiB of memory, or two segments where that is more.
	Workers int
}

func (o StreamOptions) check() (power, workers int, err error) {
	power = defaultSegment
	if o.Segment != 0 {
		power = bits.TrailingZeros(uint(o.Segment))
		if o.Segment < 0 || o.Segment != 1<<power || power < minSegment || power > maxSegment {
			return 0, 0, usagef("segments are a power of two from %d to %d bytes, not %d", 1<<minSegment, 1<<maxSegment, o.Segment)
		}
	}
	workers = o.Workers
	if workers == 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	if workers < 0 || workers > 1024 {
		return 0, 0, usagef("1 to 1024 workers, not %d", o.Workers)
	}
	return power, workers, nil
}

// A streamKey is one stream's subkey, with what is bound to each of its segments.
type streamKey struct {
	header  [streamHeaderSize]byte
	size    int // plaintext bytes of a whole segment
	workers int
	context []byte
	lease   *dek.Lease

	gcm     *aes.GCM    // nil where Go's library does the work
	library cipher.AEAD // nil where the kernels do
}

// leaseStream leases a key for a stream of its own, so that a Cipher can be closed before it.
func (c *Cipher) leaseStream(key dek.ID) (*dek.Lease, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.closed {
		return nil, ErrClosed
	}
	if err := GCM.Allowed(); err != nil {
		return nil, err
	}
	lease, err := c.ring.Lease(key, dek.Element, streamHolder)
	if err != nil {
		return nil, fmt.Errorf("element: %w", err)
	}
	return lease, nil
}

// newStream begins a stream: a new salt, and so a new subkey.
func (c *Cipher) newStream(key dek.ID, context []byte, o StreamOptions) (*streamKey, error) {
	power, workers, err := o.check()
	if err != nil {
		return nil, err
	}
	if err := checkKey(key); err != nil {
		return nil, err
	}
	k := &streamKey{workers: workers}
	putCommon(k.header[:], KindStream, GCM, key)
	k.header[segmentAt] = byte(power)
	_, _ = rand.Read(k.header[saltAt:streamCommitAt])
	commitment, err := c.deriveStream(k, context)
	if err != nil {
		return nil, err
	}
	copy(k.header[streamCommitAt:], commitment[:])
	if k.lease.Mode() != dek.Active {
		k.close()
		return nil, fmt.Errorf("element: key %s: %w", key, ErrDecryptOnly)
	}
	return k, nil
}

// oldStream takes the header of a stream that exists.
func (c *Cipher) oldStream(header []byte, context []byte, o StreamOptions) (*streamKey, error) {
	h, err := Parse(header)
	if err != nil {
		return nil, err
	}
	if h.Kind != KindStream {
		return nil, usagef("a %v, not a stream: decrypt it as one", h.Kind)
	}
	_, workers, err := o.check()
	if err != nil {
		return nil, err
	}
	k := &streamKey{header: [streamHeaderSize]byte(header), workers: workers}
	commitment, err := c.deriveStream(k, context)
	if err != nil {
		return nil, err
	}
	if commitment != [streamCommitSize]byte(header[streamCommitAt:]) {
		k.close()
		return nil, fmt.Errorf("stream under key %s: %w", h.Key, ErrWrongKey)
	}
	return k, nil
}

// deriveStream leases the key that k's header names and sets what is derived from both.
func (c *Cipher) deriveStream(k *streamKey, context []byte) (commitment [streamCommitSize]byte, err error) {
	if err := checkContext(context); err != nil {
		return commitment, err
	}
	k.size = 1 << k.header[segmentAt]
	k.context = append([]byte(nil), context...)
	if k.lease, err = c.leaseStream(dek.ID(k.header[keyAt:commonSize])); err != nil {
		return commitment, err
	}
	d := deriver{key: k.lease.Key(), suite: GCM, salt: k.header[saltAt:streamCommitAt]}
	err = d.derive("stream commitment", commitment[:])
	if err == nil {
		err = d.with("stream", d.key.Len(), func(subkey []byte) (err error) {
			if fips.LibraryOnly() {
				library, err := newGCMLibrary(subkey)
				k.library = library.aead
				return err
			}
			k.gcm, err = aes.NewGCM(subkey)
			return err
		})
	}
	if err != nil {
		k.close()
	}
	return commitment, err
}

// close wipes the subkey and gives the lease back. It may be called again.
func (k *streamKey) close() {
	k.gcm.Close()
	k.gcm, k.library = nil, nil
	k.lease.Release()
}

// sealedSize is the length of a whole segment.
func (k *streamKey) sealedSize() int { return k.size + segmentHeader }

// batch is how many segments are worked on at a time. Where they are shared out there are two
// grains for each goroutine, so that what they take is long beside waking them.
func (k *streamKey) batch() int {
	if k.workers == 1 {
		return k.grain()
	}
	return k.workers * 2 * k.grain()
}

// grain is how many segments a goroutine takes at a time.
func (k *streamKey) grain() int { return max(1, groupBytes/k.size) }

// A segment is one of a batch. Plain is as long as Sealed without its header; it lies
// there, in place, or apart.
type segment struct {
	number        uint64
	last          bool
	plain, sealed []byte
	ok            bool // set by open
}

// putHeader writes the part of the segment's header that is bound.
func (k *streamKey) putHeader(s *segment) {
	h := s.sealed[:segmentHeader]
	clear(h)
	copy(h, segmentMagic)
	binary.LittleEndian.PutUint32(h[segmentSizeAt:], uint32(k.size))
	binary.LittleEndian.PutUint64(h[numberAt:], s.number)
	if s.last {
		h[lastAt] = 1
	}
}

// rightHeader reports whether a segment's header is that of this segment of such a stream, and sets
// last to what it says.
func (k *streamKey) rightHeader(s *segment) bool {
	h := s.sealed[:segmentHeader]
	s.last = h[lastAt] == 1
	return string(h[:segmentSizeAt]) == segmentMagic && binary.LittleEndian.Uint32(h[segmentSizeAt:]) == uint32(k.size) &&
		binary.LittleEndian.Uint64(h[numberAt:]) == s.number && h[lastAt] <= 1 && zero(h[lastAt+1:nonceAt]) && zero(h[segmentReserve:])
}

// each calls work with every part of a batch, on this goroutine and on helpers as they find the time:
// it waits for parts that a helper has begun, and for none that has not come to begin.
func (k *streamKey) each(batch []segment, work func([]segment)) {
	grain := k.grain()
	parts := (len(batch) + grain - 1) / grain
	if parts < 2 || k.workers < 2 {
		work(batch)
		return
	}
	s := &sharing{batch: batch, grain: grain, work: work, done: make(chan struct{})}
	s.left.Store(int64(parts))
	for range min(k.workers, parts) - 1 {
		go s.help()
	}
	s.help()
	<-s.done
}

// A sharing is one batch that several goroutines work on.
type sharing struct {
	batch []segment
	grain int // segments of a part
	work  func([]segment)
	next  atomic.Int64  // number of the first part that nobody has taken
	left  atomic.Int64  // parts that are not done
	done  chan struct{} // closed when all are
}

// help works on parts until all are taken. A goroutine that comes too late touches nothing.
func (s *sharing) help() {
	for {
		begin := int(s.next.Add(1)-1) * s.grain
		if begin >= len(s.batch) {
			return
		}
		s.work(s.batch[begin:min(begin+s.grain, len(s.batch))])
		if s.left.Add(-1) == 0 {
			close(s.done)
		}
	}
}

// A segmentScratch is what one group needs. No plaintext is left in it, and no buffer of a caller.
type segmentScratch struct {
	jobs   [groupSegments]aes.GCMJob
	ads    [groupSegments][]byte
	nonces [groupSegments * aes.NonceSize]byte
	joined []byte // a sealed segment as Go's library has it
}

var segmentScratches = sync.Pool{New: func() any { return new(segmentScratch) }}

func (s *segmentScratch) end() {
	clear(s.jobs[:])
	segmentScratches.Put(s)
}

// additional returns the additional data of a segment whose header is there, the i-th of a group.
func (s *segmentScratch) additional(k *streamKey, i int, g *segment) []byte {
	s.ads[i] = append(append(s.ads[i][:0], g.sealed[:segmentADSize]...), k.context...)
	return s.ads[i]
}

// seal seals every segment of a batch.
func (k *streamKey) seal(batch []segment) { k.each(batch, k.sealPart) }

func (k *streamKey) sealPart(part []segment) {
	s := segmentScratches.Get().(*segmentScratch)
	defer s.end()
	for len(part) > 0 {
		group := part[:min(len(part), groupSegments)]
		part = part[len(group):]
		if k.library != nil {
			k.sealLibrary(s, group)
			continue
		}
		drawNonce(s.nonces[:len(group)*aes.NonceSize])
		for i := range group {
			g, j := &group[i], &s.jobs[i]
			k.putHeader(g)
			j.Nonce = [aes.NonceSize]byte(s.nonces[i*aes.NonceSize:])
			j.Dst, j.Src, j.AD = g.sealed[segmentHeader:], g.plain, s.additional(k, i, g)
		}
		k.gcm.SealBatch(s.jobs[:len(group)])
		for i := range group {
			copy(group[i].sealed[nonceAt:], s.jobs[i].Nonce[:])
			copy(group[i].sealed[tagAt:], s.jobs[i].Tag[:])
		}
	}
}

// open opens every segment of a batch, whatever becomes of the others, sets ok, and
// leaves zeros where it is not.
func (k *streamKey) open(batch []segment) { k.each(batch, k.openPart) }

func (k *streamKey) openPart(part []segment) {
	s := segmentScratches.Get().(*segmentScratch)
	defer s.end()
	for len(part) > 0 {
		group := part[:min(len(part), groupSegments)]
		part = part[len(group):]
		if k.library != nil {
			k.openLibrary(s, group)
			continue
		}
		for i := range group {
			g, j := &group[i], &s.jobs[i]
			j.Nonce, j.Tag = [aes.NonceSize]byte(g.sealed[nonceAt:]), [aes.TagSize]byte(g.sealed[tagAt:])
			j.Dst, j.Src, j.AD = g.plain, g.sealed[segmentHeader:], s.additional(k, i, g)
		}
		k.gcm.OpenBatch(s.jobs[:len(group)])
		for i := range group {
			group[i].accept(k, s.jobs[i].OK)
		}
	}
}

// accept sets ok, for a segment that is authentic and has the header it should.
func (s *segment) accept(k *streamKey, authentic bool) {
	s.ok = authentic && k.rightHeader(s)
	if !s.ok {
		clear(s.plain)
	}
}

// Go's library has nonce, ciphertext and tag side by side.
func (k *streamKey) sealLibrary(s *segmentScratch, group []segment) {
	for i := range group {
		g := &group[i]
		k.putHeader(g)
		s.joined = k.library.Seal(s.joined[:0], nil, g.plain, s.additional(k, i, g))
		copy(g.sealed[nonceAt:], s.joined[:aes.NonceSize])
		n := copy(g.sealed[segmentHeader:], s.joined[aes.NonceSize:])
		copy(g.sealed[tagAt:segmentReserve], s.joined[aes.NonceSize+n:])
	}
}

func (k *streamKey) openLibrary(s *segmentScratch, group []segment) {
	for i := range group {
		g := &group[i]
		s.joined = append(append(s.joined[:0], g.sealed[nonceAt:tagAt]...), g.sealed[segmentHeader:]...)
		s.joined = append(s.joined, g.sealed[tagAt:segmentReserve]...)
		_, err := k.library.Open(g.plain[:0], nil, s.joined, s.additional(k, i, g))
		g.accept(k, err == nil)
	}
}

// buffers keeps those of streams that have ended, wiped: their pages are dear.
var buffers sync.Pool // of *[]byte

// newBuffer returns n bytes of undefined content.
func newBuffer(n int) []byte {
	if p, ok := buffers.Get().(*[]byte); ok && cap(*p) >= n {
		return (*p)[:n]
	}
	return make([]byte, n)
}

// freeBuffer wipes and keeps b.
func freeBuffer(b []byte) {
	if len(b) > 0 {
		secmem.Wipe(b)
		buffers.Put(&b)
	}
}
