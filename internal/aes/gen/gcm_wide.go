package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Kernels for VAES with AVX-512. The states are two banks of four registers, half
// a cipher apart: while bank X goes through the second half of its rounds, bank Y
// takes new counters and goes through the first half of its own. So there is AES
// to do at any time, also while a bank's keystream is being put to use. A unit is
// two such phases; the second one leaves bank A half done for the next unit, or
// the tail, or, if there is none, for the next job.
//
// Counters begin at 2. Those of 16 blocks are 16q + 2 … 16q + 17: base holds nonce
// and 16q, added to the first round key already, and the table what is to be added to
// that: 2 … 15, then 0 and 1, for which base is ahead by 16.
type gcmWideKernel struct {
	gcmKernel
	rounds int
	k      []reg.VecPhysical // round keys
	a, b   []reg.VecPhysical // banks
	base   reg.VecPhysical
	ctr    reg.GPVirtual // 16q
	primed operand.Mem   // whether bank A is half done for the next job
}

var (
	ctrAll  = reg.K2 // every lane's last doubleword
	ctrLast = reg.K3 // the last one of the two upper lanes
)

func gcmWide(c *gen, open bool, r int) {
	name, doc := gcmName(open)
	c.fn(fmt.Sprintf("%sVAES512r%d", name, r), gcmSig, doc)
	g := &gcmWideKernel{rounds: r, k: z[16 : 16+r+1], a: z[:4], b: z[4:8], base: z[15]}
	g.open, g.s = open, z[:8]
	g.hasher = hasher{c: c, wide: true, lo: z[8], mid: z[9], hi: z[10], y: z[11],
		t: [4]reg.VecPhysical{z[12], z[13], z[14], z[31]}}
	g.arguments()
	g.ctr, g.primed = c.GP64(), c.AllocLocal(8)
	c.broadcastKeys(g.keys, g.k)
	m := c.GP32()
	c.MOVL(operand.U32(0x8888), m)
	c.KMOVW(m, ctrAll)
	c.MOVL(operand.U32(0x8800), m)
	c.KMOVW(m, ctrLast)
	g.batch()
	c.VPXORQ(z[0], z[0], z[0])
	for i := range unitRegs {
		c.VMOVDQU64(z[0], g.ks.Offset(64*i))
	}
	c.VMOVDQU64(z[0].AsX(), g.ej0)
	c.retZ()
}

// batch runs every job.
func (g *gcmWideKernel) batch() {
	c := g.c
	c.Label("start")
	g.begin(0)
	emit(g.counters(g.a))
	emit(g.some(g.a, 1, g.rounds/2-1))
	c.Label("job")
	g.clear()
	g.zero(g.y)
	c.MOVQ(operand.U32(0), g.primed)
	g.lengths()
	g.j0()
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
	c.JEQ(operand.LabelRef("done"))
	c.CMPQ(g.primed, operand.Imm(0))
	c.JNE(operand.LabelRef("job"))
	c.JMP(operand.LabelRef("start"))
	c.Label("done")
}

// begin sets base for the job at offset from the present one.
func (g *gcmWideKernel) begin(offset int) {
	c := g.c
	g.nonce(c.arg("jobs"), offset, 0, g.base.AsX().(reg.VecPhysical))
	c.VSHUFI32X4(operand.Imm(0), g.base, g.base, g.base)
	g.xor(g.k[0], g.base)
	c.XORL(g.ctr.As32(), g.ctr.As32())
}

// j0 sets ej0.
func (g *gcmWideKernel) j0() {
	c, v := g.c, g.t[0].AsX()
	g.nonce(c.arg("jobs"), 0, 1, v.(reg.VecPhysical))
	c.VPXORQ(g.k[0].AsX(), v, v)
	for _, k := range g.k[1:g.rounds] {
		c.VAESENC(k.AsX(), v, v)
	}
	c.VAESENCLAST(g.k[g.rounds].AsX(), v, v)
	g.load(v, g.ej0)
}

// counters returns the steps that put the next 16 counters into the bank s.
func (g *gcmWideKernel) counters(s []reg.VecPhysical) []func() {
	c, v := g.c, g.c.GP32()
	add := func(i int) func() {
		return func() { c.VPXORQ(at(g.tab, tabCtr+64*i), g.base, s[i]) }
	}
	return []func(){
		func() { c.ADDL(operand.Imm(16), g.ctr.As32()) },
		func() { c.MOVL(g.ctr.As32(), v) },
		func() { c.BSWAPL(v) },
		func() { c.XORL(at(g.keys, 12), v) },
		add(0), add(1), add(2),
		func() { c.VPBROADCASTD(v, ctrLast, g.base) },
		add(3),
		func() { c.VPBROADCASTD(v, ctrAll, g.base) },
		func() { c.XORL(v, v) },
	}
}

// some returns the steps of rounds from first to last on s.
func (g *gcmWideKernel) some(s []reg.VecPhysical, first, last int) (steps []func()) {
	for i := first; i <= last; i++ {
		for _, v := range s {
			steps = append(steps, func() {
				if i == g.rounds {
					g.c.VAESENCLAST(g.k[i], v, v)
				} else {
					g.c.VAESENC(g.k[i], v, v)
				}
			})
		}
	}
	return steps
}

// output returns the steps that add what is at src to the keystream in s and write it to dst.
func (g *gcmWideKernel) output(s []reg.VecPhysical, disp int) (steps []func()) {
	for i, v := range s {
		steps = append(steps, func() { g.xor(at(g.src, disp+64*i), v) },
			func() { g.load(v, at(g.dst, disp+64*i)) })
	}
	return steps
}

