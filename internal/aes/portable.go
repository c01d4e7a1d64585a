package aes

import (
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
	"sync"

	"github.com/cofferdb/coffer/internal/secmem"
)

// ivSetter is what Go's modes offer so that they need not be allocated for each message.
type ivSetter interface{ SetIV([]byte) }

func (k *Key) cbcEncryptPortable(jobs []Job) {
	cbcPortable(cipher.NewCBCEncrypter, k.block(), jobs)
}

func (k *Key) cbcDecryptPortable(jobs []Job) {
	cbcPortable(cipher.NewCBCDecrypter, k.block(), jobs)
}

func cbcPortable(newMode func(cipher.Block, []byte) cipher.BlockMode, b cipher.Block, jobs []Job) {
	var mode cipher.BlockMode
	for i := range jobs {
		j := &jobs[i]
		if m, ok := mode.(ivSetter); ok {
			m.SetIV(j.IV[:])
		} else {
			mode = newMode(b, j.IV[:])
		}
		mode.CryptBlocks(j.Dst, j.Src)
	}
}

func (k *Key) ctrPortable(jobs []Job) {
	for i := range jobs {
		j := &jobs[i]
		cipher.NewCTR(k.block(), j.IV[:]).XORKeyStream(j.Dst, j.Src)
	}
}

// xtsPass is how many bytes one pass of portable XTS handles: tweaks first, then
// one vector XOR, the cipher, and another XOR.
const xtsPass = 32 * BlockSize

// xtsScratch lies on the heap because it is handed to an interface.
type xtsScratch struct {
	first  [BlockSize]byte
	tweaks [xtsPass]byte
}

var xtsScratches = sync.Pool{New: func() any { return new(xtsScratch) }}

func (x *XTS) cryptPortable(jobs []Job, decrypt bool) {
	s := xtsScratches.Get().(*xtsScratch)
	crypt := x.data.block().Encrypt
	if decrypt {
		crypt = x.data.block().Decrypt
	}
	for i := range jobs {
		s.first = jobs[i].IV
		x.tweak.block().Encrypt(s.first[:], s.first[:])
		s.crypt(crypt, jobs[i].Dst, jobs[i].Src)
	}
	secmem.Wipe(s.first[:])
	secmem.Wipe(s.tweaks[:])
	xtsScratches.Put(s)
}

// crypt handles one job; s.first is its encrypted tweak.
func (s *xtsScratch) crypt(crypt func(dst, src []byte), dst, src []byte) {
	lo, hi := binary.LittleEndian.Uint64(s.first[:8]), binary.LittleEndian.Uint64(s.first[8:])
	for len(src) > 0 {
		n := min(len(src), xtsPass)
		tweaks, out := s.tweaks[:n], dst[:n]
		for t := tweaks; len(t) >= BlockSize; t = t[BlockSize:] {
			binary.LittleEndian.PutUint64(t[:8], lo)
			binary.LittleEndian.PutUint64(t[8:16], hi)
			lo, hi = xtsDouble(lo, hi)
		}
		subtle.XORBytes(out, src[:n], tweaks)
		for b := out; len(b) >= BlockSize; b = b[BlockSize:] {
			crypt(b[:BlockSize], b[:BlockSize])
		}
		subtle.XORBytes(out, out, tweaks)
		dst, src = dst[n:], src[n:]
	}
}

// xtsDouble multiplies a tweak by alpha in GF(2^128) modulo x^128+x^7+x^2+x+1
// (IEEE 1619-2018, section 5.2), without a branch on its bits.
func xtsDouble(lo, hi uint64) (uint64, uint64) {
	carry := uint64(int64(hi)>>63) & 0x87
	return lo<<1 ^ carry, hi<<1 | lo>>63
}
