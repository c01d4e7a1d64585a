package aes

import (
	"crypto/cipher"
	"fmt"
)

// Sizes of GCM and GMAC in bytes.
const (
	NonceSize = 12 // SP 800-38D, section 8.2: 96 bits
	TagSize   = 16
)

// maxGCM is the longest message in bytes (SP 800-38D, section 5.2.1.1).
const maxGCM = 1<<36 - 32

// A GCMJob is one message of a batch for [GCM].
//
// Dst and Src have the same length, any, though the fast ones are multiples of
// 512 bytes. Dst is exactly Src (in place) or does not overlap it, and overlaps
// no other buffer of the batch. AD, the additional data, may have any length; up
// to 64 bytes are fast. Nothing may change Src and AD during the call.
type GCMJob struct {
	Dst, Src, AD []byte
	Nonce        [NonceSize]byte // must not come twice under one key
	CRC          uint32          // CRC32C (Castagnoli) of the ciphertext; set by SealSumBatch, and by OpenBatch where OK is not
	Tag          [TagSize]byte   // set by SealBatch, read by OpenBatch
	OK           bool            // set by OpenBatch: the message is authentic
}

// A GCM is AES-GCM (SP 800-38D) with nonces of 96 bits and whole tags.
type GCM struct {
	key  *Key
	hash *hashKey    // nil when portable
	aead cipher.AEAD // when portable, and nil otherwise
}

// NewGCM expands a key of 16, 24 or 32 bytes; raw is not kept. It fails with [ErrKey].
func NewGCM(raw []byte) (*GCM, error) {
	key, err := NewKey(raw)
	if err != nil {
		return nil, err
	}
	g := &GCM{key: key}
	if key.tier == Portable {
		g.aead, err = cipher.NewGCM(key.block())
	} else {
		g.hash, err = newHashKey(key)
	}
	if err != nil {
		key.Close()
		return nil, fmt.Errorf("aes: gcm: %w", err)
	}
	return g, nil
}

// Close wipes the keys. It may be called again, and on nil.
func (g *GCM) Close() {
	if g == nil {
		return
	}
	g.key.Close()
	g.hash.close()
	g.aead = nil
}

// SealBatch encrypts every job and sets its tag.
func (g *GCM) SealBatch(jobs []GCMJob) {
	checkGCM(jobs)
	if g.key.tier == Portable {
		g.sealPortable(jobs)
		return
	}
	for len(jobs) > 0 {
		n := gcmRun(jobs)
		g.sealAsm(jobs[:n])
		jobs = jobs[n:]
	}
}

// SealSumBatch is SealBatch, and sums the ciphertext of every job in the same pass.
func (g *GCM) SealSumBatch(jobs []GCMJob) {
	checkGCM(jobs)
	if g.key.tier == Portable {
		g.sealPortable(jobs)
		sumPortable(jobs)
		return
	}
	for len(jobs) > 0 {
		n := gcmRun(jobs)
		g.sealSumAsm(jobs[:n])
		jobs = jobs[n:]
	}
}

// OpenBatch decrypts every job, whatever becomes of the others, sets OK, and
// reports whether it is set for all. Where it is not, Dst is zeros. While
// OpenBatch runs, Dst may hold bytes that are not authenticated.
func (g *GCM) OpenBatch(jobs []GCMJob) (ok bool) {
	checkGCM(jobs)
	if g.key.tier == Portable {
		return g.openPortable(jobs)
	}
	ok = true
	for len(jobs) > 0 {
		n := gcmRun(jobs)
		ok = g.openAsm(jobs[:n]) && ok
		jobs = jobs[n:]
	}
	return ok
}

// checkGCM panics unless all buffers of a batch are as GCMJob says.
func checkGCM(jobs []GCMJob) {
	for i := range jobs {
		checkAlias(jobs[i].Dst, jobs[i].Src)
		if uint64(len(jobs[i].Src)) > maxGCM {
			panic("aes: message too long for GCM")
		}
	}
}

// A kernel cannot be preempted, so that one call is bounded in jobs and, but for the
// first job, in bytes: some tens of microseconds.
const (
	runJobs  = 32
	runBytes = 256 << 10
)

// gcmRun returns how many of the jobs go to one call of a kernel, at least one.
func gcmRun(jobs []GCMJob) int {
	n, bytes := 0, 0
	for n < min(len(jobs), runJobs) && (n == 0 || bytes < runBytes) {
		bytes += len(jobs[n].Src) + len(jobs[n].AD)
		n++
	}
	return n
}
