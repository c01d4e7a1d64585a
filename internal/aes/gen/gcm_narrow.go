package main

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Kernels for AES-NI. Counters lie on the stack, round keys come from memory by way of x15.
// The constants for counters in the table are 1 and, for the first one, 1.
type gcmNarrowKernel struct {
	gcmKernel
	ctr  operand.Mem // the next counter, reversed
	blk  operand.Mem // a partial block
	last operand.Mem // the last round key
}

func gcmNarrow(c *gen, open bool) {
	name, doc := gcmName(open)
	c.fn(name+"AESNI", gcmSig, doc)
	g := &gcmNarrowKernel{}
	g.open, g.s = open, x[:8]
	g.hasher = hasher{c: c, lo: x[8], mid: x[9], hi: x[10], y: x[11], t: [4]reg.VecPhysical{x[12], x[13], x[14]}}
	g.arguments()
	g.ctr, g.blk, g.last = c.AllocLocal(16), c.AllocLocal(16), c.AllocLocal(16)
	r := c.GP64()
	c.MOVQ(at(g.tab, tabRounds), r)
	c.SHLQ(operand.Imm(4), r)
	c.MOVOU(atx(g.keys, r, 0), x[15])
	c.MOVOU(x[15], g.last)
	g.batch()
	c.PXOR(x[0], x[0])
	for i := range unitRegs {
		c.MOVOU(x[0], g.ks.Offset(16*i))
	}
	for _, m := range []operand.Mem{g.ej0, g.ctr, g.blk, g.last} {
		c.MOVOU(x[0], m)
	}
	c.retX()
}

// batch runs every job.
func (g *gcmNarrowKernel) batch() {
	c := g.c
	c.Label("job")
	g.clear()
	g.zero(g.y)
	g.lengths()
	g.counters()
	g.additional()
	if g.open {
		g.openUnits()
	} else {
		g.sealUnits()
	}
	g.rest()
	g.tag()
	c.ADDQ(operand.U32(jobSize), c.argAt("jobs"))
	c.DECQ(c.argAt("n"))
	c.JNE(operand.LabelRef("job"))
}

// counters sets ctr and ej0.
func (g *gcmNarrowKernel) counters() {
	c, v := g.c, g.s[0]
	g.nonce(c.arg("jobs"), 0, 1, v)
	c.MOVOU(v, x[15])
	c.PSHUFB(g.mask, x[15])
	c.PADDD(at(g.tab, tabCtr), x[15])
	c.MOVOU(x[15], g.ctr)
	early, late := g.cipher(g.s[:1])
	emit(early)
	emit(late)
	c.MOVOU(v, g.ej0)
}

// aes returns the steps that turn counters into keystream in s: early ones, which
// may be mixed with others, and late ones.
func (g *gcmNarrowKernel) aes(s []reg.VecPhysical) (early, late []func()) {
	c := g.c
	early = append(early, func() { c.MOVOU(g.ctr, x[15]) })
	for _, v := range s {
		early = append(early, func() { c.MOVOU(x[15], v) }, func() { c.PADDD(at(g.tab, tabCtr), x[15]) },
			func() { c.PSHUFB(g.mask, v) })
	}
	early = append(early, func() { c.MOVOU(x[15], g.ctr) })
	more, late := g.cipher(s)
	return append(early, more...), late
}

// cipher returns the steps of all rounds on s. The late ones have branches on the number of rounds.
func (g *gcmNarrowKernel) cipher(s []reg.VecPhysical) (early, late []func()) {
	c, key := g.c, x[15]
	round := func(i int) (steps []func()) {
		steps = append(steps, func() { c.MOVOU(at(g.keys, 16*i), key) })
		for _, v := range s {
			steps = append(steps, func() {
				if i == 0 {
					c.PXOR(key, v)
				} else {
					c.AESENC(key, v)
				}
			})
		}
		return steps
	}
	for i := range 10 {
		early = append(early, round(i)...)
	}
	last := g.label("last")
	for i := 10; i < 14; i += 2 {
		late = append(late, func() { c.CMPQ(at(g.tab, tabRounds), operand.Imm(uint64(i))) },
			func() { c.JEQ(operand.LabelRef(last)) })
		late = append(late, round(i)...)
		late = append(late, round(i+1)...)
	}
	late = append(late, func() { c.Label(last) }, func() { c.MOVOU(g.last, key) })
	for _, v := range s {
		late = append(late, func() { c.AESENCLAST(key, v) })
	}
	return early, late
}

// crypt emits a unit of AES, mixed with steps, and advances.
func (g *gcmNarrowKernel) crypt(steps []func()) {
	c := g.c
	early, late := g.aes(g.s)
	mixIn(early, steps)
	emit(late)
	for i, v := range g.s {
		c.MOVOU(at(g.src, 16*i), x[15])
		c.PXOR(x[15], v)
		c.MOVOU(v, at(g.dst, 16*i))
	}
	c.ADDQ(operand.U32(g.unitBytes()), g.src)
	c.ADDQ(operand.U32(g.unitBytes()), g.dst)
}

