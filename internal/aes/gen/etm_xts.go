package main

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// XTS with GMAC, in the two banks of GCM (gcm.go): while half a unit goes through
// the second half of its rounds, the next one goes through the first half, so that there is AES to
// do at any time. The last unit of a job begins the next job's first, if that can be; else what it begins is lost.
//
// The tweaks of four halves of units are at now and next: in the first phase of a unit bank a
// is finished with those at now, b begun with those at now+256, and those for next+256 are made; in
// the second one b is finished, a begun with those at next, and those for now are made, which is then next.
type xtsBanked struct {
	*etmKernel
	m             *xtsWide
	from          reg.GPVirtual // what bank a is to begin next
	turned, begun operand.Mem   // whether the tweaks are the next job's, and bank a has begun it
}

func xtsBankedWide(c *gen, m *xtsWide, r int) {
	e := newETM(c, m, r)
	e.b = z[4:8]
	e.load(e.mask, z[31])
	e.mask = z[31]
	x := &xtsBanked{e, m, c.GP64(), c.AllocLocal(8), c.AllocLocal(8)}
	m.begin(e)
	c.MOVQ(operand.U32(0), x.begun)
	x.jobs()
	e.zero(z[0])
	e.load(z[0].AsX(), e.ej0)
	c.retZ()
}

// jobs runs every job.
func (x *xtsBanked) jobs() {
	c := x.c
	c.Label("job")
	c.MOVQ(operand.U32(0), x.turned)
	x.beginJob()
	c.TESTQ(x.units, x.units)
	c.JEQ(operand.LabelRef("rest"))
	c.CMPQ(x.begun, operand.Imm(0))
	c.JNE(operand.LabelRef("begun"))
	emit(x.start(x.a, x.src, 0, at(x.m.now, 0)))
	emit(x.some(x.a, 1, x.rounds/2-1))
	c.Label("begun")
	if x.open {
		x.openUnits()
	} else {
		x.sealUnits()
	}
	c.CMPQ(x.saved, operand.Imm(0))
	c.JEQ(operand.LabelRef("ended"))
	c.Label("rest")
	c.MOVQ(x.saved, x.rem)
	x.rest()
	c.Label("ended")
	c.CMPQ(x.turned, operand.Imm(0))
	c.JNE(operand.LabelRef("lengths"))
	x.m.endRest(x.etmKernel)
	c.MOVQ(operand.U32(0), x.begun)
	c.Label("lengths")
	x.endJob()
}

// start returns the steps that take half a unit to the first round, with the tweaks at tweak.
func (x *xtsBanked) start(s []reg.VecPhysical, from reg.Register, disp int, tweak operand.Mem) (steps []func()) {
	for i, v := range s {
		steps = append(steps,
			func() { x.load(at(from, disp+64*i), v) },
			func() { x.c.VPTERNLOGQ(operand.Imm(0x96), tweak.Offset(64*i), x.k[0], v) })
	}
	return steps
}

// some returns the rounds from first to last on s.
func (x *xtsBanked) some(s []reg.VecPhysical, first, last int) (steps []func()) {
	for i := first; i <= last; i++ {
		for _, v := range s {
			steps = append(steps, func() { x.round(i, v) })
		}
	}
	return steps
}

// A xtsPhase is what is done beside the second half of the rounds of one bank and the first half of the other's.
type xtsPhase struct {
	x, y        []reg.VecPhysical
	begin       []func()    // of y
	tweaks      operand.Mem // that x ends with
	disp        int         // where its half unit is
	more        operand.Mem // where the next tweaks go
	hash        []func()
	words, last []func() // of the sum
}

func (x *xtsBanked) phase(p *xtsPhase) {
	c, half := x.c, x.rounds/2
	for i := 0; i < x.unitBytes()/2; i += 64 {
		off := ahead + p.disp + i
		p.begin = append(p.begin, func() { c.PREFETCHT0(at(x.src, off)) })
	}
	aes := mixed(x.some(p.x, half, half+1), p.begin)
	for i := 1; i < half; i++ {
		aes = append(aes, mixed(x.some(p.x, half+1+i, half+1+i), x.some(p.y, i, i))...)
	}
	skip := xtsHashAfter
	all := append(aes[:skip:skip], mixed(aes[skip:], p.hash)...)
	var own []func()
	for i := 0; i < x.unitBytes()/2; i += 16 {
		own = append(own, x.m.tweak(x.etmKernel, p.more.Offset(i), p.more.Offset(i+8))...)
	}
	all = mixed(own, all)
	within := len(all) * sumWithin / 100
	mixIn(all[:within], p.words)
	emit(all[within:])
	emit(p.last)
	for i, v := range p.x {
		x.xor(p.tweaks.Offset(64*i), v)
		x.load(v, at(x.dst, p.disp+64*i))
	}
}

