//go:build !purego

package aes

import "github.com/klauspost/cpuid/v2"

// detected returns the tiers above Portable that the processor has and the
// system lets programs use.
func detected() (tiers []Tier) {
	if !cpuid.CPU.Supports(cpuid.AESNI, cpuid.CLMUL, cpuid.SSSE3, cpuid.SSE4, cpuid.SSE42) {
		return nil
	}
	tiers = append(tiers, AESNI)
	if cpuid.CPU.Supports(cpuid.VAES, cpuid.VPCLMULQDQ, cpuid.AVX512F, cpuid.AVX512BW, cpuid.AVX512DQ, cpuid.AVX512VL) {
		tiers = append(tiers, VAES512)
	}
	return tiers
}
