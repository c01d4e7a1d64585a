// Package ff1 is the format-preserving encryption FF1 of NIST SP 800-38G (rev. 1,
// second public draft of 2025, which leaves FF1 as it was in 2016 and raises the
// smallest domain to 10^6): numerals of a radix become as many others.
//
// What it is not: authenticated. Every string decrypts to something.
//
// A Cipher may be used by many goroutines at once. Additions and reductions take
// the same time whatever the numerals are; turning numbers into numerals divides,
// and does not on every processor.
package ff1

import (
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"math/bits"

	"github.com/cofferdb/coffer/internal/fault"
)

const (
	blockSize = 16
	rounds    = 10
	minDomain = 1_000_000 // SP 800-38G rev. 1, section 5.1
	maxRadix  = 36
	maxTweak  = 1 << 16
)

// A Block encrypts blocks of 16 bytes each by itself, as AES does.
type Block interface {
	// EncryptBlocks encrypts src, whole blocks, to dst, the same memory or apart.
	EncryptBlocks(dst, src []byte)
}

// A Cipher is FF1 under one key for one radix.
type Cipher struct {
	block  Block
	radix  int
	minLen int
}

// New returns FF1 over a block cipher for numerals 0 to radix−1, radix 2 to 36. The error is a fault.Usage.
func New(block Block, radix int) (*Cipher, error) {
	if radix < 2 || radix > maxRadix {
		return nil, fmt.Errorf("ff1: %w: radix %d is not in 2 to %d", fault.Usage, radix, maxRadix)
	}
	c := &Cipher{block: block, radix: radix}
	for domain := 1; domain < minDomain; domain *= radix {
		c.minLen++
	}
	return c, nil
}

// Encrypt replaces the numerals x by their encryption under the tweak, which is public and need not be random.
// The error, a fault.Usage, says what is wrong with a length or a numeral; x is then unchanged.
func (c *Cipher) Encrypt(x, tweak []byte) error {
	f, err := c.feistel(x, tweak)
	if err != nil {
		return err
	}
	a, b := x[:f.u], x[f.u:]
	na, nb := f.number(a), f.number(b)
	for i := range rounds {
		na, nb = nb, na.addMod(f.round(i, nb), f.modulus[i%2])
	}
	f.numerals(a, na)
	f.numerals(b, nb)
	return nil
}

// Decrypt is the inverse of Encrypt.
func (c *Cipher) Decrypt(x, tweak []byte) error {
	f, err := c.feistel(x, tweak)
	if err != nil {
		return err
	}
	a, b := x[:f.u], x[f.u:]
	na, nb := f.number(a), f.number(b)
	for i := rounds - 1; i >= 0; i-- {
		na, nb = nb.subMod(f.round(i, na), f.modulus[i%2]), na
	}
	f.numerals(a, na)
	f.numerals(b, nb)
	return nil
}

// A feistel is one message: SP 800-38G, algorithms 7 and 8, steps 1 to 5.
type feistel struct {
	block   Block
	radix   uint64
	u       int        // numerals of the first half
	modulus [2]uint128 // radix^u, radix^v: of even and of odd rounds
	b, d    int        // bytes of a half, and of a round's output
	m       []byte     // P ‖ Q, of which a round changes the end
	r       [2 * blockSize]byte
}

func (c *Cipher) feistel(x, tweak []byte) (*feistel, error) {
	u := len(x) / 2
	v := len(x) - u
	high, ok := power(uint64(c.radix), v)
	switch {
	case len(x) < c.minLen:
		return nil, fmt.Errorf("ff1: %w: %d numerals, at least %d are needed for a domain of %d", fault.Usage, len(x), c.minLen, minDomain)
	case !ok:
		return nil, fmt.Errorf("ff1: %w: %d numerals are too many", fault.Usage, len(x))
	case len(tweak) > maxTweak:
		return nil, fmt.Errorf("ff1: %w: a tweak of %d bytes", fault.Usage, len(tweak))
	}
	for _, n := range x {
		if int(n) >= c.radix {
			return nil, fmt.Errorf("ff1: %w: a numeral is not below the radix", fault.Usage)
		}
	}
	low, _ := power(uint64(c.radix), u)
	f := &feistel{block: c.block, radix: uint64(c.radix), u: u, modulus: [2]uint128{low, high}}
	f.b = (high.less1().bitLen() + 7) / 8
	f.d = 4*((f.b+3)/4) + 4
	pad := (blockSize - (len(tweak)+f.b+1)%blockSize) % blockSize
	f.m = make([]byte, 0, blockSize+len(tweak)+pad+1+f.b)
	f.m = append(f.m, 1, 2, 1, 0, 0, byte(c.radix), rounds, byte(u))
	f.m = binary.BigEndian.AppendUint32(f.m, uint32(len(x)))
	f.m = binary.BigEndian.AppendUint32(f.m, uint32(len(tweak)))
	f.m = append(f.m, tweak...)
	f.m = f.m[:cap(f.m)] // zeros
	return f, nil
}

// round returns y of round i, reduced: step 6, i to v.
func (f *feistel) round(i int, b uint128) uint128 {
	end := f.m[len(f.m)-f.b-1:]
	end[0] = byte(i)
	var raw [blockSize]byte
	binary.BigEndian.PutUint64(raw[:8], b.hi)
	binary.BigEndian.PutUint64(raw[8:], b.lo)
	copy(end[1:], raw[blockSize-f.b:])

	r := f.r[:blockSize] // PRF: CBC-MAC
	clear(r)
	for m := f.m; len(m) > 0; m = m[blockSize:] {
		subtle.XORBytes(r, r, m[:blockSize])
		f.block.EncryptBlocks(r, r)
	}
	s := f.r[:]
	if f.d > blockSize { // d is at most 20 where a half has at most 16 bytes
		copy(s[blockSize:], r)
		s[len(s)-1] ^= 1
		f.block.EncryptBlocks(s[blockSize:], s[blockSize:])
	}
	return reduce(s[:f.d], f.modulus[i%2])
}

// number returns the number that numerals stand for, the highest first.
func (f *feistel) number(x []byte) (n uint128) {
	for _, d := range x {
		n = n.mulAdd(f.radix, uint64(d))
	}
	return n
}

// numerals is the inverse of number.
func (f *feistel) numerals(x []byte, n uint128) {
	for i := len(x) - 1; i >= 0; i-- {
		var rem uint64
		n.hi, rem = n.hi/f.radix, n.hi%f.radix
		n.lo, rem = bits.Div64(rem, n.lo, f.radix)
		x[i] = byte(rem)
	}
}
