package main

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// longAdditional takes in all but the last 64 bytes of the additional data, or
// fewer, four blocks and a reduction at a time. It returns where the rest is, and
// how much, or goes to adDone if that is nothing.
func (g *gcmKernel) longAdditional() (from, n reg.GPVirtual) {
	c, job := g.c, g.c.arg("jobs")
	from, n = c.GP64(), c.GP64()
	c.MOVQ(at(job, g.layout.ad), from)
	c.MOVQ(at(job, g.layout.ad+sliceLen), n)
	pp := g.pp
	c.Label("ad")
	c.CMPQ(n, operand.Imm(64))
	c.JLE(operand.LabelRef("adLast"))
	g.pp = g.tab
	for i := 0; i < 64; i += g.width() {
		g.load(at(from, i), g.t[0])
		emit(g.absorb(tabEnd-64+i, true))
	}
	g.reduce()
	c.ADDQ(operand.Imm(64), from)
	c.SUBQ(operand.Imm(64), n)
	c.JMP(operand.LabelRef("ad"))
	c.Label("adLast")
	c.TESTQ(n, n)
	c.JEQ(operand.LabelRef("adDone"))
	g.pp = pp
	return from, n
}

// before returns the powers for the blocks of n bytes that come before the group at pp.
func (g *gcmKernel) before(n reg.Register) reg.Register {
	c, p := g.c, g.c.GP64()
	c.LEAQ(at(n, 15), p)
	c.ANDQ(operand.I32(-16), p)
	c.NEGQ(p)
	c.ADDQ(g.pp, p)
	return p
}

// keystream puts the keystream for what follows the units on the stack.
func (g *gcmKernel) keystream() {
	c, half := g.c, g.unitBytes()/2
	keep := func(s []reg.VecPhysical, from int) {
		for i, v := range s {
			g.load(v, g.ks.Offset(from+i*g.width()))
		}
	}
	emit(g.ops.some(g.a, g.rounds/2, g.rounds))
	keep(g.a, 0)
	c.CMPQ(g.rem, operand.U32(half))
	c.JLE(operand.LabelRef("keystream"))
	emit(g.ops.counters(g.b))
	emit(g.ops.some(g.b, 1, g.rounds))
	keep(g.b, half)
	c.Label("keystream")
}

// wipe clears zero, and with it what lies on the stack.
func (g *gcmKernel) wipe(zero reg.VecPhysical) {
	g.zero(zero)
	for i := 0; i < g.unitBytes(); i += g.width() {
		g.load(zero, g.ks.Offset(i))
	}
	g.load(zero.AsX(), g.ej0)
}

// tag takes in the lengths and writes the tag.
func (g *gcmKernel) tag() {
	c, v := g.c, g.t[0].AsX()
	lo, hi, job := c.GP64(), c.GP64(), c.arg("jobs")
	c.MOVQ(at(job, g.layout.src+sliceLen), lo)
	c.MOVQ(at(job, g.layout.ad+sliceLen), hi)
	if g.macOnly {
		c.ADDQ(lo, hi)
		c.XORQ(lo, lo)
	}
	c.SHLQ(operand.Imm(3), lo)
	c.SHLQ(operand.Imm(3), hi)
	g.pairQ(lo, hi, v)
	g.xor(g.y.AsX(), v)
	g.absorbX(at(g.tab, tabEnd-16))
	g.reduce()
	y := g.y.AsX()
	if g.wide {
		c.VPSHUFB(at(g.tab, tabMask), y, y)
		g.xor(g.ej0, y)
	} else {
		g.reverse(y)
		c.MOVOU(g.ej0, v)
		c.PXOR(v, y)
	}
	tags := c.arg("tags")
	g.load(y, at(tags, 0))
	c.ADDQ(c.arg("stride"), tags)
	c.MOVQ(tags, c.argAt("tags"))
}
