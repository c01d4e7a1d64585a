//go:build !purego

package aes

import (
	"slices"
	"sync"
)

// tiersHere is Available, looked up once: what is measured is registers.
var tiersHere = sync.OnceValue(Available)

// What one loop of the limit kernels encrypts, in bytes: registers times width.
const (
	limitLoopVAES512 = 16 * 64
	limitLoopVAES256 = 14 * 32
	limitLoopAESNI   = 14 * 16
)

func limitAsm(t Tier, rounds, n int) (bytes int) {
	if !slices.Contains(tiersHere(), t) || n <= 0 {
		return 0
	}
	loop, kernel := 0, (func(int))(nil)
	switch t {
	case VAES512:
		loop = limitLoopVAES512
		kernel = [...]func(int){limitVAES512r10, limitVAES512r12, limitVAES512r14}[rounds/2-5]
	case VAES256:
		loop = limitLoopVAES256
		kernel = [...]func(int){limitVAES256r10, limitVAES256r12, limitVAES256r14}[rounds/2-5]
	case AESNI:
		loop = limitLoopAESNI
		kernel = [...]func(int){limitAESNIr10, limitAESNIr12, limitAESNIr14}[rounds/2-5]
	default:
		return 0
	}
	loops := max(1, n/loop)
	kernel(loops)
	return loops * loop
}
