//go:build !purego

package aes

import "unsafe"

// Round keys in memory: those for encryption from encOffset, those for
// decryption (FIPS 197, section 5.3.5, the equivalent inverse cipher: in order of
// use, InvMixColumns applied) from decOffset, both aligned to 64 bytes.
const (
	encOffset = 0
	decOffset = 256
)

// expand fills k.buf.
func (k *Key) expand(raw []byte) {
	enc, dec, from := k.enc(), k.dec(), unsafe.SliceData(raw)
	switch k.rounds {
	case 10:
		expand128(from, enc)
		invertKeys10(enc, dec)
	case 12:
		expand192(from, enc)
		invertKeys12(enc, dec)
	case 14:
		expand256(from, enc)
		invertKeys14(enc, dec)
	}
}

// encryptBlocksAsm encrypts n > 0 blocks.
func (k *Key) encryptBlocksAsm(dst, src *byte, n int) {
	switch k.tier {
	case VAES512:
		ecbEncryptVAES512(k.enc(), dst, src, n, k.rounds)
	case VAES256:
		ecbEncryptVAES256(k.enc(), dst, src, n, k.rounds)
	case AESNI:
		ecbEncryptAESNI(k.enc(), dst, src, n, k.rounds)
	default:
		panic(noKernel)
	}
}

// enc returns the address of the round keys for encryption, rounds+1 of 16 bytes.
func (k *Key) enc() *byte { return k.at(encOffset) }

// dec returns the address of the round keys for decryption, in order of use.
func (k *Key) dec() *byte { return k.at(decOffset) }

func (k *Key) at(offset int) *byte {
	b := k.buf.Bytes()
	if b == nil {
		panic("aes: use of a closed key")
	}
	return &b[offset]
}
