//go:build !purego

package aes

import "unsafe"

// The kernels know where the fields of a job lie.
var (
	_ = [1]struct{}{}[unsafe.Offsetof(GMACJob{}.AD)-0]
	_ = [1]struct{}{}[unsafe.Offsetof(GMACJob{}.Data)-24]
	_ = [1]struct{}{}[unsafe.Offsetof(GMACJob{}.Nonce)-48]
	_ = [1]struct{}{}[unsafe.Sizeof(GMACJob{})-80]
)

// sumAsm writes the tags of jobs, whose additional data is whole blocks.
func (m *GMAC) sumAsm(jobs []GMACJob, tags [][TagSize]byte) {
	keys, tab, first := m.key.enc(), m.hash.table(), (*byte)(unsafe.Pointer(unsafe.SliceData(jobs)))
	switch m.key.tier {
	case VAES512:
		gmacSumVAES512(keys, m.key.rounds, tab, first, len(jobs), &tags[0][0], TagSize)
	case AESNI:
		gmacSumAESNI(keys, m.key.rounds, tab, first, len(jobs), &tags[0][0], TagSize)
	default:
		panic(noKernel)
	}
}
