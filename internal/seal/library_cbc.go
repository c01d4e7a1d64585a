package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"fmt"

	"github.com/cofferdb/coffer/internal/fault"
)

// cbcLibrary opens blocks of suite aes-cbc with services that Go's module
// approves: its CBC, also for the single block that makes the IV (its bare block
// is not an approved service), and its GCM without plaintext for verifying the
// GMAC. It cannot seal: the IV comes from the nonce, so that the nonce must be there
// before the ciphertext, and the module draws it for the GMAC after.
type cbcLibrary struct {
	data, iv cipher.Block
	mac      cipher.AEAD // nonce and tag side by side, as it would seal
}

var _ engine = (*cbcLibrary)(nil)

func newCBCLibrary(d deriver) (engine, error) {
	e, n := &cbcLibrary{}, d.key.Len()
	block := func(to *cipher.Block) func([]byte) error {
		return func(subkey []byte) (err error) {
			*to, err = aes.NewCipher(subkey)
			return err
		}
	}
	if err := d.with("cbc data", n, block(&e.data)); err != nil {
		return nil, err
	}
	if err := d.with("cbc iv", n, block(&e.iv)); err != nil {
		return nil, err
	}
	err := d.with("cbc mac", n, func(subkey []byte) error {
		b, err := aes.NewCipher(subkey)
		if err != nil {
			return err
		}
		e.mac, err = cipher.NewGCMWithRandomNonce(b)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("seal: aes-cbc: %w: %w", fault.Unsupported, err)
	}
	return e, nil
}

func (e *cbcLibrary) drawsNonces() bool { return true }

// seal is not reached: New makes a sealer that refuses.
func (e *cbcLibrary) seal(*scratch, []Block) { panic("seal: FIPS mode does not seal under aes-cbc") }

func (e *cbcLibrary) open(s *scratch, run []Block) {
	for i := range run {
		b := &run[i]
		whole := s.buffer(adSize + len(b.Src))
		copy(whole, s.ad(i, b))
		ciphertext := whole[adSize:]
		copy(ciphertext, b.Src)
		copy(s.joined[:], b.Nonce[:])
		copy(s.joined[NonceSize:], b.Tag[:])
		if _, err := e.mac.Open(nil, nil, s.joined[:], whole); err != nil {
			reject(b, SuiteCBC, Checksum(ciphertext))
			continue
		}
		iv := s.ivs[:BlockUnit]
		clear(iv)
		copy(iv, b.Nonce[:])
		useCBC(&s.ivMode, cipher.NewCBCEncrypter, e.iv, zeroIV[:]).CryptBlocks(iv, iv)
		useCBC(&s.cbcMode, cipher.NewCBCDecrypter, e.data, iv).CryptBlocks(b.Dst, ciphertext)
	}
}

func (e *cbcLibrary) close() {}

var zeroIV [BlockUnit]byte

// useCBC returns the mode kept in m, made where there is none yet, with this IV.
// Go's modes take a new IV, so that they need not be allocated for each message.
func useCBC(m *cipher.BlockMode, make func(cipher.Block, []byte) cipher.BlockMode, b cipher.Block, iv []byte) cipher.BlockMode {
	if s, ok := (*m).(interface{ SetIV([]byte) }); ok {
		s.SetIV(iv)
	} else {
		*m = make(b, iv)
	}
	return *m
}
