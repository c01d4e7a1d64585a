package seal

import (
	"fmt"

	"github.com/cofferdb/coffer/internal/aes"
)

// The raw primitives take nonces as arguments, and some authenticate nothing:
// they are for published vectors and this package's tests. Everything else goes
// through a [Cipher]. They run on the tier that is best when they are made.

// A RawGCM is AES-GCM (SP 800-38D).
type RawGCM struct{ gcm *aes.GCM }

// NewRawGCM expands an AES key of 16, 24 or 32 bytes; it is not kept.
func NewRawGCM(key []byte) (*RawGCM, error) {
	g, err := aes.NewGCM(key)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return &RawGCM{g}, nil
}

// Seal returns ciphertext and tag. nonce has NonceSize bytes.
func (r *RawGCM) Seal(nonce, plaintext, ad []byte) (ciphertext, tag []byte) {
	job := []aes.GCMJob{{Dst: make([]byte, len(plaintext)), Src: plaintext, AD: ad, Nonce: [NonceSize]byte(nonce)}}
	r.gcm.SealBatch(job)
	return job[0].Dst, job[0].Tag[:]
}

// Open returns the plaintext, or zeros and false.
func (r *RawGCM) Open(nonce, ciphertext, tag, ad []byte) (plaintext []byte, ok bool) {
	job := []aes.GCMJob{{Dst: make([]byte, len(ciphertext)), Src: ciphertext, AD: ad, Nonce: [NonceSize]byte(nonce), Tag: [TagSize]byte(tag)}}
	ok = r.gcm.OpenBatch(job)
	return job[0].Dst, ok
}

// A RawGMAC is the authentication-only form of GCM (SP 800-38D, section 3).
type RawGMAC struct{ gmac *aes.GMAC }

// NewRawGMAC expands an AES key of 16, 24 or 32 bytes; it is not kept.
func NewRawGMAC(key []byte) (*RawGMAC, error) {
	m, err := aes.NewGMAC(key)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return &RawGMAC{m}, nil
}

// Sum writes the tag of data to tag, which has TagSize bytes.
func (m *RawGMAC) Sum(tag, nonce, data []byte) {
	job := []aes.GMACJob{{Data: data, Nonce: [NonceSize]byte(nonce)}}
	m.gmac.SumBatch(job)
	copy(tag, job[0].Tag[:])
}

// Verify reports in constant time whether tag, of TagSize bytes, is the tag of data.
func (m *RawGMAC) Verify(tag, nonce, data []byte) bool {
	return m.gmac.VerifyBatch([]aes.GMACJob{{Data: data, Nonce: [NonceSize]byte(nonce), Tag: [TagSize]byte(tag)}})
}

// A RawCBC is AES-CBC (SP 800-38A, section 6.2) without padding: whole units of 16 bytes.
type RawCBC struct{ cbc *aes.CBC }

// NewRawCBC expands an AES key of 16, 24 or 32 bytes; it is not kept.
func NewRawCBC(key []byte) (*RawCBC, error) {
	c, err := aes.NewCBC(key)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return &RawCBC{c}, nil
}

// Encrypt encrypts src to dst, same length, a multiple of 16 bytes, the same
// memory or apart. iv has 16 bytes.
func (c *RawCBC) Encrypt(dst, src, iv []byte) {
	c.cbc.EncryptBatch([]aes.Job{{Dst: dst, Src: src, IV: [BlockUnit]byte(iv)}})
}

// Decrypt is the inverse of Encrypt.
func (c *RawCBC) Decrypt(dst, src, iv []byte) {
	c.cbc.DecryptBatch([]aes.Job{{Dst: dst, Src: src, IV: [BlockUnit]byte(iv)}})
}

// A RawXTS is XTS-AES (IEEE 1619-2018, section 5.3; SP 800-38E) for data units of
// whole 16-byte units: there is no ciphertext stealing. It takes all 128 bits of the tweak.
type RawXTS struct{ xts *aes.XTS }

// NewRawXTS expands the two keys, each 16 or 32 bytes and not equal; they are not kept.
func NewRawXTS(dataKey, tweakKey []byte) (*RawXTS, error) {
	x, err := aes.NewXTS(dataKey, tweakKey)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return &RawXTS{x}, nil
}

// Encrypt encrypts src to dst, same length, a multiple of 16 bytes, the same
// memory or apart.
func (x *RawXTS) Encrypt(dst, src []byte, tweak [BlockUnit]byte) {
	x.xts.EncryptBatch([]aes.Job{{Dst: dst, Src: src, IV: tweak}})
}

// Decrypt is the inverse of Encrypt.
func (x *RawXTS) Decrypt(dst, src []byte, tweak [BlockUnit]byte) {
	x.xts.DecryptBatch([]aes.Job{{Dst: dst, Src: src, IV: tweak}})
}
