package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"fmt"

	"github.com/cofferdb/coffer/internal/fault"
)

// gcmLibrary is AES-GCM by Go's library in the one form that its module approves
// for sealing: with nonces that the module draws (SP 800-38D, section 8.2.2). The
// library wants nonce, ciphertext and tag side by side, hence the copies.
type gcmLibrary struct{ aead cipher.AEAD }

var _ engine = gcmLibrary{}

// gcmOverhead is what lies beside the ciphertext, in bytes.
const gcmOverhead = NonceSize + TagSize

func newGCMLibrary(d deriver, purpose string) (g gcmLibrary, err error) {
	err = d.with(purpose, d.key.Len(), func(subkey []byte) error {
		g, err = newGCMLibraryFrom(subkey)
		return err
	})
	return g, err
}

func newGCMLibraryFrom(key []byte) (g gcmLibrary, err error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return g, fmt.Errorf("seal: %w", err)
	}
	if g.aead, err = cipher.NewGCMWithRandomNonce(block); err != nil {
		return g, fmt.Errorf("seal: aes-gcm: %w: %w", fault.Unsupported, err)
	}
	return g, nil
}

func (gcmLibrary) drawsNonces() bool { return true }

func (gcmLibrary) close() {}

func (g gcmLibrary) seal(s *scratch, run []Block) {
	for i := range run {
		b := &run[i]
		g.sealOne(s, b.Dst, b.Src, s.ad(i, b), &b.Nonce, &b.Tag)
		b.CRC = Checksum(b.Dst)
	}
}

func (g gcmLibrary) open(s *scratch, run []Block) {
	for i := range run {
		b := &run[i]
		if !g.openOne(s, b.Dst, b.Src, s.ad(i, b), &b.Nonce, &b.Tag) {
			reject(b, SuiteGCM, Checksum(s.buf[NonceSize:NonceSize+len(b.Src)]))
		}
	}
}

// sealOne encrypts src into dst and sets nonce and tag.
func (g gcmLibrary) sealOne(s *scratch, dst, src, ad []byte, nonce *[NonceSize]byte, tag *[TagSize]byte) {
	out := g.aead.Seal(s.buffer(len(src) + gcmOverhead)[:0], nil, src, ad)
	*nonce = [NonceSize]byte(out)
	*tag = [TagSize]byte(out[NonceSize+len(src):])
	copy(dst, out[NonceSize:])
}

// openOne decrypts src into dst, or leaves zeros there. The ciphertext stays in s.buf, from NonceSize on.
func (g gcmLibrary) openOne(s *scratch, dst, src, ad []byte, nonce *[NonceSize]byte, tag *[TagSize]byte) bool {
	joined := s.buffer(len(src) + gcmOverhead)
	copy(joined, nonce[:])
	copy(joined[NonceSize:], src)
	copy(joined[NonceSize+len(src):], tag[:])
	if _, err := g.aead.Open(dst[:0:len(dst)], nil, joined, ad); err != nil {
		clear(dst)
		return false
	}
	return true
}
