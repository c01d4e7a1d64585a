package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"fmt"
)

// A CBC is AES-CBC (SP 800-38A, section 6.2) without padding: whole units of 16
// bytes. By itself it authenticates nothing.
type RawCBC struct{ block cipher.Block }

// NewRawCBC expands an AES key of 16, 24 or 32 bytes; it is not kept.
func NewRawCBC(key []byte) (*RawCBC, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return &RawCBC{block}, nil
}

// Encrypt encrypts src to dst, same length, a multiple of 16 bytes, the same
// memory or apart. iv has 16 bytes, unpredictable for anyone without the key.
func (c *RawCBC) Encrypt(dst, src, iv []byte) { c.encrypt(&cbcScratch{}, dst, src, iv) }

// Decrypt is the inverse of Encrypt.
func (c *RawCBC) Decrypt(dst, src, iv []byte) { c.decrypt(&cbcScratch{}, dst, src, iv) }

// ivSetter is what Go's modes offer so that they need not be allocated for each message.
type ivSetter interface{ SetIV([]byte) }

func (c *RawCBC) encrypt(s *cbcScratch, dst, src, iv []byte) {
	if m, ok := s.enc.(ivSetter); ok {
		m.SetIV(iv)
	} else {
		s.enc = cipher.NewCBCEncrypter(c.block, iv)
	}
	s.enc.CryptBlocks(dst, src)
}

func (c *RawCBC) decrypt(s *cbcScratch, dst, src, iv []byte) {
	if m, ok := s.dec.(ivSetter); ok {
		m.SetIV(iv)
	} else {
		s.dec = cipher.NewCBCDecrypter(c.block, iv)
	}
	s.dec.CryptBlocks(dst, src)
}
