package seal

import (
	"crypto/aes"
	"crypto/cipher"

	"github.com/cofferdb/coffer/fips"
)

// cbcEngine is suite aes-cbc: IV = AES(nonce || 0^32) under a subkey of its own,
// so that it cannot be predicted (SP 800-38A, appendix C), then GMAC.
type cbcEngine struct {
	data *RawCBC
	iv   cipher.Block
	mac  *RawGMAC
}

var _ engine = (*cbcEngine)(nil)

func newCBCEngine(d deriver) (engine, error) {
	if fips.LibraryOnly() {
		return newCBCLibrary(d)
	}
	e, n := &cbcEngine{}, d.key.Len()
	err := d.with("cbc data", n, func(subkey []byte) (err error) {
		e.data, err = NewRawCBC(subkey)
		return err
	})
	if err != nil {
		return nil, err
	}
	err = d.with("cbc iv", n, func(subkey []byte) (err error) {
		e.iv, err = aes.NewCipher(subkey)
		return err
	})
	if err != nil {
		return nil, err
	}
	err = d.with("cbc mac", n, func(subkey []byte) (err error) {
		e.mac, err = NewRawGMAC(subkey)
		return err
	})
	if err != nil {
		return nil, err
	}
	return e, nil
}

func (e *cbcEngine) close() {}

func (e *cbcEngine) drawsNonces() bool { return false }

// deriveIV sets s.iv.
func (e *cbcEngine) deriveIV(s *scratch, nonce *[NonceSize]byte) {
	copy(s.iv[:], nonce[:])
	clear(s.iv[NonceSize:])
	e.iv.Encrypt(s.iv[:], s.iv[:])
}

func (e *cbcEngine) seal(s *scratch, batch []Block) {
	for i := range batch {
		b := &batch[i]
		whole, ciphertext := s.gmacBuffer(b.Position, len(b.Src))
		e.deriveIV(s, &b.Nonce)
		e.data.encrypt(&s.cbc, ciphertext, b.Src, s.iv[:])
		e.mac.Sum(b.Tag[:], b.Nonce[:], whole)
		copy(b.Dst, ciphertext)
	}
}

func (e *cbcEngine) open(s *scratch, batch []Block) {
	for i := range batch {
		b := &batch[i]
		whole, ciphertext := s.gmacBuffer(b.Position, len(b.Src))
		copy(ciphertext, b.Src)
		if !e.mac.Verify(b.Tag[:], b.Nonce[:], whole) {
			reject(b, SuiteCBC, ciphertext)
			continue
		}
		e.deriveIV(s, &b.Nonce)
		e.data.decrypt(&s.cbc, b.Dst, ciphertext, s.iv[:])
	}
}
