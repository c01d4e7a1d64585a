package main

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// GMAC: GCM where all is additional data (SP 800-38D, section 3). Each job's
// additional data, whole blocks, is followed by its data. AES runs on the nonce
// alone, so that its rounds are a loop.

var gmacLayout = jobLayout{ad: 0, src: 24, nonce: 48, size: 80}

const gmacSig = "func(keys *byte, rounds int, tab, jobs *byte, n int, tags *byte, stride int)"
const gmacDoc = "writes the tags of n > 0 jobs, stride bytes apart."

func gmac(c *gen) {
	gmacWide(c)
	gmacNarrow(c)
}

func gmacWide(c *gen) {
	c.fn("gmacSumVAES512", gmacSig, gmacDoc)
	g := &gcmKernel{layout: gmacLayout, macOnly: true, hasher: hasher{c: c, wide: true,
		lo: z[8], mid: z[9], hi: z[10], y: z[11], t: [4]reg.VecPhysical{z[12], z[13], z[14], z[15]}}}
	o := &gcmWideOps{gcmKernel: g}
	g.ops = o
	g.registers()
	c.VMOVDQU64(g.mask, z[16])
	g.mask = z[16]
	second := g.hasher // with scratch of its own, so that two pairs can be mixed
	second.t = [4]reg.VecPhysical{z[20], z[21], z[22], z[23]}
	unit := func() {
		for i := 0; i < 512; i += 256 {
			second.pp, second.mask = g.pp, g.mask
			mixIn(g.pair(g.src, i, i, i == 0), second.pair(g.src, i+128, i+128, false))
		}
	}
	g.macs(unit, func() {
		n := c.GP64()
		c.Label("part")
		c.MOVQ(operand.U32(64), n)
		c.CMPQ(g.rem, n)
		c.CMOVQLT(g.rem, n)
		g.byteMask(n)
		c.VMOVDQU8_Z(at(g.src, 0), reg.K1, g.t[0])
		emit(g.absorb(0, true))
		c.ADDQ(operand.Imm(64), g.src)
		c.ADDQ(operand.Imm(64), g.pp)
		c.SUBQ(operand.Imm(64), g.rem)
		c.JGT(operand.LabelRef("part"))
	})
	g.zero(z[0])
	g.load(z[0].AsX(), g.ej0)
	c.retZ()
}

func gmacNarrow(c *gen) {
	c.fn("gmacSumAESNI", gmacSig, gmacDoc)
	g := &gcmKernel{layout: gmacLayout, macOnly: true, hasher: hasher{c: c,
		lo: x[8], mid: x[9], hi: x[10], y: x[11], t: [4]reg.VecPhysical{x[12], x[13], x[14]}}}
	o := &gcmNarrowOps{gcmKernel: g, blk: c.AllocLocal(16)}
	g.ops = o
	g.registers()
	unit := func() {
		for i := 0; i < 128; i += 64 {
			emit(g.ops.quad(g.src, i, i, i == 0))
		}
	}
	g.macs(unit, func() {
		o.blocks("rest", g.src, g.rem, "lengths", func() { c.MOVOU(at(g.src, 0), g.t[0]) })
		o.loadPart(g.src, g.rem)
		emit(g.absorb(0, true))
	})
	g.zero(x[0])
	c.MOVOU(x[0], g.ej0)
	c.MOVOU(x[0], o.blk)
	c.retX()
}

// macs runs every job; unit takes in the unit at src, rest what follows the units, when that is anything.
func (g *gcmKernel) macs(unit, rest func()) {
	c := g.c
	c.Label("job")
	g.clear()
	g.zero(g.y)
	g.lengths()
	g.nonceMask()
	g.ops.additional()
	c.Label("unit")
	c.TESTQ(g.units, g.units)
	c.JEQ(operand.LabelRef("rest"))
	unit()
	c.ADDQ(operand.U32(g.unitBytes()), g.src)
	c.DECQ(g.units)
	g.hashed(g.unitBytes())
	c.JMP(operand.LabelRef("unit"))
	c.Label("rest")
	c.TESTQ(g.rem, g.rem)
	c.JEQ(operand.LabelRef("lengths"))
	rest()
	c.Label("lengths")
	g.tag()
	c.ADDQ(operand.U32(g.layout.size), c.argAt("jobs"))
	c.DECQ(c.argAt("n"))
	c.JNE(operand.LabelRef("job"))
}

// nonceMask sets ej0, with the rounds in a loop.
func (g *gcmKernel) nonceMask() {
	c, v, key := g.c, g.t[0].AsX(), g.t[1].AsX()
	k, r := c.GP64(), c.arg("rounds")
	g.nonce(c.arg("jobs"), 0, 1, v)
	g.load(at(g.keys, 0), key)
	g.xor(key, v)
	c.LEAQ(at(g.keys, 16), k)
	c.Label("round")
	g.load(at(k, 0), key)
	c.ADDQ(operand.Imm(16), k)
	c.DECQ(r)
	c.JEQ(operand.LabelRef("lastRound"))
	if g.wide {
		c.VAESENC(key, v, v)
	} else {
		c.AESENC(key, v)
	}
	c.JMP(operand.LabelRef("round"))
	c.Label("lastRound")
	if g.wide {
		c.VAESENCLAST(key, v, v)
	} else {
		c.AESENCLAST(key, v)
	}
	g.load(v, g.ej0)
}
