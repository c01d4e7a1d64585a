package main

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// gcmWideOps is for VAES with AVX-512. Round keys and the base stay in registers.
type gcmWideOps struct {
	*gcmKernel
	k    []reg.VecPhysical
	base reg.VecPhysical
}

var _ gcmOps = (*gcmWideOps)(nil)

var (
	ctrAll  = reg.K2 // the last doubleword of every lane
	ctrLast = reg.K3 // of the two upper lanes
)

func gcmWide(c *gen, do gcmWork, r int) {
	g := &gcmKernel{open: do == gcmOpen, summing: do == gcmSealSum, rounds: r, a: z[:4], b: z[4:8], hasher: hasher{c: c, wide: true,
		lo: z[8], mid: z[9], hi: z[10], y: z[11], t: [4]reg.VecPhysical{z[12], z[13], z[14], z[31]}}}
	o := &gcmWideOps{g, z[16 : 16+r+1], z[15]}
	g.ops = o
	g.begin("VAES512")
	c.broadcastKeys(g.keys, o.k)
	m := c.GP32()
	c.MOVL(operand.U32(0x8888), m)
	c.KMOVW(m, ctrAll)
	c.MOVL(operand.U32(0x8800), m)
	c.KMOVW(m, ctrLast)
	g.batch()
	g.wipe(z[0])
	c.retZ()
}

func (o *gcmWideOps) setBase(offset int) {
	c := o.c
	o.nonce(c.arg("jobs"), offset, 0, o.base.AsX())
	c.VSHUFI32X4(operand.Imm(0), o.base, o.base, o.base)
	o.xor(o.k[0], o.base)
	c.XORL(o.ctr.As32(), o.ctr.As32())
}

func (o *gcmWideOps) counters(s []reg.VecPhysical) []func() {
	c, v, first := o.c, o.c.GP32(), 0
	if s[0] == o.b[0] {
		first = 4
	}
	add := func(i int) func() {
		return func() { c.VPXORQ(at(o.tab, tabCtr+64*(first+i)), o.base, s[i]) }
	}
	if first == 0 {
		return []func(){add(0), add(1), add(2), add(3)}
	}
	return []func(){
		func() { c.ADDL(operand.Imm(32), o.ctr.As32()) },
		func() { c.MOVL(o.ctr.As32(), v) },
		func() { c.BSWAPL(v) },
		func() { c.XORL(at(o.keys, 12), v) },
		add(0), add(1), add(2),
		func() { c.VPBROADCASTD(v, ctrLast, o.base) },
		add(3),
		func() { c.VPBROADCASTD(v, ctrAll, o.base) },
		func() { c.XORL(v, v) },
	}
}

func (o *gcmWideOps) some(s []reg.VecPhysical, first, last int) (steps []func()) {
	for i := first; i <= last; i++ {
		for _, v := range s {
			steps = append(steps, func() {
				if i == o.rounds {
					o.c.VAESENCLAST(o.k[i], v, v)
				} else {
					o.c.VAESENC(o.k[i], v, v)
				}
			})
		}
	}
	return steps
}

func (o *gcmWideOps) output(s []reg.VecPhysical, disp int) (steps []func()) {
	for i, v := range s {
		steps = append(steps, func() { o.xor(at(o.src, disp+64*i), v) },
			func() { o.load(v, at(o.dst, disp+64*i)) })
	}
	return steps
}

func (o *gcmWideOps) quad(from reg.Register, disp, off int, first bool) []func() {
	return append(o.pair(from, disp, off, first), o.pair(from, disp+128, off+128, false)...)
}

func (o *gcmWideOps) j0() {
	c, v := o.c, o.t[0].AsX()
	o.nonce(c.arg("jobs"), 0, 1, v)
	c.VPXORQ(o.k[0].AsX(), v, v)
	for _, k := range o.k[1:o.rounds] {
		c.VAESENC(k.AsX(), v, v)
	}
	c.VAESENCLAST(o.k[o.rounds].AsX(), v, v)
	o.load(v, o.ej0)
}

// byteMask sets K1 to the first n bytes of 64, 0 < n <= 64.
func (h *hasher) byteMask(n reg.Register) {
	c := h.c
	ones := c.GP64()
	c.MOVQ(operand.I32(-1), ones)
	c.MOVQ(operand.U32(64), reg.RCX)
	c.SUBQ(n, reg.RCX)
	c.SHRQ(reg.CL, ones)
	c.KMOVQ(ones, reg.K1)
}

func (o *gcmWideOps) additional() {
	c := o.c
	pp := o.pp
	from, n := o.longAdditional()
	o.pp = o.before(n)
	o.byteMask(n)
	c.VMOVDQU8_Z(at(from, 0), reg.K1, o.t[0])
	emit(o.absorb(0, true))
	c.Label("adDone")
	o.pp = pp
}

// rest works on 64 bytes at a time under a mask.
func (o *gcmWideOps) rest() {
	c, out := o.c, o.a[0]
	o.keystream()
	ks, n := c.GP64(), c.GP64()
	c.LEAQ(o.ks, ks)
	c.Label("part")
	c.MOVQ(operand.U32(64), n)
	c.CMPQ(o.rem, n)
	c.CMOVQLT(o.rem, n)
	o.byteMask(n)
	c.VMOVDQU8_Z(at(o.src, 0), reg.K1, o.t[0])
	c.VPXORQ(at(ks, 0), o.t[0], out)
	c.VMOVDQU8(out, reg.K1, at(o.dst, 0))
	if !o.open {
		c.VMOVDQU8_Z(out, reg.K1, o.t[0])
	}
	emit(o.absorb(0, true))
	for _, p := range []reg.Register{o.src, o.dst, o.pp, ks} {
		c.ADDQ(operand.Imm(64), p)
	}
	c.SUBQ(operand.Imm(64), o.rem)
	c.JGT(operand.LabelRef("part"))
}
