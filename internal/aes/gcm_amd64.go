//go:build !purego

package aes

import (
	"hash/crc32"
	"unsafe"
)

// The kernels know where the fields of a job lie.
var (
	_ = [1]struct{}{}[unsafe.Offsetof(GCMJob{}.Dst)-0]
	_ = [1]struct{}{}[unsafe.Offsetof(GCMJob{}.Src)-24]
	_ = [1]struct{}{}[unsafe.Offsetof(GCMJob{}.AD)-48]
	_ = [1]struct{}{}[unsafe.Offsetof(GCMJob{}.Nonce)-72]
	_ = [1]struct{}{}[unsafe.Offsetof(GCMJob{}.CRC)-84]
	_ = [1]struct{}{}[unsafe.Sizeof(GCMJob{})-112]
)

// noKernel: a tier was added without its kernels.
const noKernel = "aes: no kernel for this tier and key"

func (g *GCM) sealAsm(jobs []GCMJob) {
	keys, tab, first, n, tags := g.key.enc(), g.hash.table(), gcmJobs(jobs), len(jobs), &jobs[0].Tag[0]
	const stride = int(unsafe.Sizeof(GCMJob{}))
	switch g.key.tier<<4 | Tier(g.key.rounds) {
	case VAES512<<4 | 10:
		gcmSealVAES512r10(keys, tab, first, n, tags, stride)
	case VAES512<<4 | 12:
		gcmSealVAES512r12(keys, tab, first, n, tags, stride)
	case VAES512<<4 | 14:
		gcmSealVAES512r14(keys, tab, first, n, tags, stride)
	case VAES256<<4 | 10:
		gcmSealVAES256r10(keys, tab, first, n, tags, stride)
	case VAES256<<4 | 12:
		gcmSealVAES256r12(keys, tab, first, n, tags, stride)
	case VAES256<<4 | 14:
		gcmSealVAES256r14(keys, tab, first, n, tags, stride)
	case AESNI<<4 | 10:
		gcmSealAESNIr10(keys, tab, first, n, tags, stride)
	case AESNI<<4 | 12:
		gcmSealAESNIr12(keys, tab, first, n, tags, stride)
	case AESNI<<4 | 14:
		gcmSealAESNIr14(keys, tab, first, n, tags, stride)
	default:
		panic(noKernel)
	}
}

// sealSumAsm is sealAsm, and sets the sums.
func (g *GCM) sealSumAsm(jobs []GCMJob) {
	keys, tab, first, n, tags := g.key.enc(), g.hash.table(), gcmJobs(jobs), len(jobs), &jobs[0].Tag[0]
	const stride = int(unsafe.Sizeof(GCMJob{}))
	switch g.key.tier<<4 | Tier(g.key.rounds) {
	case VAES512<<4 | 10:
		gcmSealSumVAES512r10(keys, tab, first, n, tags, stride)
	case VAES512<<4 | 12:
		gcmSealSumVAES512r12(keys, tab, first, n, tags, stride)
	case VAES512<<4 | 14:
		gcmSealSumVAES512r14(keys, tab, first, n, tags, stride)
	case VAES256<<4 | 10:
		gcmSealSumVAES256r10(keys, tab, first, n, tags, stride)
	case VAES256<<4 | 12:
		gcmSealSumVAES256r12(keys, tab, first, n, tags, stride)
	case VAES256<<4 | 14:
		gcmSealSumVAES256r14(keys, tab, first, n, tags, stride)
	case AESNI<<4 | 10:
		gcmSealSumAESNIr10(keys, tab, first, n, tags, stride)
	case AESNI<<4 | 12:
		gcmSealSumAESNIr12(keys, tab, first, n, tags, stride)
	case AESNI<<4 | 14:
		gcmSealSumAESNIr14(keys, tab, first, n, tags, stride)
	default:
		panic(noKernel)
	}
}

// openTags decrypts jobs and sets the tags from the first on, side by side, to what theirs should be.
func (g *GCM) openTags(jobs []GCMJob, tags *[TagSize]byte) {
	keys, tab, first, n, out := g.key.enc(), g.hash.table(), gcmJobs(jobs), len(jobs), &tags[0]
	switch g.key.tier<<4 | Tier(g.key.rounds) {
	case VAES512<<4 | 10:
		gcmOpenVAES512r10(keys, tab, first, n, out, TagSize)
	case VAES512<<4 | 12:
		gcmOpenVAES512r12(keys, tab, first, n, out, TagSize)
	case VAES512<<4 | 14:
		gcmOpenVAES512r14(keys, tab, first, n, out, TagSize)
	case VAES256<<4 | 10:
		gcmOpenVAES256r10(keys, tab, first, n, out, TagSize)
	case VAES256<<4 | 12:
		gcmOpenVAES256r12(keys, tab, first, n, out, TagSize)
	case VAES256<<4 | 14:
		gcmOpenVAES256r14(keys, tab, first, n, out, TagSize)
	case AESNI<<4 | 10:
		gcmOpenAESNIr10(keys, tab, first, n, out, TagSize)
	case AESNI<<4 | 12:
		gcmOpenAESNIr12(keys, tab, first, n, out, TagSize)
	case AESNI<<4 | 14:
		gcmOpenAESNIr14(keys, tab, first, n, out, TagSize)
	default:
		panic(noKernel)
	}
}

func (g *GCM) openAsm(jobs []GCMJob) (ok bool) {
	var tags [runJobs][TagSize]byte
	g.openTags(jobs, &tags[0])
	ok = true
	for i := range jobs {
		j := &jobs[i]
		j.OK = sameTag(&tags[i], &j.Tag)
		if !j.OK {
			ok = false
			j.CRC = g.refusedSum(j)
			clear(j.Dst)
		}
	}
	clear(tags[:len(jobs)]) // the right tag of a forged message stays secret
	return ok
}

// refusedSum returns the sum of the ciphertext of a job that was decrypted. In place that
// is gone; encrypting again brings it back, and sums it.
func (g *GCM) refusedSum(j *GCMJob) uint32 {
	if len(j.Src) == 0 || &j.Src[0] != &j.Dst[0] {
		return crc32.Checksum(j.Src, castagnoli)
	}
	again := [1]GCMJob{*j}
	g.sealSumAsm(again[:])
	return again[0].CRC
}

func gcmJobs(jobs []GCMJob) *byte { return (*byte)(unsafe.Pointer(unsafe.SliceData(jobs))) }
