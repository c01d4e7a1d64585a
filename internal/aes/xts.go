package aes

import (
	"crypto/subtle"
	"fmt"

	"github.com/cofferdb/coffer/internal/secmem"
)

// An XTS is XTS-AES (IEEE 1619-2018, section 5; SP 800-38E) for data units of whole
// blocks: there is no ciphertext stealing. All 128 bits of the tweak are used.
type XTS struct{ data, tweak *Key }

// NewXTS expands the two keys, each 16 or 32 bytes; they are not kept. It fails
// with [ErrKey] and [ErrEqualKeys].
func NewXTS(dataKey, tweakKey []byte) (*XTS, error) {
	if n := len(dataKey); n != len(tweakKey) || n != 16 && n != 32 {
		return nil, fmt.Errorf("%w: XTS with %d and %d bytes", ErrKey, len(dataKey), len(tweakKey))
	}
	if subtle.ConstantTimeCompare(dataKey, tweakKey) == 1 {
		return nil, ErrEqualKeys
	}
	tier := Best()
	data, err := newKey(dataKey, tier)
	if err != nil {
		return nil, err
	}
	tweak, err := newKey(tweakKey, tier)
	if err != nil {
		data.Close()
		return nil, err
	}
	return &XTS{data, tweak}, nil
}

// Close wipes both keys. It may be called again, and on nil.
func (x *XTS) Close() {
	if x != nil {
		x.data.Close()
		x.tweak.Close()
	}
}

// EncryptBatch encrypts every job, whose IV is its tweak.
func (x *XTS) EncryptBatch(jobs []Job) { x.crypt(jobs, false) }

// DecryptBatch is the inverse of EncryptBatch.
func (x *XTS) DecryptBatch(jobs []Job) { x.crypt(jobs, true) }

// xtsRun is how many tweaks are encrypted at once.
const xtsRun = 32

func (x *XTS) crypt(jobs []Job, decrypt bool) {
	checkJobs(jobs)
	if x.data.tier == Portable {
		x.cryptPortable(jobs, decrypt)
		return
	}
	var tweaks [xtsRun * BlockSize]byte
	for len(jobs) > 0 {
		n := min(len(jobs), xtsRun)
		for i := range n {
			copy(tweaks[i*BlockSize:], jobs[i].IV[:])
		}
		x.tweak.encryptBlocksAsm(&tweaks[0], &tweaks[0], n)
		for i := range n {
			x.data.xtsAsm((*[BlockSize]byte)(tweaks[i*BlockSize:]), &jobs[i], decrypt)
		}
		jobs = jobs[n:]
	}
	secmem.Wipe(tweaks[:])
}
