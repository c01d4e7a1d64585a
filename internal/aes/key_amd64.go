//go:build !purego

package aes

import "unsafe"

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
	if k.tier == VAES512 {
		ecbEncryptVAES512(k.enc(), dst, src, n, k.rounds)
	} else {
		ecbEncryptAESNI(k.enc(), dst, src, n, k.rounds)
	}
}
