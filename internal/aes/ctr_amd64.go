//go:build !purego

package aes

import (
	"crypto/subtle"
	"encoding/binary"

	"github.com/cofferdb/coffer/internal/secmem"
)

// ctrAsm handles one job. The kernels count in 64 bits; where the low half of
// the counter overflows, they are called again.
func (k *Key) ctrAsm(j *Job) {
	dst, src, counter := j.Dst, j.Src, j.IV
	for len(src) >= BlockSize {
		n := len(src) / BlockSize
		low := binary.BigEndian.Uint64(counter[8:])
		if untilZero := -low; untilZero != 0 && uint64(n) > untilZero {
			n = int(untilZero)
		}
		switch k.tier {
		case VAES512:
			ctrVAES512(k.enc(), &counter[0], &dst[0], &src[0], n, k.rounds)
		case VAES256:
			ctrVAES256(k.enc(), &counter[0], &dst[0], &src[0], n, k.rounds)
		case AESNI:
			ctrAESNI(k.enc(), &counter[0], &dst[0], &src[0], n, k.rounds)
		default:
			panic(noKernel)
		}
		binary.BigEndian.PutUint64(counter[8:], low+uint64(n))
		if low+uint64(n) < low {
			binary.BigEndian.PutUint64(counter[:8], binary.BigEndian.Uint64(counter[:8])+1)
		}
		dst, src = dst[n*BlockSize:], src[n*BlockSize:]
	}
	if len(src) > 0 {
		k.encryptBlocksAsm(&counter[0], &counter[0], 1)
		subtle.XORBytes(dst, src, counter[:])
		secmem.Wipe(counter[:])
	}
}
