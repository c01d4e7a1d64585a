package main

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// GHASH (SP 800-38D, section 6.4) in the bit order of POLYVAL (RFC 8452,
// appendix A): blocks are byte-reversed, and powers carry a factor x, so that a
// product needs no shift. Many products are added up before one reduction;
// block i of the n that share one is multiplied by H^(n-i).
//
// The table in memory, aligned to 64 bytes. internal/aes/ghash_amd64.go has the
// same numbers and fills in the constants.
const (
	tabMask   = 0   // 64 bytes: the shuffle that reverses each block
	tabCtr    = 64  // 512: what counters add to their base
	tabPoly   = 576 // 16: the reduction's constant; after it tabSum, of sum.go
	tabPowers = 640 // H^168 … H^1, 16 bytes each, and 64 bytes that are only ever multiplied by zeros
	powers    = 168 // at most 4 of additional data, 128 of units, 32 of tail, 1 of lengths
	tabEnd    = tabPowers + 16*powers
	tabMids   = tabEnd + 64 - tabPowers // from a power to the sum of its halves, in both halves
)

// A hasher emits code that adds products to lo, mid and hi (Karatsuba).
type hasher struct {
	c           *gen
	wide        bool // 512-bit registers with AVX-512, else 128-bit ones with SSE
	lo, mid, hi reg.VecPhysical
	y           reg.VecPhysical    // what the next block is to be added to; zero but at a group's begin
	t           [4]reg.VecPhysical // scratch; narrow: three
	mask        operand.Op         // the shuffle that reverses a block, in memory or a register
	tab         reg.Register       // the table
	pp          reg.Register       // the power of the next block
}

// width is a register's, in bytes.
func (h *hasher) width() int {
	if h.wide {
		return 64
	}
	return 16
}

// What follows works on whole registers, or on any part of one in AVX-512 form.

func (h *hasher) load(from, to operand.Op) {
	if h.wide {
		h.c.VMOVDQU64(from, to)
	} else {
		h.c.MOVOU(from, to)
	}
}

func (h *hasher) xor(from, to operand.Op) {
	if h.wide {
		h.c.VPXORQ(from, to, to)
	} else {
		h.c.PXOR(from, to)
	}
}

func (h *hasher) zero(v operand.Op) { h.xor(v, v) }

func (h *hasher) reverse(v operand.Op) {
	if h.wide {
		h.c.VPSHUFB(h.mask, v, v)
	} else {
		h.c.PSHUFB(h.mask, v)
	}
}

// swap sets to to from with its halves exchanged.
func (h *hasher) swap(from, to operand.Op) {
	if h.wide {
		h.c.VPSHUFD(operand.Imm(0x4e), from, to)
	} else {
		h.c.PSHUFD(operand.Imm(0x4e), from, to)
	}
}

// mul multiplies the low halves of v and by (the high ones, if high) to to. by may be memory.
func (h *hasher) mul(high bool, by, v, to operand.Op) {
	pick := operand.Imm(0)
	if high {
		pick = operand.Imm(0x11)
	}
	if h.wide {
		h.c.VPCLMULQDQ(pick, by, v, to)
		return
	}
	if v != to {
		h.c.MOVOU(v, to)
	}
	h.c.PCLMULQDQ(pick, by, to)
}

// absorb returns the steps that take t[0], a register of blocks as they are in memory,
// into the sums by way of t[1], with the powers at pp+off; first says that y comes in.
func (h *hasher) absorb(off int, first bool) []func() {
	v, m := h.t[0], h.t[1]
	return append(h.reversed(first),
		func() { h.mul(false, at(h.pp, off), v, m) },
		func() { h.xor(m, h.lo) },
		func() { h.swap(v, m) },
		func() { h.xor(v, m) },
		func() { h.mul(true, at(h.pp, off), v, v) },
		func() { h.xor(v, h.hi) },
		func() { h.mul(false, at(h.pp, off+tabMids), m, m) },
		func() { h.xor(m, h.mid) },
	)
}

func (h *hasher) reversed(first bool) []func() {
	steps := []func(){func() { h.reverse(h.t[0]) }}
	if first {
		steps = append(steps,
			func() { h.xor(h.y, h.t[0]) },
			func() { h.zero(h.y) })
	}
	return steps
}

// absorbX takes the one reversed block in the low lane of t[0] into the sums, with the power at from.
func (h *hasher) absorbX(from operand.Mem) {
	v, m, p := h.t[0].AsX(), h.t[1].AsX(), h.t[2].AsX()
	mids := from
	mids.Disp += tabMids
	h.swap(v, m)
	h.xor(v, m)
	h.mul(false, from, v, p)
	h.mul(true, from, v, v)
	h.mul(false, mids, m, m)
	h.xor(h.t[2], h.lo) // the other lanes are zero
	h.xor(h.t[0], h.hi)
	h.xor(h.t[1], h.mid)
}

