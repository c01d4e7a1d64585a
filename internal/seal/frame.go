package seal

import (
	"encoding/binary"
	"fmt"
	"hash"
	"slices"
	"sync"

	"github.com/cofferdb/coffer/dek"
)

// A FrameCipher seals and opens the frames of one journal segment. It may be
// used by many goroutines at once.
type FrameCipher interface {
	// Seal appends the ciphertext of plaintext, as long as it, to dst. The nonce
	// is drawn inside. ad is bound too: what the journal keeps in clear beside
	// the frame. dst may be plaintext[:0]; else what is appended must not
	// overlap plaintext, which panics.
	// The error is ErrClosed.
	Seal(dst, plaintext, ad []byte) (out []byte, nonce [NonceSize]byte, tag [TagSize]byte, err error)

	// Open appends the plaintext to dst, or returns dst as it was and an error
	// that wraps ErrFrame. dst may be ciphertext[:0]; a failure then leaves zeros there.
	Open(dst, ciphertext, ad []byte, nonce [NonceSize]byte, tag [TagSize]byte) ([]byte, error)

	// Chain returns a MAC over the parts, each preceded by its length, so that
	// no other division into parts gives the same: HMAC-SHA256 under a subkey of
	// the segment, or SHA-256 for plain frames. It panics after Close.
	Chain(parts ...[]byte) [32]byte

	// Encrypted reports whether there is a key. Plain frames carry SHA-256,
	// which anyone can compute.
	Encrypted() bool

	// Close waits for calls under way and drops the subkeys. It may be called again.
	Close()
}

// frameHeaderSize is the length of what precedes the journal's own additional data.
const frameHeaderSize = 64

// NewFrame returns the cipher for the frames of a segment: AES-GCM under a
// subkey of the segment's own, or, without a key, SHA-256. The key is not kept.
// The error is fault.Unsupported where FIPS mode was asked for and failed.
func NewFrame(key *dek.Key, volume, segment [16]byte) (FrameCipher, error) {
	c := &frameCipher{entropy: systemEntropy}
	c.pool.New = func() any { return &scratch{} }
	copy(c.header[0:4], "CFF1")
	copy(c.header[8:24], volume[:])
	copy(c.header[24:40], segment[:])
	if key == nil {
		c.work = plainFrame{}
		return c, nil
	}
	if err := SuiteGCM.Allowed(true); err != nil {
		return nil, fmt.Errorf("seal: frames: %w", err)
	}
	id := key.ID()
	c.header[4] = uint8(key.Len())
	copy(c.header[40:56], id[:])
	work, err := newKeyedFrame(key, volume, segment)
	if err != nil {
		return nil, err
	}
	c.work = work
	return c, nil
}

// frameWork is the part that differs between encrypted and plain frames. The
// full additional data is in s.frame; nonce and tag in s.nonce and s.tag.
type frameWork interface {
	drawsNonces() bool
	seal(s *scratch, dst, plaintext []byte)       // same length, in place or apart
	open(s *scratch, dst, ciphertext []byte) bool // the same; leaves zeros when it fails
	chain(s *scratch) hash.Hash
	close()
}

type frameCipher struct {
	header  [frameHeaderSize]byte // with the length of the additional data zero
	entropy func([]byte)          // see sealer
	pool    sync.Pool             // of *scratch

	mu   sync.RWMutex // guards work: all but Close hold it shared
	work frameWork    // nil once closed
}

var _ FrameCipher = (*frameCipher)(nil)

// begin borrows a scratch with the additional data set.
func (c *frameCipher) begin(ad []byte) *scratch {
	s := c.pool.Get().(*scratch)
	s.frame = append(append(s.frame[:0], c.header[:]...), ad...)
	binary.LittleEndian.PutUint64(s.frame[56:64], uint64(len(ad)))
	return s
}

func (c *frameCipher) end(s *scratch) {
	s.trim()
	c.pool.Put(s)
}

// Seal implements [FrameCipher].
func (c *frameCipher) Seal(dst, plaintext, ad []byte) (out []byte, nonce [NonceSize]byte, tag [TagSize]byte, err error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.work == nil {
		return dst, nonce, tag, ErrClosed
	}
	s := c.begin(ad)
	defer c.end(s)
	if !c.work.drawsNonces() {
		c.entropy(s.nonce[:])
	}
	out = slices.Grow(dst, len(plaintext))[:len(dst)+len(plaintext)]
	c.work.seal(s, out[len(dst):], plaintext)
	return out, s.nonce, s.tag, nil
}

// Open implements [FrameCipher].
func (c *frameCipher) Open(dst, ciphertext, ad []byte, nonce [NonceSize]byte, tag [TagSize]byte) ([]byte, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.work == nil {
		return dst, ErrClosed
	}
	s := c.begin(ad)
	defer c.end(s)
	s.nonce, s.tag = nonce, tag
	grown := slices.Grow(dst, len(ciphertext))
	out := grown[:len(dst)+len(ciphertext)]
	if !c.work.open(s, out[len(dst):], ciphertext) {
		return dst, ErrFrame
	}
	return out, nil
}

// Chain implements [FrameCipher].
func (c *frameCipher) Chain(parts ...[]byte) (sum [32]byte) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.work == nil {
		panic("seal: FrameCipher.Chain after Close")
	}
	s := c.begin(nil)
	defer c.end(s)
	h := c.work.chain(s)
	for _, p := range parts {
		binary.LittleEndian.PutUint64(s.num[:], uint64(len(p)))
		h.Write(s.num[:])
		h.Write(p)
	}
	h.Sum(s.sum[:0])
	return s.sum
}

// Encrypted implements [FrameCipher].
func (c *frameCipher) Encrypted() bool { return c.header[4] != 0 }

// Close implements [FrameCipher].
func (c *frameCipher) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.work != nil {
		c.work.close()
	}
	c.work = nil
	c.pool = sync.Pool{} // scratch may hold keyed states
}
