package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// key makes the key expansions, and the block cipher by itself (ECB).
func key(c *gen) {
	expand128(c)
	expand192(c)
	expand256(c)
	for _, r := range rounds {
		invert(c, r)
	}
	ecbZ(c)
	ecbX(c)
	ecbY(c)
}

// mix replaces k by its running XOR of words (w0, w0+w1, …) and adds the word of t that the shuffle picks:
// one step of FIPS 197's key expansion. It uses u.
func mix(c *gen, k, t, u reg.VecPhysical, pick uint64) {
	c.PSHUFD(operand.Imm(pick), t, t)
	c.MOVOU(k, u)
	c.PSLLDQ(operand.Imm(4), u)
	c.PXOR(u, k)
	c.PSLLDQ(operand.Imm(4), u)
	c.PXOR(u, k)
	c.PSLLDQ(operand.Imm(4), u)
	c.PXOR(u, k)
	c.PXOR(t, k)
}

const expandSig = "func(raw, enc *byte)"

func expandDoc(bits, r int) string {
	return fmt.Sprintf("expands the %d-bit key at raw to %d round keys at enc, aligned to 16 bytes.", bits, r+1)
}

func expand128(c *gen) {
	c.fn("expand128", expandSig, expandDoc(128, 10))
	raw, enc := c.arg("raw"), c.arg("enc")
	c.MOVOU(at(raw, 0), x[0])
	c.MOVOU(x[0], at(enc, 0))
	rcon := 1
	for i := 1; i <= 10; i++ {
		c.AESKEYGENASSIST(operand.Imm(uint64(rcon)), x[0], x[1])
		mix(c, x[0], x[1], x[2], 0xff)
		c.MOVOU(x[0], at(enc, 16*i))
		if rcon <<= 1; rcon == 0x100 {
			rcon = 0x1b
		}
	}
	c.retX()
}

// expand192 keeps six words: four in x0, two in the low half of x3.
func expand192(c *gen) {
	c.fn("expand192", expandSig, expandDoc(192, 12))
	raw, enc := c.arg("raw"), c.arg("enc")
	c.MOVOU(at(raw, 0), x[0])
	c.MOVQ(at(raw, 16), x[3])
	c.MOVOU(x[0], at(enc, 0))
	c.MOVQ(x[3], at(enc, 16))
	for i := 1; i <= 8; i++ {
		c.AESKEYGENASSIST(operand.Imm(1<<(i-1)), x[3], x[1])
		mix(c, x[0], x[1], x[2], 0x55)
		c.MOVOU(x[0], at(enc, 24*i))
		if i == 8 {
			break
		}
		// w4' = w4+w3', w5' = w5+w4'
		c.PSHUFD(operand.Imm(0xff), x[0], x[1])
		c.MOVOU(x[3], x[2])
		c.PSLLDQ(operand.Imm(4), x[2])
		c.PXOR(x[2], x[3])
		c.PXOR(x[1], x[3])
		c.MOVQ(x[3], at(enc, 24*i+16))
	}
	c.retX()
}

func expand256(c *gen) {
	c.fn("expand256", expandSig, expandDoc(256, 14))
	raw, enc := c.arg("raw"), c.arg("enc")
	c.MOVOU(at(raw, 0), x[0])
	c.MOVOU(at(raw, 16), x[3])
	c.MOVOU(x[0], at(enc, 0))
	c.MOVOU(x[3], at(enc, 16))
	for i := 1; i <= 7; i++ {
		c.AESKEYGENASSIST(operand.Imm(1<<(i-1)), x[3], x[1])
		mix(c, x[0], x[1], x[2], 0xff)
		c.MOVOU(x[0], at(enc, 32*i))
		if i == 7 {
			break
		}
		c.AESKEYGENASSIST(operand.Imm(0), x[0], x[1])
		mix(c, x[3], x[1], x[2], 0xaa)
		c.MOVOU(x[3], at(enc, 32*i+16))
	}
	c.retX()
}

// invert makes the round keys of the equivalent inverse cipher (FIPS 197, section 5.3.5).
func invert(c *gen, r int) {
	c.fn(fmt.Sprintf("invertKeys%d", r), "func(enc, dec *byte)",
		fmt.Sprintf("turns %d round keys for encryption into those for decryption, in order of use.", r+1))
	enc, dec := c.arg("enc"), c.arg("dec")
	for i := 0; i <= r; i++ {
		c.MOVOU(at(enc, 16*(r-i)), x[0])
		if i != 0 && i != r {
			c.AESIMC(x[0], x[0])
		}
		c.MOVOU(x[0], at(dec, 16*i))
	}
	c.retX()
}

const ecbSig = "func(keys, dst, src *byte, blocks, rounds int)"

// ecbZ encrypts 16 blocks at a time, then four, then the rest under a mask.
func ecbZ(c *gen) {
	c.fn("ecbEncryptVAES512", ecbSig, "encrypts blocks of 16 bytes by themselves.")
	keys, dst, src, n := c.arg("keys"), c.arg("dst"), c.arg("src"), c.arg("blocks")
	c.byRounds(func(r int) {
		k := z[16 : 16+r+1]
		c.broadcastKeys(keys, k)
		for _, regs := range []int{4, 1} {
			s := z[:regs]
			c.while(n, 4*regs, fmt.Sprintf("r%dby%d", r, 4*regs), func() {
				for i, v := range s {
					c.VPXORQ(at(src, 64*i), k[0], v)
				}
				c.aesZ(s, k, false)
				for i, v := range s {
					c.VMOVDQU64(v, at(dst, 64*i))
				}
				c.ADDQ(operand.U32(64*regs), src)
				c.ADDQ(operand.U32(64*regs), dst)
			})
		}
		c.TESTQ(n, n)
		c.JEQ(operand.LabelRef("done"))
		c.tailMask(n, reg.K1)
		c.VMOVDQU64_Z(at(src, 0), reg.K1, z[0])
		c.VPXORQ(k[0], z[0], z[0])
		c.aesZ(z[:1], k, false)
		c.VMOVDQU64(z[0], reg.K1, at(dst, 0))
		c.JMP(operand.LabelRef("done"))
	})
	c.Label("done")
	c.retZ()
}

// ecbX encrypts eight blocks at a time, then one.
func ecbX(c *gen) {
	c.fn("ecbEncryptAESNI", ecbSig, "encrypts blocks of 16 bytes by themselves.")
	keys, dst, src, n := c.arg("keys"), c.arg("dst"), c.arg("src"), c.arg("blocks")
	c.byRounds(func(r int) {
		for _, regs := range []int{8, 1} {
			s := x[:regs]
			c.while(n, regs, fmt.Sprintf("r%dby%d", r, regs), func() {
				for i, v := range s {
					c.MOVOU(at(src, 16*i), v)
				}
				c.aesX(s, keys, r, false)
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
