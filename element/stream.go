package element

import (
	"crypto/cipher"
	"crypto/rand"
	"fmt"
	"math/bits"
	"runtime"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/fips"
	"github.com/cofferdb/coffer/internal/aes"
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
		return nil, wrongKey("stream under key %s", h.Key)
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
