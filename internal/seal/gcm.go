package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"fmt"

	"github.com/cofferdb/coffer/fips"
	"github.com/cofferdb/coffer/internal/fault"
)

// gcm is AES-GCM (SP 800-38D) over Go's library, whose nonce and tag lie apart
// from the ciphertext. The library wants them side by side, hence buf.
type gcm struct {
	aead cipher.AEAD
	own  bool // aead draws its own nonces: the only form approved for sealing in FIPS mode
}

// gcmOverhead is what buf needs beside the ciphertext, in bytes.
const gcmOverhead = NonceSize + TagSize

// newGCM expands a key of 16, 24 or 32 bytes. In FIPS mode sealing draws its own nonces.
func newGCM(key []byte, own bool) (gcm, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return gcm{}, fmt.Errorf("seal: %w", err)
	}
	var aead cipher.AEAD
	if own {
		aead, err = cipher.NewGCMWithRandomNonce(block)
	} else {
		aead, err = cipher.NewGCM(block)
	}
	if err != nil {
		return gcm{}, fmt.Errorf("seal: aes-gcm: %w: %w", fault.Unsupported, err)
	}
	return gcm{aead: aead, own: own}, nil
}

// ownNonces reports whether this process must leave nonces to the library.
func ownNonces() bool { return fips.LibraryOnly() }

// seal encrypts src into buf, which has len(src)+gcmOverhead bytes, and returns
// the part of it that is the ciphertext. nonce is read, or set where g draws its
// own; tag is set. src overlaps neither buf nor ad.
func (g *gcm) seal(buf, nonce, tag, src, ad []byte) []byte {
	n := len(src)
	if g.own {
		out := g.aead.Seal(buf[:0], nil, src, ad)
		copy(nonce, out[:NonceSize])
		copy(tag, out[NonceSize+n:])
		return out[NonceSize : NonceSize+n]
	}
	out := g.aead.Seal(buf[:0], nonce, src, ad)
	copy(tag, out[n:])
	return out[:n]
}

// open verifies ciphertext and decrypts it into dst, of the same length, or
// leaves zeros there. It first copies the ciphertext into buf, which has
// len(ciphertext)+gcmOverhead bytes, at offset NonceSize: dst may be ciphertext.
func (g *gcm) open(buf, dst, nonce, tag, ciphertext, ad []byte) bool {
	n := len(ciphertext)
	copy(buf, nonce)
	copy(buf[NonceSize:], ciphertext)
	copy(buf[NonceSize+n:], tag)
	joined := buf[:NonceSize+n+TagSize]
	var err error
	if g.own {
		_, err = g.aead.Open(dst[:0:n], nil, joined, ad)
	} else {
		_, err = g.aead.Open(dst[:0:n], nonce, joined[NonceSize:], ad)
	}
	if err != nil {
		clear(dst)
	}
	return err == nil
}

// A RawGCM is AES-GCM with the nonce as an argument: for published vectors and
// for this package's tests. Everything else goes through a [Cipher], which draws nonces.
type RawGCM struct{ gcm gcm }

// NewRawGCM expands an AES key of 16, 24 or 32 bytes; it is not kept.
func NewRawGCM(key []byte) (*RawGCM, error) {
	g, err := newGCM(key, false)
	if err != nil {
		return nil, err
	}
	return &RawGCM{g}, nil
}

// Seal returns ciphertext and tag. nonce has NonceSize bytes.
func (r *RawGCM) Seal(nonce, plaintext, ad []byte) (ciphertext, tag []byte) {
	tag = make([]byte, TagSize)
	buf := make([]byte, len(plaintext)+gcmOverhead)
	return r.gcm.seal(buf, nonce, tag, plaintext, ad), tag
}

// Open returns the plaintext, or false.
func (r *RawGCM) Open(nonce, ciphertext, tag, ad []byte) (plaintext []byte, ok bool) {
	plaintext = make([]byte, len(ciphertext))
	buf := make([]byte, len(ciphertext)+gcmOverhead)
	ok = r.gcm.open(buf, plaintext, nonce, tag, ciphertext, ad)
	return plaintext, ok
}
