package aes

// Limit runs a loop of independent AES rounds on registers of the tier's width,
// for a key of the given bits (10, 12 or 14 rounds a block), until about n bytes
// could have been encrypted; it returns how many exactly. Nothing is loaded or
// stored: the time it takes is the limit of the processor, which `coffer bench
// kernels` measures everything against. Portable has no registers of its own and
// returns 0, as does a tier that is not available or a wrong number of bits.
func Limit(t Tier, bits, n int) (bytes int) {
	switch bits {
	case 128, 192, 256:
		return limitAsm(t, bits/32+6, n)
	}
	return 0
}
