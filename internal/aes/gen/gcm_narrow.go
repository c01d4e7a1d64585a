package main

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// gcmNarrowOps is for AES-NI. The base lies on the stack; round keys come from memory by way of key.
type gcmNarrowOps struct {
	*gcmKernel
	key  reg.VecPhysical
	base operand.Mem
	blk  operand.Mem // a partial block
}

var _ gcmOps = (*gcmNarrowOps)(nil)

func gcmNarrow(c *gen, do gcmWork, r int) {
	g := &gcmKernel{open: do == gcmOpen, summing: do == gcmSealSum, rounds: r, a: x[:4], b: x[4:8], hasher: hasher{c: c,
		lo: x[8], mid: x[9], hi: x[10], y: x[11], t: [4]reg.VecPhysical{x[12], x[13], x[14]}}}
	o := &gcmNarrowOps{gcmKernel: g, key: x[15]}
	g.ops = o
	g.begin("AESNI")
	o.base, o.blk = c.AllocLocal(16), c.AllocLocal(16)
	g.batch()
	g.wipe(x[0])
	c.MOVOU(x[0], o.base)
	c.MOVOU(x[0], o.blk)
	c.retX()
}

func (o *gcmNarrowOps) setBase(offset int) {
	c, v := o.c, o.t[0]
	o.nonce(c.arg("jobs"), offset, 0, v)
	c.MOVOU(at(o.keys, 0), o.key)
	c.PXOR(o.key, v)
	c.MOVOU(v, o.base)
	c.XORL(o.ctr.As32(), o.ctr.As32())
}

func (o *gcmNarrowOps) counters(s []reg.VecPhysical) []func() {
	c, v, first := o.c, o.c.GP32(), 0
	if s[0] == o.b[0] {
		first = 4
	}
	add := func(i int) func() {
		return func() { c.PXOR(at(o.tab, tabCtr+16*(first+i)), s[i]) }
	}
	if first == 0 {
		steps := []func(){}
		for i, v := range s {
			steps = append(steps, func() { c.MOVOU(o.base, v) }, add(i))
		}
		return steps
	}
	return []func(){
		func() { c.ADDL(operand.Imm(8), o.ctr.As32()) },
		func() { c.MOVL(o.ctr.As32(), v) },
		func() { c.BSWAPL(v) },
		func() { c.XORL(at(o.keys, 12), v) },
		func() { c.MOVOU(o.base, s[0]) },
		func() { c.MOVOU(s[0], s[3]) },
		func() { c.MOVOU(s[0], s[1]) },
		func() { c.PINSRD(operand.Imm(3), v, s[3]) },
		add(0), add(1),
		func() { c.MOVOU(s[3], o.base) },
		func() { c.MOVOU(s[3], s[2]) },
		add(2), add(3),
		func() { c.XORL(v, v) },
	}
}

func (o *gcmNarrowOps) some(s []reg.VecPhysical, first, last int) (steps []func()) {
	for i := first; i <= last; i++ {
		steps = append(steps, func() { o.c.MOVOU(at(o.keys, 16*i), o.key) })
		for _, v := range s {
			steps = append(steps, func() {
				if i == o.rounds {
					o.c.AESENCLAST(o.key, v)
				} else {
					o.c.AESENC(o.key, v)
				}
			})
		}
	}
	return steps
}

// output uses t[2], so that it may be mixed with quad.
func (o *gcmNarrowOps) output(s []reg.VecPhysical, disp int) (steps []func()) {
	for i, v := range s {
		steps = append(steps,
			func() { o.load(at(o.src, disp+16*i), o.t[2]) },
			func() { o.xor(o.t[2], v) },
			func() { o.load(v, at(o.dst, disp+16*i)) })
	}
	return steps
}

