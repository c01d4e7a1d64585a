package aes

import (
	"crypto/subtle"
	"fmt"
	"sync"

	"github.com/cofferdb/coffer/internal/secmem"
)

// A SIV is AES-SIV (RFC 5297), the deterministic form: no nonce, and a tag that
// depends on every bit of plaintext and additional data. Equal input gives equal
// output; nothing else shows.
type SIV struct {
	mac  *Key
	ctr  *CTR
	tail *secmem.Buffer // both subkeys of CMAC (SP 800-38B, section 6.1)
}

// NewSIV expands the two keys of AES-SIV, which lie side by side in raw, that of
// S2V first: 32, 48 or 64 bytes. raw is not kept. It fails with [ErrKey].
func NewSIV(raw []byte) (*SIV, error) {
	if len(raw)%2 != 0 {
		return nil, fmt.Errorf("%w: %d bytes for two keys", ErrKey, len(raw))
	}
	mac, err := NewKey(raw[:len(raw)/2])
	if err != nil {
		return nil, err
	}
	s := &SIV{mac: mac}
	if s.ctr, err = NewCTR(raw[len(raw)/2:]); err == nil {
		s.tail, err = secmem.New(2 * BlockSize)
	}
	if err != nil {
		s.Close()
		return nil, fmt.Errorf("aes: siv: %w", err)
	}
	k1, k2 := s.tail.Bytes()[:BlockSize], s.tail.Bytes()[BlockSize:]
	mac.EncryptBlocks(k1, k1) // of zeros
	double((*[BlockSize]byte)(k1))
	copy(k2, k1)
	double((*[BlockSize]byte)(k2))
	return s, nil
}

// Close wipes the keys. It may be called again, and on nil.
func (s *SIV) Close() {
	if s == nil {
		return
	}
	s.mac.Close()
	s.ctr.Close()
	s.tail.Release()
}

// Seal encrypts src to dst, of the same length and apart from it, and returns
// the synthetic IV, which is also the tag. ad are the strings of additional
// data; their number and order matter.
func (s *SIV) Seal(dst, src []byte, ad ...[]byte) (iv [BlockSize]byte) {
	w := sivWorks.Get().(*sivWork)
	defer w.end()
	w.s2v(s, src, ad)
	iv = w.d
	s.xor(w, dst, src, iv)
	return iv
}

// Open decrypts src to dst, of the same length and apart from it. Where iv is not the
// right one it leaves zeros in dst and returns false.
func (s *SIV) Open(dst, src []byte, iv [BlockSize]byte, ad ...[]byte) bool {
	w := sivWorks.Get().(*sivWork)
	defer w.end()
	s.xor(w, dst, src, iv)
	w.s2v(s, dst, ad)
	if subtle.ConstantTimeCompare(w.d[:], iv[:]) != 1 {
		clear(dst)
		return false
	}
	return true
}

// xor runs the counter mode from iv, two of whose bits are cleared (RFC 5297, section 2.5).
func (s *SIV) xor(w *sivWork, dst, src []byte, iv [BlockSize]byte) {
	iv[8] &= 0x7f
	iv[12] &= 0x7f
	w.job[0] = Job{Dst: dst, Src: src, IV: iv}
	s.ctr.XORBatch(w.job[:])
}

// A sivWork is what one call needs. It lies on the heap because it may be handed to an interface.
type sivWork struct {
	job     [1]Job
	x, d, t [BlockSize]byte // CMAC's state; S2V's; the last block
}

var sivWorks = sync.Pool{New: func() any { return new(sivWork) }}

// end wipes and returns w.
func (w *sivWork) end() {
	w.job[0] = Job{}
	secmem.Wipe(w.x[:])
	secmem.Wipe(w.d[:])
	secmem.Wipe(w.t[:])
	sivWorks.Put(w)
}

// s2v leaves S2V (RFC 5297, section 2.4) of the strings and the plaintext in w.d.
func (w *sivWork) s2v(s *SIV, plain []byte, ad [][]byte) {
	clear(w.d[:])
	w.cmac(s, w.d[:]) // of a block of zeros
	w.d = w.x
	for _, a := range ad {
		double(&w.d)
		w.cmac(s, a)
		subtle.XORBytes(w.d[:], w.d[:], w.x[:])
	}
	if n := len(plain) - BlockSize; n >= 0 {
		clear(w.x[:])
		rest := w.absorb(s, plain[:n], true) // what is left of plain[:n], then the end XOR d
		var last [2 * BlockSize]byte
		copy(last[:], rest)
		subtle.XORBytes(last[len(rest):], plain[n:], w.d[:])
		w.finish(s, w.absorb(s, last[:len(rest)+BlockSize], false))
		secmem.Wipe(last[:])
	} else {
		double(&w.d)
		clear(w.t[:])
		copy(w.t[:], plain)
		w.t[len(plain)] = 0x80
		subtle.XORBytes(w.d[:], w.d[:], w.t[:])
		w.cmac(s, w.d[:])
	}
	w.d = w.x
}

// cmac leaves CMAC (SP 800-38B) of m in w.x.
func (w *sivWork) cmac(s *SIV, m []byte) {
	clear(w.x[:])
	w.finish(s, w.absorb(s, m, false))
}

// absorb takes whole blocks of m into w.x and returns the rest: all whole blocks, or
// all but what must be left for the end, 1 to 16 bytes.
func (w *sivWork) absorb(s *SIV, m []byte, all bool) []byte {
	for len(m) > BlockSize || all && len(m) == BlockSize {
		subtle.XORBytes(w.x[:], w.x[:], m[:BlockSize])
		s.mac.EncryptBlocks(w.x[:], w.x[:])
		m = m[BlockSize:]
	}
	return m
}

// finish takes the last block of CMAC, 0 to 16 bytes.
func (w *sivWork) finish(s *SIV, last []byte) {
	clear(w.t[:])
	copy(w.t[:], last)
	tail := s.tail.Bytes()[:BlockSize]
	if len(last) < BlockSize {
		w.t[len(last)] = 0x80
		tail = s.tail.Bytes()[BlockSize:]
	}
	subtle.XORBytes(w.x[:], w.x[:], w.t[:])
	subtle.XORBytes(w.x[:], w.x[:], tail)
	s.mac.EncryptBlocks(w.x[:], w.x[:])
}

// double multiplies by x in GF(2^128), big-endian (RFC 5297, section 2.3), without a branch on its bits.
func double(b *[BlockSize]byte) {
	carry := b[0] >> 7
	for i := range BlockSize - 1 {
		b[i] = b[i]<<1 | b[i+1]>>7
	}
	b[BlockSize-1] = b[BlockSize-1]<<1 ^ carry*0x87
}
