package aes

import (
	"fmt"
	"hash/crc32"

	"github.com/cofferdb/coffer/internal/secmem"
)

// A MACJob is one message of a batch for [XTSGMAC] and [CBCGMAC].
//
// Dst and Src are as in [Job], and overlap AD neither. AD, the additional data, may have
// any length; whole blocks, up to 64 bytes, are fast. Nothing may change Src and AD during the call.
type MACJob struct {
	Dst, Src, AD []byte
	Nonce        [NonceSize]byte // of the GMAC: must not come twice under one key
	CRC          uint32          // CRC32C (Castagnoli) of the ciphertext; set by XTSGMAC's SealBatch, and by OpenBatch where OK is not
	Tag          [TagSize]byte   // set by SealBatch, read by OpenBatch
	OK           bool            // set by OpenBatch: the message is authentic
	IV           [BlockSize]byte // XTS: the tweak, not yet encrypted; CBC: the IV
}

// An XTSGMAC is [XTS], and then [GMAC] over the additional data followed by the
// ciphertext: encrypt, then MAC, in one pass where there is a kernel for it.
type XTSGMAC struct {
	xts *XTS
	mac *GMAC
}

// NewXTSGMAC expands the three keys, each 16 or 32 bytes, all the same; they are not
// kept. It fails with [ErrKey] and [ErrEqualKeys].
func NewXTSGMAC(dataKey, tweakKey, macKey []byte) (*XTSGMAC, error) {
	if len(macKey) != len(dataKey) {
		return nil, fmt.Errorf("%w: XTS with %d bytes and GMAC with %d", ErrKey, len(dataKey), len(macKey))
	}
	x, err := NewXTS(dataKey, tweakKey)
	if err != nil {
		return nil, err
	}
	m, err := NewGMAC(macKey)
	if err != nil {
		x.Close()
		return nil, err
	}
	return &XTSGMAC{x, m}, nil
}

// Close wipes the keys. It may be called again, and on nil.
func (x *XTSGMAC) Close() {
	if x != nil {
		x.xts.Close()
		x.mac.Close()
	}
}

// SealBatch encrypts every job and sets its tag and its sum.
func (x *XTSGMAC) SealBatch(jobs []MACJob) {
	checkMAC(jobs)
	for len(jobs) > 0 {
		n, whole := macRun(jobs)
		if whole && fusedXTS(x.xts.data.tier) {
			x.sealFused(jobs[:n])
		} else {
			sealTwice(x.xts.EncryptBatch, x.mac, jobs[:n])
			for i := range n {
				jobs[i].CRC = crc32.Checksum(jobs[i].Dst, castagnoli)
			}
		}
		jobs = jobs[n:]
	}
}

// OpenBatch decrypts every job that is authentic, sets OK, and reports whether it is
// set for all. Where it is not, Dst is zeros. While OpenBatch runs, Dst may hold
// bytes that are not authenticated.
func (x *XTSGMAC) OpenBatch(jobs []MACJob) (ok bool) {
	checkMAC(jobs)
	ok = true
	for len(jobs) > 0 {
		n, whole := macRun(jobs)
		if whole && fusedXTS(x.xts.data.tier) {
			ok = x.openFused(jobs[:n]) && ok
		} else {
			ok = openTwice(x.xts.DecryptBatch, x.mac, jobs[:n]) && ok
		}
		jobs = jobs[n:]
	}
	return ok
}

// tweakMemory is where kernels get tweaks from and keep them.
type tweakMemory struct {
	first [(runJobs + 1) * BlockSize]byte // encrypted, one for each job, and one that is not used
	units [2*512 + 64]byte                // of two units, 512 bytes aligned to 64; gen/etm_modes.go knows it
}

// fill encrypts the tweaks of one run.
func (m *tweakMemory) fill(x *XTSGMAC, jobs []MACJob) {
	for i := range jobs {
		copy(m.first[i*BlockSize:], jobs[i].IV[:])
	}
	x.xts.tweak.encryptBlocksAsm(&m.first[0], &m.first[0], len(jobs))
}

