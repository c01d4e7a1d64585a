package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

const cbcDecryptSig = "func(keys, iv, dst, src *byte, blocks, rounds int)"

// cbcDecryptZ decrypts 32 blocks at a time, then four, then the rest under a mask. The ciphertext
// before each block is added to the last round key. All of a pass is read before any of it is written, and its
// last ciphertext stays in z15, so that it works in place.
func cbcDecryptZ(c *gen) {
	c.fn("cbcDecryptVAES512", cbcDecryptSig, "decrypts one message.")
	keys, iv, dst, src, n := c.arg("keys"), c.arg("iv"), c.arg("dst"), c.arg("src"), c.arg("blocks")
	before := z[31]
	c.VBROADCASTI64X2(at(iv, 0), before)
	c.byRounds(func(r int) {
		k := z[16 : 16+r+1]
		c.broadcastKeys(keys, k)
		for _, regs := range []int{8, 1} {
			c.while(n, 4*regs, fmt.Sprintf("r%dby%d", r, 4*regs), func() {
				last := z[8 : 8+regs]
				for i := range regs {
					c.VMOVDQU64(at(src, 64*i), z[i])
				}
				// The ciphertext one block earlier: three lanes of the first register, and the last one of before.
				c.VALIGNQ(operand.Imm(6), before, z[0], last[0])
				c.VMOVDQA64(z[regs-1], before)
				c.VPXORQ(last[0], k[r], last[0])
				for i := 1; i < regs; i++ {
					c.VPXORQ(at(src, 64*i-16), k[r], last[i])
				}
				for i := range regs {
					c.VPXORQ(k[0], z[i], z[i])
				}
				c.decryptZ(z[:regs], k, last)
				for i := range regs {
					c.VMOVDQU64(z[i], at(dst, 64*i))
				}
				c.ADDQ(operand.U32(64*regs), src)
				c.ADDQ(operand.U32(64*regs), dst)
			})
		}
		c.TESTQ(n, n)
		c.JEQ(operand.LabelRef("done"))
		c.tailMask(n, reg.K1)
		c.VMOVDQU64_Z(at(src, 0), reg.K1, z[0])
		c.VALIGNQ(operand.Imm(6), before, z[0], z[8])
		c.VPXORQ(z[8], k[r], z[8])
		c.VPXORQ(k[0], z[0], z[0])
		c.decryptZ(z[:1], k, z[8:9])
		c.VMOVDQU64(z[0], reg.K1, at(dst, 0))
		c.JMP(operand.LabelRef("done"))
	})
	c.Label("done")
	c.retZ()
}

// decryptZ is aesZ with a last round key of its own for each register.
func (c *gen) decryptZ(s, k, last []reg.VecPhysical) {
	for i := 1; i < len(k)-1; i++ {
		for _, v := range s {
			c.VAESDEC(k[i], v, v)
		}
	}
	for i, v := range s {
		c.VAESDECLAST(last[i], v, v)
	}
}

// cbcDecryptX decrypts eight blocks at a time, then one.
func cbcDecryptX(c *gen) {
	c.fn("cbcDecryptAESNI", cbcDecryptSig, "decrypts one message.")
	keys, iv, dst, src, n := c.arg("keys"), c.arg("iv"), c.arg("dst"), c.arg("src"), c.arg("blocks")
	before, t := x[14], x[13]
	c.MOVOU(at(iv, 0), before)
	c.byRounds(func(r int) {
		for _, regs := range []int{8, 1} {
			s := x[:regs]
			c.while(n, regs, fmt.Sprintf("r%dby%d", r, regs), func() {
				for i, v := range s {
					c.MOVOU(at(src, 16*i), v)
				}
				c.aesX(s, keys, r, true)
				c.PXOR(before, s[0])
				for i := 1; i < regs; i++ {
					c.MOVOU(at(src, 16*i-16), t)
					c.PXOR(t, s[i])
				}
				c.MOVOU(at(src, 16*regs-16), before)
				for i, v := range s {
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