// first emits the first phase of a unit, second the second one.
func (x *xtsBanked) first(hash, words, last []func()) {
	n := x.unitBytes() / 2
	x.phase(&xtsPhase{x: x.a, y: x.b, begin: x.start(x.b, x.src, n, at(x.m.now, n)),
		tweaks: at(x.m.now, 0), disp: 0, more: at(x.m.next, n), hash: hash, words: words, last: last})
}

func (x *xtsBanked) second(hash, words, last []func()) {
	c, n := x.c, x.unitBytes()/2
	x.look()
	x.phase(&xtsPhase{x: x.b, y: x.a, begin: x.start(x.a, x.from, 0, at(x.m.next, 0)),
		tweaks: at(x.m.now, n), disp: n, more: at(x.m.now, 0), hash: hash, words: words, last: last})
	x.next()
	_ = c
}

// look finds what bank a is to begin, and turns to the next job's tweaks in time.
func (x *xtsBanked) look() {
	c, job, same, found := x.c, x.c.GP64(), x.label("same"), x.label("found")
	c.LEAQ(at(x.src, x.unitBytes()), x.from)
	c.CMPQ(x.units, operand.Imm(2))
	c.JA(operand.LabelRef(found))
	c.JLT(operand.LabelRef(same))
	c.CMPQ(x.saved, operand.Imm(0))
	c.JNE(operand.LabelRef(found))
	x.m.nextJob(x.etmKernel)
	c.MOVQ(operand.U32(1), x.turned)
	c.JMP(operand.LabelRef(found))
	c.Label(same) // the last unit
	c.MOVQ(x.m.now, x.from)
	c.MOVQ(operand.U32(0), x.begun)
	c.CMPQ(x.turned, operand.Imm(0))
	c.JEQ(operand.LabelRef(found))
	c.CMPQ(c.argAt("n"), operand.Imm(1))
	c.JEQ(operand.LabelRef(found))
	c.MOVQ(c.argAt("jobs"), job)
	c.CMPQ(at(job, x.layout.size+x.layout.src+sliceLen), operand.U32(x.unitBytes()))
	c.JLT(operand.LabelRef(found))
	c.MOVQ(at(job, x.layout.size+x.layout.src), x.from)
	c.MOVQ(operand.U32(1), x.begun)
	c.Label(found)
}

func (x *xtsBanked) sealUnits() {
	c, n := x.c, x.unitBytes()/2
	sums := func(disp int) (words, last []func()) { return x.sums(x.dst, disp, n) }
	x.first(nil, nil, nil)
	x.second(x.ops.quad(x.dst, 0, 0, true), nil, nil)
	c.JMP(operand.LabelRef("sealed"))
	c.Label("unit")
	words, last := sums(-2 * n)
	x.first(x.ops.quad(x.dst, -n, 0, false), words, last)
	x.hashed(n)
	words, last = sums(-n)
	x.second(x.ops.quad(x.dst, 0, 0, true), words, last)
	c.Label("sealed")
	c.ADDQ(operand.U32(n), x.pp)
	c.DECQ(x.units)
	c.JNE(operand.LabelRef("unit"))
	emit(x.ops.quad(x.dst, -n, 0, false))
	c.ADDQ(operand.U32(n), x.pp)
	for disp := -2 * n; disp < 0; disp += n {
		words, last := sums(disp)
		emit(words)
		emit(last)
	}
}

func (x *xtsBanked) openUnits() {
	c, n := x.c, x.unitBytes()/2
	c.Label("unit")
	x.first(x.ops.quad(x.src, 0, 0, true), nil, nil)
	x.second(x.ops.quad(x.src, n, n, false), nil, nil)
	c.DECQ(x.units)
	x.hashed(2 * n)
	c.TESTQ(x.units, x.units)
	c.JNE(operand.LabelRef("unit"))
}