func (m *tweakMemory) wipe() {
	secmem.Wipe(m.first[:])
	secmem.Wipe(m.units[:])
}

// sealFused seals one run.
func (x *XTSGMAC) sealFused(jobs []MACJob) {
	var m tweakMemory
	m.fill(x, jobs)
	x.sealAsm(jobs, &m.first[0], &m.units[0])
	m.wipe()
}

// openFused opens one run.
func (x *XTSGMAC) openFused(jobs []MACJob) (ok bool) {
	var m tweakMemory
	var tags [runJobs][TagSize]byte
	m.fill(x, jobs)
	x.openAsm(jobs, &m.first[0], &m.units[0], &tags[0][0])
	m.wipe()
	return checkTags(jobs, &tags, x.xts.EncryptBatch)
}

// A CBCGMAC is [CBC], and then [GMAC] over the additional data followed by the
// ciphertext. Opening is one pass where there is a kernel for it; sealing is
// two, since the chains of a batch are encrypted side by side.
type CBCGMAC struct {
	cbc *CBC
	mac *GMAC
}

// NewCBCGMAC expands both keys, each 16, 24 or 32 bytes; they are not kept. It fails with [ErrKey].
func NewCBCGMAC(dataKey, macKey []byte) (*CBCGMAC, error) {
	if len(macKey) != len(dataKey) {
		return nil, fmt.Errorf("%w: CBC with %d bytes and GMAC with %d", ErrKey, len(dataKey), len(macKey))
	}
	c, err := NewCBC(dataKey)
	if err != nil {
		return nil, err
	}
	m, err := NewGMAC(macKey)
	if err != nil {
		c.Close()
		return nil, err
	}
	return &CBCGMAC{c, m}, nil
}

// Close wipes the keys. It may be called again, and on nil.
func (c *CBCGMAC) Close() {
	if c != nil {
		c.cbc.Close()
		c.mac.Close()
	}
}

// SealBatch is like that of [XTSGMAC], but for the sum, which it does not set.
func (c *CBCGMAC) SealBatch(jobs []MACJob) {
	checkMAC(jobs)
	for len(jobs) > 0 {
		n := min(len(jobs), runJobs) // whatever their length: chains want company
		sealTwice(c.cbc.EncryptBatch, c.mac, jobs[:n])
		jobs = jobs[n:]
	}
}

// OpenBatch is like that of [XTSGMAC].
func (c *CBCGMAC) OpenBatch(jobs []MACJob) (ok bool) {
	checkMAC(jobs)
	ok = true
	for len(jobs) > 0 {
		n, whole := macRun(jobs)
		if whole && fusedCBC(c.cbc.key.tier) {
			ok = c.openFused(jobs[:n]) && ok
		} else {
			ok = openTwice(c.cbc.DecryptBatch, c.mac, jobs[:n]) && ok
		}
		jobs = jobs[n:]
	}
	return ok
}

// openFused opens one run.
func (c *CBCGMAC) openFused(jobs []MACJob) bool {
	var ivs, tags [runJobs][BlockSize]byte
	for i := range jobs {
		ivs[i] = jobs[i].IV
	}
	c.openAsm(jobs, &ivs[0][0], &tags[0][0])
	return checkTags(jobs, &tags, c.cbc.EncryptBatch)
}

// checkMAC panics unless all buffers of a batch are as MACJob says.
func checkMAC(jobs []MACJob) {
	for i := range jobs {
		checkBuffers(jobs[i].Dst, jobs[i].Src)
	}
}

// macRun is gcmRun for MACJobs. It also reports whether kernels for one pass can take the
// run: all additional data ends with a block.
func macRun(jobs []MACJob) (n int, whole bool) {
	whole = len(jobs[0].AD)%BlockSize == 0
	for bytes := 0; n < min(len(jobs), runJobs) && (n == 0 || bytes < runBytes); n++ {
		if whole != (len(jobs[n].AD)%BlockSize == 0) {
			break
		}
		bytes += len(jobs[n].Src) + len(jobs[n].AD)
	}
	return n, whole
}