// sealUnits encrypts unit by unit and hashes each one unit later.
func (g *gcmNarrowKernel) sealUnits() {
	c := g.c
	c.TESTQ(g.units, g.units)
	c.JEQ(operand.LabelRef("rest"))
	g.crypt(nil)
	c.Label("unit")
	c.CMPQ(g.units, operand.Imm(1))
	c.JEQ(operand.LabelRef("lastUnit"))
	g.crypt(g.unit(g.dst, -g.unitBytes(), unitRegs))
	c.DECQ(g.units)
	g.hashed(g.unitBytes())
	c.JMP(operand.LabelRef("unit"))
	c.Label("lastUnit")
	emit(g.unit(g.dst, -g.unitBytes(), unitRegs))
	c.ADDQ(operand.U32(g.unitBytes()), g.pp)
	c.Label("rest")
}

// openUnits hashes and decrypts unit by unit.
func (g *gcmNarrowKernel) openUnits() {
	c := g.c
	c.Label("unit")
	c.TESTQ(g.units, g.units)
	c.JEQ(operand.LabelRef("rest"))
	g.crypt(g.unit(g.src, 0, unitRegs))
	c.DECQ(g.units)
	g.hashed(g.unitBytes())
	c.JMP(operand.LabelRef("unit"))
	c.Label("rest")
}

// additional takes in the additional data: what is beyond 64 bytes first, four
// blocks at a time, then the rest, with the powers before those of the group.
func (g *gcmNarrowKernel) additional() {
	c := g.c
	pp := g.pp
	from, n := g.longAdditional()
	g.pp = g.before(n)
	g.blocks("ad", from, n, "adDone", func() { c.MOVOU(at(from, 0), g.t[0]) })
	g.loadPart(from, n)
	emit(g.absorb(0, true))
	c.Label("adDone")
	g.pp = pp
}

// blocks emits a loop that takes in whole blocks: load puts one into t[0], and
// from, n and pp advance. It goes on with what is left of the last block, or to done.
func (g *gcmNarrowKernel) blocks(label string, from, n reg.Register, done string, load func()) {
	c := g.c
	c.Label(label + "Block")
	c.CMPQ(n, operand.Imm(16))
	c.JLT(operand.LabelRef(label + "Part"))
	load()
	emit(g.absorb(0, true))
	c.ADDQ(operand.Imm(16), g.pp)
	c.ADDQ(operand.Imm(16), from)
	c.SUBQ(operand.Imm(16), n)
	c.JMP(operand.LabelRef(label + "Block"))
	c.Label(label + "Part")
	c.TESTQ(n, n)
	c.JEQ(operand.LabelRef(done))
}

// loadPart loads 0 < n < 16 bytes, and zeros, into t[0].
func (g *gcmNarrowKernel) loadPart(from, n reg.Register) {
	c, p := g.c, g.c.GP64()
	c.PXOR(g.t[0], g.t[0])
	c.MOVOU(g.t[0], g.blk)
	c.LEAQ(g.blk, p)
	g.copyBytes(from, p, n)
	c.MOVOU(g.blk, g.t[0])
}

// copyBytes copies n > 0 bytes.
func (g *gcmNarrowKernel) copyBytes(from, to, n reg.Register) {
	c, loop := g.c, g.label("byte")
	i, b := c.GP64(), c.GP64()
	c.XORQ(i, i)
	c.Label(loop)
	c.MOVBQZX(atx(from, i, 0), b)
	c.MOVB(b.As8(), atx(to, i, 0))
	c.INCQ(i)
	c.CMPQ(i, n)
	c.JLT(operand.LabelRef(loop))
}

// rest handles what follows the last unit: its keystream goes by way of the
// stack, then one block comes at a time; the last one may be partial.
func (g *gcmNarrowKernel) rest() {
	c, out := g.c, g.s[0]
	c.TESTQ(g.rem, g.rem)
	c.JEQ(operand.LabelRef("lengths"))
	early, late := g.aes(g.s)
	emit(early)
	emit(late)
	for i, v := range g.s {
		c.MOVOU(v, g.ks.Offset(16*i))
	}
	ks := c.GP64()
	c.LEAQ(g.ks, ks)
	crypt := func() {
		c.MOVOU(at(ks, 0), out)
		c.PXOR(g.t[0], out)
	}
	g.blocks("rest", g.src, g.rem, "lengths", func() {
		c.MOVOU(at(g.src, 0), g.t[0])
		crypt()
		c.MOVOU(out, at(g.dst, 0))
		if !g.open {
			c.MOVOU(out, g.t[0])
		}
		c.ADDQ(operand.Imm(16), g.dst)
		c.ADDQ(operand.Imm(16), ks)
	})
	g.loadPart(g.src, g.rem)
	crypt()
	if g.open {
		emit(g.absorb(0, true))
	}
	c.MOVOU(out, g.blk)
	p := c.GP64()
	c.LEAQ(g.blk, p)
	g.copyBytes(p, g.dst, g.rem)
	if !g.open {
		g.loadPart(g.dst, g.rem)
		emit(g.absorb(0, true))
	}
	c.Label("lengths")
}
