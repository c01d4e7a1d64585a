package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Kernels for VAES on 256-bit registers, without AVX-512: only what VEX encodes, that
// is sixteen registers, no masks, and nothing like VPTERNLOGQ. A round key is broadcast
// from memory for each round, which costs one load for all registers in flight, and what is shorter than a
// register goes through its lower half alone; loads of that clear the upper one.

// isY reports whether v has 256 bits.
func isY(v reg.VecPhysical) bool { return v.Size() == 32 }

// keyXY loads round key i into every lane of key.
func (c *gen) keyXY(keys reg.Register, i int, key reg.VecPhysical) {
	if isY(key) {
		c.VBROADCASTI128(at(keys, 16*i), key)
	} else {
		c.MOVOU(at(keys, 16*i), key)
	}
}

// roundXY is roundX for registers of either width.
func (c *gen) roundXY(key, v reg.VecPhysical, i, r int, decrypt bool) {
	if !isY(v) {
		c.roundX(key, v, i, r, decrypt)
		return
	}
	switch {
	case i == 0:
		c.VPXOR(key, v, v)
	case i == r && decrypt:
		c.VAESDECLAST(key, v, v)
	case i == r:
		c.VAESENCLAST(key, v, v)
	case decrypt:
		c.VAESDEC(key, v, v)
	default:
		c.VAESENC(key, v, v)
	}
}

// aesXYOps returns the instructions of the whole cipher on every register of s, with the
// round keys from memory by way of key.
func (c *gen) aesXYOps(s []reg.VecPhysical, keys reg.Register, key reg.VecPhysical, r int, decrypt bool) (ops []func()) {
	for i := 0; i <= r; i++ {
		ops = append(ops, func() { c.keyXY(keys, i, key) })
		for _, v := range s {
			ops = append(ops, func() { c.roundXY(key, v, i, r, decrypt) })
		}
	}
	return ops
}

// aesY is aesX for 256 bits.
func (c *gen) aesY(s []reg.VecPhysical, keys reg.Register, r int, decrypt bool) {
	emit(c.aesXYOps(s, keys, y[15], r, decrypt))
}

// retY clears all vector registers and returns, with their upper halves clean as the ABI wants.
func (c *gen) retY() {
	c.VZEROALL()
	c.RET()
}

// A stretch is a step of a loop over a message: some registers, or half of one.
type stretch struct {
	regs  int
	bytes int
}

// part returns v as far as the stretch fills it.
func (s stretch) part(v reg.VecPhysical) reg.VecPhysical {
	if s.bytes == 16 {
		return v.AsX().(reg.VecPhysical)
	}
	return v
}

// stretches makes one loop after the other over n blocks, each for a number of registers and the
// last one for a single block, and goes to done; src and dst advance.
func (c *gen) stretches(n, src, dst reg.Register, r int, regs []int, body func(s stretch)) {
	steps := []stretch{}
	for _, k := range regs {
		steps = append(steps, stretch{k, 32 * k})
	}
	for _, s := range append(steps, stretch{1, 16}) {
		c.while(n, s.bytes/16, fmt.Sprintf("r%dby%d", r, s.bytes/16), func() {
			body(s)
			c.ADDQ(operand.U32(s.bytes), src)
			c.ADDQ(operand.U32(s.bytes), dst)
		})
	}
	c.JMP(operand.LabelRef("done"))
}
