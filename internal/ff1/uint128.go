package ff1

import "math/bits"

// A uint128 is a number below 2^127, so that a sum of two is below 2^128.
type uint128 struct{ hi, lo uint64 }

// power returns base^n, and false where that is no uint128.
func power(base uint64, n int) (uint128, bool) {
	p := uint128{lo: 1}
	for range n {
		if p.hi >= (1<<63)/base {
			return uint128{}, false
		}
		p = p.mulAdd(base, 0)
	}
	return p, true
}

// mulAdd returns x m + a, modulo 2^128.
func (x uint128) mulAdd(m, a uint64) uint128 {
	hi, lo := bits.Mul64(x.lo, m)
	lo, carry := bits.Add64(lo, a, 0)
	return uint128{hi: hi + x.hi*m + carry, lo: lo}
}

// less1 returns x − 1.
func (x uint128) less1() uint128 {
	lo, borrow := bits.Sub64(x.lo, 1, 0)
	return uint128{hi: x.hi - borrow, lo: lo}
}

func (x uint128) bitLen() int {
	if x.hi != 0 {
		return 64 + bits.Len64(x.hi)
	}
	return bits.Len64(x.lo)
}

// addMod returns x + y modulo m, for x and y below m.
func (x uint128) addMod(y, m uint128) uint128 {
	lo, carry := bits.Add64(x.lo, y.lo, 0)
	hi, _ := bits.Add64(x.hi, y.hi, carry)
	return uint128{hi, lo}.below(m)
}

// below returns x, or x − m where x is not below m: without a branch.
func (x uint128) below(m uint128) uint128 {
	lo, borrow := bits.Sub64(x.lo, m.lo, 0)
	hi, borrow := bits.Sub64(x.hi, m.hi, borrow)
	keep := -borrow // all ones: x was below m
	return uint128{hi: hi&^keep | x.hi&keep, lo: lo&^keep | x.lo&keep}
}

// subMod returns x − y modulo m, for x and y below m: without a branch.
func (x uint128) subMod(y, m uint128) uint128 {
	lo, borrow := bits.Sub64(x.lo, y.lo, 0)
	hi, borrow := bits.Sub64(x.hi, y.hi, borrow)
	add := -borrow
	lo, carry := bits.Add64(lo, m.lo&add, 0)
	hi, _ = bits.Add64(hi, m.hi&add, carry)
	return uint128{hi, lo}
}

// reduce returns the big-endian number b modulo m, bit by bit.
func reduce(b []byte, m uint128) (x uint128) {
	for _, c := range b {
		for i := 7; i >= 0; i-- {
			x = uint128{hi: x.hi<<1 | x.lo>>63, lo: x.lo<<1 | uint64(c>>i&1)}.below(m)
		}
	}
	return x
}
