package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
)

// xtsPass is how many bytes one pass of XTS handles: tweaks first, then one
// vector XOR, the cipher, and another XOR.
const xtsPass = 32 * BlockUnit

// A RawXTS is XTS-AES (IEEE 1619-2018, section 5.3; SP 800-38E) for data units of
// whole 16-byte units: there is no ciphertext stealing. Unlike x/crypto/xts it
// takes all 128 bits of the tweak. By itself it authenticates nothing.
type RawXTS struct{ data, tweak cipher.Block }

// NewRawXTS expands the two keys, each 16 or 32 bytes and not equal; they are not kept.
func NewRawXTS(dataKey, tweakKey []byte) (*RawXTS, error) {
	if len(dataKey) != len(tweakKey) || len(dataKey) != 16 && len(dataKey) != 32 {
		return nil, fmt.Errorf("xts keys of %d and %d bytes: %w", len(dataKey), len(tweakKey), ErrSuite)
	}
	if subtle.ConstantTimeCompare(dataKey, tweakKey) == 1 {
		return nil, errEqualKeys
	}
	data, err := aes.NewCipher(dataKey)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	tweak, err := aes.NewCipher(tweakKey)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return &RawXTS{data, tweak}, nil
}

// Encrypt encrypts src to dst, same length, a multiple of 16 bytes, the same
// memory or apart.
func (x *RawXTS) Encrypt(dst, src []byte, tweak [BlockUnit]byte) {
	x.crypt(&xtsScratch{}, dst, src, tweak, false)
}

// Decrypt is the inverse of Encrypt.
func (x *RawXTS) Decrypt(dst, src []byte, tweak [BlockUnit]byte) {
	x.crypt(&xtsScratch{}, dst, src, tweak, true)
}

// xtsScratch lies on the heap because it is handed to an interface.
type xtsScratch struct {
	first  [BlockUnit]byte
	tweaks [xtsPass]byte
}

func (x *RawXTS) crypt(s *xtsScratch, dst, src []byte, tweak [BlockUnit]byte, decrypt bool) {
	s.first = tweak
	x.tweak.Encrypt(s.first[:], s.first[:])
	lo := binary.LittleEndian.Uint64(s.first[:8])
	hi := binary.LittleEndian.Uint64(s.first[8:])
	for len(src) > 0 {
		n := min(len(src), xtsPass)
		tweaks, out := s.tweaks[:n], dst[:n]
		for t := tweaks; len(t) >= BlockUnit; t = t[BlockUnit:] {
			binary.LittleEndian.PutUint64(t[:8], lo)
			binary.LittleEndian.PutUint64(t[8:16], hi)
			lo, hi = xtsDouble(lo, hi)
		}
		subtle.XORBytes(out, src[:n], tweaks)
		if decrypt {
			for b := out; len(b) >= BlockUnit; b = b[BlockUnit:] {
				x.data.Decrypt(b[:BlockUnit], b[:BlockUnit])
			}
		} else {
			for b := out; len(b) >= BlockUnit; b = b[BlockUnit:] {
				x.data.Encrypt(b[:BlockUnit], b[:BlockUnit])
			}
		}
		subtle.XORBytes(out, out, tweaks)
		dst, src = dst[n:], src[n:]
	}
	clear(s.first[:])
	clear(s.tweaks[:])
}

// xtsDouble multiplies a tweak by alpha in GF(2^128) modulo x^128+x^7+x^2+x+1
// (IEEE 1619-2018, section 5.2), without a branch on its bits.
func xtsDouble(lo, hi uint64) (uint64, uint64) {
	carry := uint64(int64(hi)>>63) & 0x87
	return lo<<1 ^ carry, hi<<1 | lo>>63
}
