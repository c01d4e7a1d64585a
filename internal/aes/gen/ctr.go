package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

const ctrSig = "func(keys, counter, dst, src *byte, blocks, rounds int)"

// ctr makes counter mode. The counter is big-endian, and its low 64 bits do not overflow within one call.
func ctr(c *gen) {
	swap := c.lanes128("ctrSwap", 0x08090a0b0c0d0e0f, 0x0001020304050607)
	steps := c.StaticGlobal("ctrSteps") // 0, 1, 2, 3 in the low halves
	c.DataAttributes(attr.RODATA | attr.NOPTR)
	for i := range 4 {
		c.AddDatum(16*i, operand.U64(i))
		c.AddDatum(16*i+8, operand.U64(0))
	}
	four := c.lanes128("ctrFour", 4, 0)
	ctrZ(c, swap, steps, four)
	ctrX(c, swap, steps)
	ctrY(c, swap, steps, c.lanes128("ctrTwo", 2, 0))
}

// ctrZ handles 32 blocks at a time, then four, then the rest under a mask. The
// next counters are in z15, least significant byte first.
func ctrZ(c *gen, swapMem, steps, fourMem operand.Mem) {
	c.fn("ctrVAES512", ctrSig, "encrypts or decrypts one message.")
	keys, counter, dst, src, n := c.arg("keys"), c.arg("counter"), c.arg("dst"), c.arg("src"), c.arg("blocks")
	next, swap, four := z[15], z[31], z[14]
	c.VMOVDQU64(swapMem, swap)
	c.VMOVDQU64(fourMem, four)
	c.VBROADCASTI64X2(at(counter, 0), next)
	c.VPSHUFB(swap, next, next)
	c.VPADDQ(steps, next, next)
	c.byRounds(func(r int) {
		k := z[16 : 16+r+1]
		c.broadcastKeys(keys, k)
		start := func(v reg.VecPhysical) {
			c.VPSHUFB(swap, next, v)
			c.VPADDQ(four, next, next)
			c.VPXORQ(k[0], v, v)
		}
		for _, regs := range []int{8, 1} {
			s := z[:regs]
			c.while(n, 4*regs, fmt.Sprintf("r%dby%d", r, 4*regs), func() {
				for _, v := range s {
					start(v)
				}
				c.aesZ(s, k, false)
				for i, v := range s {
					c.VPXORQ(at(src, 64*i), v, v)
					c.VMOVDQU64(v, at(dst, 64*i))
				}
				c.ADDQ(operand.U32(64*regs), src)
				c.ADDQ(operand.U32(64*regs), dst)
			})
		}
		c.TESTQ(n, n)
		c.JEQ(operand.LabelRef("done"))
		c.tailMask(n, reg.K1)
		start(z[0])
		c.aesZ(z[:1], k, false)
		c.VMOVDQU64_Z(at(src, 0), reg.K1, z[1])
		c.VPXORQ(z[1], z[0], z[0])
		c.VMOVDQU64(z[0], reg.K1, at(dst, 0))
		c.JMP(operand.LabelRef("done"))
	})
	c.Label("done")
	c.retZ()
}

// ctrX handles eight blocks at a time, then one.
func ctrX(c *gen, swapMem, steps operand.Mem) {
	c.fn("ctrAESNI", ctrSig, "encrypts or decrypts one message.")
	keys, counter, dst, src, n := c.arg("keys"), c.arg("counter"), c.arg("dst"), c.arg("src"), c.arg("blocks")
	next, swap, one, t := x[14], x[13], x[12], x[11]
	c.MOVOU(swapMem, swap)
	c.MOVOU(steps.Offset(16), one)
	c.MOVOU(at(counter, 0), next)
	c.PSHUFB(swap, next)
	c.byRounds(func(r int) {
		for _, regs := range []int{8, 1} {
			s := x[:regs]
			c.while(n, regs, fmt.Sprintf("r%dby%d", r, regs), func() {
				for _, v := range s {
					c.MOVOU(next, v)
					c.PSHUFB(swap, v)
					c.PADDQ(one, next)
				}
				c.aesX(s, keys, r, false)
				for i, v := range s {
					c.MOVOU(at(src, 16*i), t)
					c.PXOR(t, v)
					c.MOVOU(v, at(dst, 16*i))
				}
				c.ADDQ(operand.U32(16*regs), src)
				c.ADDQ(operand.U32(16*regs), dst)
			})
		}
		c.JMP(operand.LabelRef("done"))
	})
	c.Label("done")
	c.retX()
}