func (o *gcmNarrowOps) quad(from reg.Register, disp, off int, first bool) (steps []func()) {
	for i := 0; i < 64; i += 16 {
		steps = append(steps, func() { o.load(at(from, disp+i), o.t[0]) })
		steps = append(steps, o.absorb(off+i, first && i == 0)...)
	}
	return steps
}

func (o *gcmNarrowOps) j0() {
	c, v := o.c, o.t[:1]
	o.nonce(c.arg("jobs"), 0, 1, v[0])
	c.MOVOU(at(o.keys, 0), o.key)
	c.PXOR(o.key, v[0])
	emit(o.some(v, 1, o.rounds))
	c.MOVOU(v[0], o.ej0)
}

func (o *gcmNarrowOps) additional() {
	c := o.c
	pp := o.pp
	from, n := o.longAdditional()
	o.pp = o.before(n)
	o.blocks("ad", from, n, "adDone", func() { c.MOVOU(at(from, 0), o.t[0]) })
	o.loadPart(from, n)
	emit(o.absorb(0, true))
	c.Label("adDone")
	o.pp = pp
}

// blocks emits a loop that takes in whole blocks: load puts one into t[0], and
// from, n and pp advance. It goes on with what is left of the last block, or to done.
func (o *gcmNarrowOps) blocks(label string, from, n reg.Register, done string, load func()) {
	c := o.c
	c.Label(label + "Block")
	c.CMPQ(n, operand.Imm(16))
	c.JLT(operand.LabelRef(label + "Part"))
	load()
	emit(o.absorb(0, true))
	c.ADDQ(operand.Imm(16), o.pp)
	c.ADDQ(operand.Imm(16), from)
	c.SUBQ(operand.Imm(16), n)
	c.JMP(operand.LabelRef(label + "Block"))
	c.Label(label + "Part")
	c.TESTQ(n, n)
	c.JEQ(operand.LabelRef(done))
}

// loadPart loads 0 < n < 16 bytes, and zeros, into t[0].
func (o *gcmNarrowOps) loadPart(from, n reg.Register) {
	c, p := o.c, o.c.GP64()
	c.PXOR(o.t[0], o.t[0])
	c.MOVOU(o.t[0], o.blk)
	c.LEAQ(o.blk, p)
	o.copyBytes(from, p, n)
	c.MOVOU(o.blk, o.t[0])
}

// copyBytes copies n > 0 bytes.
func (o *gcmNarrowOps) copyBytes(from, to, n reg.Register) {
	c, loop := o.c, o.label("byte")
	i, b := c.GP64(), c.GP64()
	c.XORQ(i, i)
	c.Label(loop)
	c.MOVBQZX(atx(from, i, 0), b)
	c.MOVB(b.As8(), atx(to, i, 0))
	c.INCQ(i)
	c.CMPQ(i, n)
	c.JLT(operand.LabelRef(loop))
}

// rest works on one block at a time; the last one may be partial.
func (o *gcmNarrowOps) rest() {
	c, out := o.c, o.a[0]
	o.keystream()
	ks := c.GP64()
	c.LEAQ(o.ks, ks)
	crypt := func() {
		c.MOVOU(at(ks, 0), out)
		c.PXOR(o.t[0], out)
	}
	o.blocks("rest", o.src, o.rem, "lengths", func() {
		c.MOVOU(at(o.src, 0), o.t[0])
		crypt()
		c.MOVOU(out, at(o.dst, 0))
		if !o.open {
			c.MOVOU(out, o.t[0])
		}
		c.ADDQ(operand.Imm(16), o.dst)
		c.ADDQ(operand.Imm(16), ks)
	})
	o.loadPart(o.src, o.rem)
	crypt()
	if o.open {
		emit(o.absorb(0, true))
	}
	c.MOVOU(out, o.blk)
	p := c.GP64()
	c.LEAQ(o.blk, p)
	o.copyBytes(p, o.dst, o.rem)
	if !o.open {
		o.loadPart(o.dst, o.rem)
		emit(o.absorb(0, true))
	}
}
