package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// XTS with GMAC on 128-bit registers: a whole unit at a time, since AES-NI needs eight
// blocks in flight, and GHASH and the sum of the unit before when sealing.
type etmNarrow struct {
	*etmKernel
	m    *xtsWide
	ops  *gcmNarrowOps // as in gcmKernel
	keys reg.GPVirtual
}

var _ etmParts = (*etmNarrow)(nil)

func xtsNarrow(c *gen, m *xtsWide, r int) {
	e := &etmKernel{mode: m, gcmKernel: gcmKernel{open: m.decrypt, summing: !m.decrypt, macOnly: true, rounds: r, a: x[:8], hasher: hasher{c: c,
		lo: x[8], mid: x[9], hi: x[10], y: x[11], t: [4]reg.VecPhysical{x[12], x[13], x[14]}}}}
	name, doc := e.title()
	c.fn(fmt.Sprintf("%s%sAESNIr%d", m.name(), name, r), etmSig, doc)
	e.layout = etmLayout
	e.registers()
	e.dst, e.sum, e.saved = c.GP64(), c.GP64(), c.AllocLocal(8)
	n := &etmNarrow{e, m, &gcmNarrowOps{gcmKernel: &e.gcmKernel, key: x[15]}, e.gcmKernel.keys}
	e.gcmKernel.ops = wholeBlocks{n.ops}
	m.begin(e)
	e.jobs(n)
	m.end(e)
	e.zero(x[0])
	c.MOVOU(x[0], e.ej0)
	c.retX()
}

// maskOfTag sets ej0, by the key at mac.
func (n *etmNarrow) maskOfTag() {
	c, v, mac := n.c, n.t[0], n.c.arg("mac")
	n.nonce(c.arg("jobs"), 0, 1, v)
	c.aesX([]reg.VecPhysical{v}, mac, n.rounds, false)
	c.MOVOU(v, n.ej0)
}

// unit emits a unit, mixed with steps.
func (n *etmNarrow) unit(steps []func()) {
	c, half := n.c, n.unitBytes()/2
	n.m.beginUnit(n.etmKernel)
	for i, v := range n.a {
		c.MOVOU(at(n.src, 16*i), v)
		c.PXOR(at(n.m.now, 16*i), v)
	}
	own := append(n.m.steps(n.etmKernel, 0), n.m.steps(n.etmKernel, half)...)
	mixIn(c.aesXOps(n.a, n.keys, n.rounds, n.open), mixed(own, steps))
	for i, v := range n.a {
		c.PXOR(at(n.m.now, 16*i), v)
		c.MOVOU(v, at(n.dst, 16*i))
	}
	n.next()
}

// work returns the steps of GHASH and of the sum for the unit at from+disp.
func (n *etmNarrow) work(from reg.Register, disp int) (steps []func()) {
	for i := 0; i < n.unitBytes(); i += 64 {
		steps = append(steps, n.hashAndSum(n.ops.quad(from, disp+i, i, i == 0), from, disp+i)...)
	}
	return steps
}

func (n *etmNarrow) sealUnits() {
	c, size := n.c, n.unitBytes()
	n.unit(nil)
	c.JMP(operand.LabelRef("sealed"))
	c.Label("unit")
	n.unit(n.work(n.dst, -size))
	n.hashed(size)
	c.Label("sealed")
	c.DECQ(n.units)
	c.JNE(operand.LabelRef("unit"))
	emit(n.work(n.dst, -size))
	c.ADDQ(operand.U32(size), n.pp)
}

func (n *etmNarrow) openUnits() {
	c := n.c
	c.Label("unit")
	n.unit(n.work(n.src, 0))
	c.DECQ(n.units)
	n.hashed(n.unitBytes())
	c.TESTQ(n.units, n.units)
	c.JNE(operand.LabelRef("unit"))
}

// rest handles what follows the units, a block at a time.
func (n *etmNarrow) rest() {
	c, v := n.c, n.a[0]
	c.TESTQ(n.rem, n.rem)
	c.JEQ(operand.LabelRef("restDone"))
	c.Label("part")
	c.MOVOU(at(n.src, 0), v)
	if n.open {
		c.MOVOU(v, n.t[0])
	}
	c.PXOR(at(n.m.now, 0), v)
	c.aesX(n.a[:1], n.keys, n.rounds, n.open)
	c.PXOR(at(n.m.now, 0), v)
	c.MOVOU(v, at(n.dst, 0))
	if !n.open {
		c.MOVOU(v, n.t[0])
	}
	emit(n.absorb(0, true))
	for _, p := range []reg.Register{n.src, n.dst, n.pp, n.m.now} {
		c.ADDQ(operand.Imm(16), p)
	}
	c.SUBQ(operand.Imm(16), n.rem)
	c.JGT(operand.LabelRef("part"))
	c.Label("restDone")
}

// wholeBlocks is for additional data that ends with a block: there are no registers to spare for more.
type wholeBlocks struct{ *gcmNarrowOps }

func (o wholeBlocks) additional() {
	c := o.c
	pp := o.pp
	from, n := o.longAdditional()
	o.pp = o.before(n)
	c.Label("adBlock")
	c.MOVOU(at(from, 0), o.t[0])
	emit(o.absorb(0, true))
	c.ADDQ(operand.Imm(16), o.pp)
	c.ADDQ(operand.Imm(16), from)
	c.SUBQ(operand.Imm(16), n)
	c.JGT(operand.LabelRef("adBlock"))
	c.Label("adDone")
	o.pp = pp
}
