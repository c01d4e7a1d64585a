package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// XTS with GMAC on registers of 128 or 256 bits: a whole unit at a time, since AES needs eight
// registers in flight, and GHASH and the sum of the unit before when sealing.
type etmNarrow struct {
	*etmKernel
	m    *xtsWide
	ops  *gcmNarrowOps // as in gcmKernel
	keys reg.GPVirtual
}

var _ etmParts = (*etmNarrow)(nil)

func xtsNarrow(c *gen, m *xtsWide, r int, vex bool) {
	v, tier := narrowRegs(vex)
	e := &etmKernel{mode: m, gcmKernel: gcmKernel{open: m.decrypt, summing: !m.decrypt, macOnly: true, rounds: r, a: v[:8], hasher: narrowHasher(c, vex)}}
	name, doc := e.title()
	c.fn(fmt.Sprintf("%s%s%sr%d", m.name(), name, tier, r), etmSig, doc)
	e.layout = etmLayout
	e.registers()
	e.dst, e.sum, e.saved = c.GP64(), c.GP64(), c.AllocLocal(8)
	if vex {
		e.part = c.GP64()
	}
	n := &etmNarrow{e, m, &gcmNarrowOps{gcmKernel: &e.gcmKernel, key: v[15]}, e.gcmKernel.keys}
	e.gcmKernel.ops = wholeBlocks{n.ops}
	m.begin(e)
	e.jobs(n)
	m.end(e)
	e.zero(v[0])
	e.load(v[0].AsX(), e.ej0)
	e.ret()
}

// maskOfTag sets ej0, by the key at mac.
func (n *etmNarrow) maskOfTag() {
	c, v, mac := n.c, n.t[0], n.c.arg("mac")
	n.nonce(c.arg("jobs"), 0, 1, v.AsX())
	emit(c.aesXYOps([]reg.VecPhysical{v}, mac, n.ops.key, n.rounds, false))
	n.load(v.AsX(), n.ej0)
}

// unit emits a unit, mixed with steps.
func (n *etmNarrow) unit(steps []func()) {
	c, half := n.c, n.unitBytes()/2
	n.m.beginUnit(n.etmKernel)
	for i, v := range n.a {
		n.load(at(n.src, n.width()*i), v)
		n.xor(at(n.m.now, n.width()*i), v)
	}
	own := append(n.m.steps(n.etmKernel, 0), n.m.steps(n.etmKernel, half)...)
	mixIn(c.aesXYOps(n.a, n.keys, n.ops.key, n.rounds, n.open), mixed(own, steps))
	for i, v := range n.a {
		n.xor(at(n.m.now, n.width()*i), v)
		n.load(v, at(n.dst, n.width()*i))
	}
	n.next()
}

// work returns the steps of GHASH and of the sum for the unit at from+disp.
func (n *etmNarrow) work(from reg.Register, disp int) (steps []func()) {
	for i := 0; i < n.unitBytes(); i += n.unitBytes() / 2 {
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
	c, v, in := n.c, n.a[0].AsX(), n.t[0].AsX()
	c.TESTQ(n.rem, n.rem)
	c.JEQ(operand.LabelRef("restDone"))
	c.Label("part")
	n.load(at(n.src, 0), v)
	if n.open {
		n.load(v, in)
	}
	n.xor(at(n.m.now, 0), v)
	emit(c.aesXYOps(n.a[:1], n.keys, n.ops.key, n.rounds, n.open))
	n.xor(at(n.m.now, 0), v)
	n.load(v, at(n.dst, 0))
	if !n.open {
		n.load(v, in)
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
	o.load(at(from, 0), o.t[0].AsX())
	emit(o.absorb(0, true))
	c.ADDQ(operand.Imm(16), o.pp)
	c.ADDQ(operand.Imm(16), from)
	c.SUBQ(operand.Imm(16), n)
	c.JGT(operand.LabelRef("adBlock"))
	c.Label("adDone")
	o.pp = pp
}