// phase emits the second half of the rounds of x and the first half of those of
// y, whose old content is put to use first, all of it mixed with steps; those do
// not begin before the old content is used.
func (g *gcmWideKernel) phase(x, y []reg.VecPhysical, use, steps []func()) {
	half := g.rounds / 2
	main := mixed(g.some(x, half, half+1), append(use, g.counters(y)...))
	if len(use) > 0 {
		emit(main)
		main = nil
	}
	for i := 1; i < half; i++ {
		main = append(main, g.some(x, half+1+i, half+1+i)...)
		main = append(main, g.some(y, i, i)...)
	}
	mixIn(main, steps)
}

// mixed returns both lists, each in its order, the second spread evenly over the first.
func mixed(main, other []func()) (all []func()) {
	done := 0
	for i, op := range main {
		all = append(all, op)
		for ; done < (i+1)*len(other)/len(main); done++ {
			all = append(all, other[done])
		}
	}
	return append(all, other[done:]...)
}

// second emits the second phase of a unit, and ends it.
func (g *gcmWideKernel) second(steps []func()) {
	c, more := g.c, g.label("more")
	c.CMPQ(g.units, operand.Imm(1))
	c.JNE(operand.LabelRef(more))
	c.TESTQ(g.rem, g.rem)
	c.JNE(operand.LabelRef(more))
	c.CMPQ(c.argAt("n"), operand.Imm(1))
	c.JEQ(operand.LabelRef(more))
	g.begin(jobSize)
	c.MOVQ(operand.U32(1), g.primed)
	c.Label(more)
	g.phase(g.b, g.a, g.output(g.a, 0), steps)
	emit(g.output(g.b, 256))
	c.ADDQ(operand.U32(512), g.src)
	c.ADDQ(operand.U32(512), g.dst)
}

// sealUnits encrypts unit by unit and hashes each bank one phase later.
func (g *gcmWideKernel) sealUnits() {
	c := g.c
	c.TESTQ(g.units, g.units)
	c.JEQ(operand.LabelRef("rest"))
	g.phase(g.a, g.b, nil, nil)
	c.JMP(operand.LabelRef("second"))
	c.Label("unit")
	g.phase(g.a, g.b, nil, g.quad(g.dst, -256, 0, false))
	g.hashed(256)
	c.Label("second")
	g.second(g.quad(g.dst, 0, 0, true))
	c.ADDQ(operand.U32(256), g.pp)
	c.DECQ(g.units)
	c.JNE(operand.LabelRef("unit"))
	emit(g.quad(g.dst, -256, 0, false))
	c.ADDQ(operand.U32(256), g.pp)
	c.Label("rest")
}

// openUnits hashes and decrypts unit by unit.
func (g *gcmWideKernel) openUnits() {
	c := g.c
	c.TESTQ(g.units, g.units)
	c.JEQ(operand.LabelRef("rest"))
	c.Label("unit")
	g.phase(g.a, g.b, nil, g.quad(g.src, 0, 0, true))
	g.second(g.quad(g.src, 256, 256, false))
	c.DECQ(g.units)
	g.hashed(512)
	c.TESTQ(g.units, g.units)
	c.JNE(operand.LabelRef("unit"))
	c.Label("rest")
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

// additional takes in the additional data: what is beyond 64 bytes first, then
// the rest, with the powers before those of the group.
func (g *gcmWideKernel) additional() {
	c := g.c
	pp := g.pp
	from, n := g.longAdditional()
	g.pp = g.before(n)
	g.byteMask(n)
	c.VMOVDQU8_Z(at(from, 0), reg.K1, g.t[0])
	emit(g.absorb(0, true))
	c.Label("adDone")
	g.pp = pp
}

// rest handles what follows the last unit, 64 bytes at a time under a mask: its
// keystream, of which bank A is half done, goes by way of the stack.
func (g *gcmWideKernel) rest() {
	c := g.c
	c.TESTQ(g.rem, g.rem)
	c.JEQ(operand.LabelRef("lengths"))
	emit(g.some(g.a, g.rounds/2, g.rounds))
	g.keep(g.a, 0)
	c.CMPQ(g.rem, operand.U32(256))
	c.JLE(operand.LabelRef("keystream"))
	emit(g.counters(g.b))
	emit(g.some(g.b, 1, g.rounds))
	g.keep(g.b, 256)
	c.Label("keystream")
	ks := c.GP64()
	c.LEAQ(g.ks, ks)
	g.parts(ks)
	c.Label("lengths")
}

func (g *gcmWideKernel) keep(s []reg.VecPhysical, from int) {
	for i, v := range s {
		g.load(v, g.ks.Offset(from+64*i))
	}
}

func (g *gcmWideKernel) parts(ks reg.Register) {
	c, out := g.c, g.s[0]
	n := c.GP64()
	c.Label("part")
	c.MOVQ(operand.U32(64), n)
	c.CMPQ(g.rem, n)
	c.CMOVQLT(g.rem, n)
	g.byteMask(n)
	c.VMOVDQU8_Z(at(g.src, 0), reg.K1, g.t[0])
	c.VPXORQ(at(ks, 0), g.t[0], out)
	c.VMOVDQU8(out, reg.K1, at(g.dst, 0))
	if !g.open {
		c.VMOVDQU8_Z(out, reg.K1, g.t[0])
	}
	emit(g.absorb(0, true))
	for _, p := range []reg.Register{g.src, g.dst, g.pp, ks} {
		c.ADDQ(operand.Imm(64), p)
	}
	c.SUBQ(operand.Imm(64), g.rem)
	c.JGT(operand.LabelRef("part"))
}