// pair returns the steps that take in two wide registers of blocks at from, with one addition to each sum.
func (h *hasher) pair(from reg.Register, disp, off int, first bool) []func() {
	v, w, p, q := h.t[0], h.t[1], h.t[2], h.t[3]
	add := func(a, b, sum reg.VecPhysical) func() {
		return func() { h.c.VPTERNLOGQ(operand.Imm(0x96), a, b, sum) }
	}
	steps := []func(){
		func() { h.load(at(from, disp), v) },
		func() { h.load(at(from, disp+64), w) },
		func() { h.reverse(v) },
		func() { h.reverse(w) },
	}
	if first {
		steps = append(steps, func() { h.xor(h.y, v) }, func() { h.zero(h.y) })
	}
	return append(steps,
		func() { h.mul(false, at(h.pp, off), v, p) },
		func() { h.mul(false, at(h.pp, off+64), w, q) },
		add(p, q, h.lo),
		func() { h.swap(v, p) },
		func() { h.swap(w, q) },
		func() { h.xor(v, p) },
		func() { h.xor(w, q) },
		func() { h.mul(true, at(h.pp, off), v, v) },
		func() { h.mul(true, at(h.pp, off+64), w, w) },
		add(v, w, h.hi),
		func() { h.mul(false, at(h.pp, off+tabMids), p, p) },
		func() { h.mul(false, at(h.pp, off+64+tabMids), q, q) },
		add(p, q, h.mid),
	)
}

// reduce adds up the lanes of the sums, reduces them into y and clears them.
func (h *hasher) reduce() {
	c, t := h.c, h.t[0]
	h.xor(h.lo, h.mid)
	h.xor(h.hi, h.mid)
	if h.wide {
		c.VPSLLDQ(operand.Imm(8), h.mid, t)
		c.VPSRLDQ(operand.Imm(8), h.mid, h.mid)
	} else {
		c.MOVOU(h.mid, t)
		c.PSLLDQ(operand.Imm(8), t)
		c.PSRLDQ(operand.Imm(8), h.mid)
	}
	h.xor(t, h.lo)
	h.xor(h.mid, h.hi)
	if h.wide {
		h.fold(h.lo, h.t[0])
		h.fold(h.hi, h.t[1])
	}
	lo := h.lo.AsX()
	for range 2 {
		h.mul(false, at(h.tab, tabPoly), lo, t.AsX())
		h.swap(lo, lo)
		h.xor(t.AsX(), lo)
	}
	h.xor(h.hi.AsX(), lo)
	if h.wide {
		c.VMOVDQU64(lo, h.y.AsX())
	} else {
		c.MOVOU(lo, h.y)
	}
	h.clear()
}

func (h *hasher) clear() {
	h.zero(h.lo)
	h.zero(h.mid)
	h.zero(h.hi)
}

// fold adds up the four lanes of v into the lowest.
func (h *hasher) fold(v, t reg.VecPhysical) {
	h.c.VEXTRACTI64X4(operand.Imm(1), v, t.AsY())
	h.c.VPXORQ(t.AsY(), v.AsY(), v.AsY())
	h.c.VEXTRACTI32X4(operand.Imm(1), v.AsY(), t.AsX())
	h.c.VPXORQ(t.AsX(), v.AsX(), v.AsX())
}

// ghash makes what sets up a table.
func ghash(c *gen) {
	c.fn("ghashPowers", "func(tab *byte)", "fills the powers and their sums of halves from H^1, which is there already.")
	tab := c.arg("tab")
	h := &hasher{c: c, lo: x[8], mid: x[9], hi: x[10], y: x[11],
		t: [4]reg.VecPhysical{x[12], x[13], x[14]}, tab: tab}
	at1, pp, n := at(tab, tabEnd-16), c.GP64(), c.GP32()
	c.LEAQ(at(tab, tabEnd-16), pp)
	c.MOVL(operand.U32(powers), n)
	c.MOVOU(at1, h.y)
	h.clear()
	sum := func() {
		c.MOVOU(h.y, at(pp, 0))
		h.swap(h.y, h.t[0])
		c.PXOR(h.y, h.t[0])
		c.MOVOU(h.t[0], at(pp, tabMids))
	}
	sum()
	c.Label("loop")
	c.DECL(n)
	c.JEQ(operand.LabelRef("done"))
	c.MOVOU(h.y, h.t[0])
	h.absorbX(at1)
	h.reduce()
	c.SUBQ(operand.Imm(16), pp)
	sum()
	c.JMP(operand.LabelRef("loop"))
	c.Label("done")
	c.retX()
}
