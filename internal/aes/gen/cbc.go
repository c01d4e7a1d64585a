package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Layout of the Go type cbcLanes, in bytes.
const (
	laneIV  = 0             // 32 chaining values of 16
	laneSrc = 32 * 16       // 32 pointers
	laneDst = laneSrc + 256 // 32 pointers
)

// Chains side by side, in the kernels for encryption.
var (
	cbcGroupsZ     = []int{1, 2, 3, 4, 5, 6, 8} // registers of four chains
	cbcLineGroupsZ = []int{4, 5, 6, 8}
	cbcLanesX      = []int{1, 2, 4, 8, 10, 11, 12}
	cbcLineLanesX  = []int{8, 10, 11, 12}
)

// cbc makes CBC: encryption with many chains side by side, decryption of one message at a time.
func cbc(c *gen) {
	for _, g := range cbcGroupsZ {
		cbcEncryptZ(c, g)
	}
	for _, g := range cbcLineGroupsZ {
		cbcEncryptLinesZ(c, g)
	}
	for _, n := range cbcLanesX {
		cbcEncryptX(c, n)
	}
	for _, n := range cbcLineLanesX {
		cbcEncryptLinesX(c, n)
	}
	cbcDecryptZ(c)
	cbcDecryptX(c)
	cbc256(c)
}

const cbcEncryptSig = "func(keys *byte, lanes *byte, blocks, rounds int)"

// cbcEncryptZ holds the state of chains 4g..4g+3 in register g and the round keys in z16...; the rest is
// for plaintext. Every step reads one block of each chain, then writes one of
// each, so that lanes that are copies of one another do no harm.
func cbcEncryptZ(c *gen, groups int) {
	c.fn(fmt.Sprintf("cbcEncryptVAES512x%d", 4*groups), cbcEncryptSig,
		fmt.Sprintf("encrypts blocks > 0 blocks of each of the first %d lanes.", 4*groups))
	keys, lanes, n := c.arg("keys"), c.arg("lanes"), c.arg("blocks")
	off := c.GP64()
	c.XORQ(off, off)
	for i, mask := range []reg.OpmaskPhysical{reg.K1, reg.K2, reg.K3} {
		m := c.GP32()
		c.MOVL(operand.U32(0xc<<(2*i)), m)
		c.KMOVW(m, mask)
	}
	s := z[:groups]
	for i, v := range s {
		c.VMOVDQU64(at(lanes, laneIV+64*i), v)
	}
	c.byRounds(func(r int) {
		k := z[16 : 16+r+1]
		c.broadcastKeys(keys, k)
		loop := fmt.Sprintf("r%dloop", r)
		c.Label(loop)
		for i, v := range s {
			t := 8 + i%8
			c.gather(lanes, laneSrc+32*i, off, t)
			c.VPTERNLOGQ(operand.Imm(0x96), z[t], k[0], v)
		}
		c.aesZ(s, k, false)
		for i := range s {
			c.scatter(lanes, laneDst+32*i, off, i)
		}
		c.ADDQ(operand.Imm(16), off)
		c.DECQ(n)
		c.JNE(operand.LabelRef(loop))
		c.JMP(operand.LabelRef("done"))
	})
	c.Label("done")
	for i, v := range s {
		c.VMOVDQU64(v, at(lanes, laneIV+64*i))
	}
	c.retZ()
}

// gather reads 16 bytes each from four pointers + off into the lanes of register z[to].
func (c *gen) gather(lanes reg.Register, disp int, off reg.Register, to int) {
	for i, mask := range []reg.OpmaskPhysical{nil, reg.K1, reg.K2, reg.K3} {
		p := c.GP64()
		c.MOVQ(at(lanes, disp+8*i), p)
		if i == 0 {
			c.VMOVDQU(atx(p, off, 0), x[to])
		} else {
			c.VBROADCASTI64X2(atx(p, off, 0), mask, z[to])
		}
	}
}

// scatter writes the four lanes of register z[from] to four pointers + off.
func (c *gen) scatter(lanes reg.Register, disp int, off reg.Register, from int) {
	for i := range 4 {
		p := c.GP64()
		c.MOVQ(at(lanes, disp+8*i), p)
		if i == 0 {
			c.VMOVDQU(x[from], atx(p, off, 0))
		} else {
			c.VEXTRACTI64X2(operand.Imm(uint64(i)), z[from], atx(p, off, 0))
		}
	}
}

// cbcEncryptX holds the state of chain i in register i; round keys come from memory.
func cbcEncryptX(c *gen, width int) {
	c.fn(fmt.Sprintf("cbcEncryptAESNIx%d", width), cbcEncryptSig,
		fmt.Sprintf("encrypts blocks > 0 blocks of each of the first %d lanes.", width))
	keys, lanes, n := c.arg("keys"), c.arg("lanes"), c.arg("blocks")
	off, p := c.GP64(), c.GP64()
	c.XORQ(off, off)
	s := x[:width]
	for i, v := range s {
		c.MOVOU(at(lanes, laneIV+16*i), v)
	}
	c.byRounds(func(r int) {
		loop := fmt.Sprintf("r%dloop", r)
		c.Label(loop)
		for i, v := range s {
			c.MOVQ(at(lanes, laneSrc+8*i), p)
			c.MOVOU(atx(p, off, 0), x[15])
			c.PXOR(x[15], v)
		}
		c.aesX(s, keys, r, false)
		for i, v := range s {
			c.MOVQ(at(lanes, laneDst+8*i), p)
			c.MOVOU(v, atx(p, off, 0))
		}
		c.ADDQ(operand.Imm(16), off)
		c.DECQ(n)
		c.JNE(operand.LabelRef(loop))
		c.JMP(operand.LabelRef("done"))
	})
	c.Label("done")
	for i, v := range s {
		c.MOVOU(v, at(lanes, laneIV+16*i))
	}
	c.retX()
}
