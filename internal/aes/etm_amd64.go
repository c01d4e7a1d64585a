//go:build !purego

package aes

import "unsafe"

// The kernels know where the fields of a job lie.
var (
	_ = [1]struct{}{}[unsafe.Offsetof(MACJob{}.Dst)-0]
	_ = [1]struct{}{}[unsafe.Offsetof(MACJob{}.Src)-24]
	_ = [1]struct{}{}[unsafe.Offsetof(MACJob{}.AD)-48]
	_ = [1]struct{}{}[unsafe.Offsetof(MACJob{}.Nonce)-72]
	_ = [1]struct{}{}[unsafe.Offsetof(MACJob{}.CRC)-84]
	_ = [1]struct{}{}[unsafe.Sizeof(MACJob{})-128]
)

const macStride = int(unsafe.Sizeof(MACJob{}))

// fusedXTS reports whether a tier has kernels for XTS and GMAC in one pass, fusedCBC for CBC's decryption.
func fusedXTS(t Tier) bool { return t == VAES512 || t == AESNI }
func fusedCBC(t Tier) bool { return t == VAES512 }

func (x *XTSGMAC) sealAsm(jobs []MACJob, tweaks, work *byte) {
	keys, mac, tab, first, tags := x.xts.data.enc(), x.mac.key.enc(), x.mac.hash.table(), macJobs(jobs), &jobs[0].Tag[0]
	switch x.xts.data.tier<<4 | Tier(x.xts.data.rounds) {
	case VAES512<<4 | 10:
		xtsGMACSealVAES512r10(keys, tweaks, mac, tab, work, first, len(jobs), tags, macStride)
	case VAES512<<4 | 14:
		xtsGMACSealVAES512r14(keys, tweaks, mac, tab, work, first, len(jobs), tags, macStride)
	case AESNI<<4 | 10:
		xtsGMACSealAESNIr10(keys, tweaks, mac, tab, work, first, len(jobs), tags, macStride)
	case AESNI<<4 | 14:
		xtsGMACSealAESNIr14(keys, tweaks, mac, tab, work, first, len(jobs), tags, macStride)
	default:
		panic(noKernel)
	}
}

// openAsm decrypts jobs and sets tags to what theirs should be.
func (x *XTSGMAC) openAsm(jobs []MACJob, tweaks, work, tags *byte) {
	keys, mac, tab, first := x.xts.data.dec(), x.mac.key.enc(), x.mac.hash.table(), macJobs(jobs)
	switch x.xts.data.tier<<4 | Tier(x.xts.data.rounds) {
	case VAES512<<4 | 10:
		xtsGMACOpenVAES512r10(keys, tweaks, mac, tab, work, first, len(jobs), tags, TagSize)
	case VAES512<<4 | 14:
		xtsGMACOpenVAES512r14(keys, tweaks, mac, tab, work, first, len(jobs), tags, TagSize)
	case AESNI<<4 | 10:
		xtsGMACOpenAESNIr10(keys, tweaks, mac, tab, work, first, len(jobs), tags, TagSize)
	case AESNI<<4 | 14:
		xtsGMACOpenAESNIr14(keys, tweaks, mac, tab, work, first, len(jobs), tags, TagSize)
	default:
		panic(noKernel)
	}
}

// openAsm decrypts jobs and sets tags to what theirs should be.
func (c *CBCGMAC) openAsm(jobs []MACJob, ivs, tags *byte) {
	keys, mac, tab, first := c.cbc.key.dec(), c.mac.key.enc(), c.mac.hash.table(), macJobs(jobs)
	switch c.cbc.key.rounds {
	case 10:
		cbcGMACOpenVAES512r10(keys, ivs, mac, tab, nil, first, len(jobs), tags, TagSize)
	case 12:
		cbcGMACOpenVAES512r12(keys, ivs, mac, tab, nil, first, len(jobs), tags, TagSize)
	case 14:
		cbcGMACOpenVAES512r14(keys, ivs, mac, tab, nil, first, len(jobs), tags, TagSize)
	default:
		panic(noKernel)
	}
}

func macJobs(jobs []MACJob) *byte { return (*byte)(unsafe.Pointer(unsafe.SliceData(jobs))) }
