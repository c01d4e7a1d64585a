//go:build !purego

package aes

// xtsAsm encrypts or decrypts one job, whose tweak is encrypted already.
func (k *Key) xtsAsm(tweak *[BlockSize]byte, j *Job, decrypt bool) {
	n := len(j.Src) / BlockSize
	if n == 0 {
		return
	}
	dst, src := &j.Dst[0], &j.Src[0]
	switch {
	case k.tier == VAES512 && decrypt:
		xtsDecryptVAES512(k.dec(), &tweak[0], dst, src, n, k.rounds)
	case k.tier == VAES512:
		xtsEncryptVAES512(k.enc(), &tweak[0], dst, src, n, k.rounds)
	case k.tier == VAES256 && decrypt:
		xtsDecryptVAES256(k.dec(), &tweak[0], dst, src, n, k.rounds)
	case k.tier == VAES256:
		xtsEncryptVAES256(k.enc(), &tweak[0], dst, src, n, k.rounds)
	case k.tier == AESNI && decrypt:
		xtsDecryptAESNI(k.dec(), &tweak[0], dst, src, n, k.rounds)
	case k.tier == AESNI:
		xtsEncryptAESNI(k.enc(), &tweak[0], dst, src, n, k.rounds)
	default:
		panic(noKernel)
	}
}
