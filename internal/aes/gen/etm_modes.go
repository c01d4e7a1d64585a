package main

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// xtsWide is XTS. Vector units have no time to spare, general ones have: they make the
// tweaks of the next unit, or of the next job's first one, while one is in the
// cipher. Each IV is a tweak that was encrypted, and there is one more than jobs.
type xtsWide struct {
	decrypt   bool
	lo, hi    reg.GPVirtual // the next tweak
	now, next reg.GPVirtual // where those of this unit and the next one are
}

var _ etmMode = (*xtsWide)(nil)

func (*xtsWide) name() string { return "xtsGMAC" }

func (m *xtsWide) opens() bool { return m.decrypt }

func (m *xtsWide) begin(e *etmKernel) {
	c := e.c
	m.lo, m.hi, m.now, m.next = c.GP64(), c.GP64(), c.GP64(), c.GP64()
	work := c.arg("work")
	c.LEAQ(at(work, 63), m.now)
	c.ANDQ(operand.I8(-64), m.now)
	c.LEAQ(at(m.now, e.unitBytes()), m.next)
	m.load(e, c.arg("ivs"))
	m.fill(e)
}

func (*xtsWide) beginJob(*etmKernel) {}

// load takes the first tweak of a job from iv.
func (m *xtsWide) load(e *etmKernel, iv reg.Register) {
	e.c.MOVQ(at(iv, 0), m.lo)
	e.c.MOVQ(at(iv, 8), m.hi)
}

// nextJob goes on to the next job's tweaks.
func (m *xtsWide) nextJob(e *etmKernel) {
	iv := e.c.arg("ivs")
	e.c.ADDQ(operand.Imm(16), iv)
	e.c.MOVQ(iv, e.c.argAt("ivs"))
	m.load(e, iv)
}

// tweak returns the steps that store the next tweak at an address and double it.
func (m *xtsWide) tweak(e *etmKernel, to operand.Mem, toHigh operand.Mem) []func() {
	c, t := e.c, e.c.GP64()
	return []func(){
		func() { c.MOVQ(m.lo, to) },
		func() { c.MOVQ(m.hi, toHigh) },
		func() { c.MOVQ(m.hi, t) },
		func() { c.SARQ(operand.Imm(63), t) },
		func() { c.ANDL(operand.U32(0x87), t.As32()) },
		func() {
			c.ADDQ(m.lo, m.lo)
			c.ADCQ(m.hi, m.hi)
			c.XORQ(t, m.lo)
		},
	}
}

// fill makes the tweaks of a unit, at now.
func (m *xtsWide) fill(e *etmKernel) {
	c, p, end, loop := e.c, e.c.GP64(), e.c.GP64(), e.label("tweaks")
	c.MOVQ(m.now, p)
	c.LEAQ(at(p, e.unitBytes()), end)
	c.Label(loop)
	emit(m.tweak(e, at(p, 0), at(p, 8)))
	c.ADDQ(operand.Imm(16), p)
	c.CMPQ(p, end)
	c.JNE(operand.LabelRef(loop))
}

// beginUnit turns to the next job in the last unit, if nothing follows it.
func (m *xtsWide) beginUnit(e *etmKernel) {
	c, same := e.c, e.label("same")
	c.CMPQ(e.units, operand.Imm(1))
	c.JNE(operand.LabelRef(same))
	c.CMPQ(e.saved, operand.Imm(0))
	c.JNE(operand.LabelRef(same))
	m.nextJob(e)
	c.Label(same)
}

func (m *xtsWide) endUnit(e *etmKernel) { e.c.XCHGQ(m.now, m.next) }

func (m *xtsWide) steps(e *etmKernel, disp int) (steps []func()) {
	for i := 0; i < e.unitBytes()/2; i += 16 {
		steps = append(steps, m.tweak(e, at(m.next, disp+i), at(m.next, disp+i+8))...)
	}
	return steps
}

func (m *xtsWide) start(e *etmKernel, n, disp int) {
	for i, v := range e.a[:n] {
		e.c.VPTERNLOGQ(operand.Imm(0x96), at(m.now, disp+64*i), e.k[0], v)
	}
}

func (m *xtsWide) finish(e *etmKernel, n, disp int) {
	for i, v := range e.a[:n] {
		e.xor(at(m.now, disp+64*i), v)
	}
	if n == 1 {
		e.c.ADDQ(operand.Imm(64), m.now)
	}
}

// endRest makes the next job's tweaks, and now what it was.
func (m *xtsWide) endRest(e *etmKernel) {
	c := e.c
	first, second := c.GP64(), c.GP64()
	work := c.arg("work")
	c.LEAQ(at(work, 63), first)
	c.ANDQ(operand.I8(-64), first)
	c.LEAQ(at(first, e.unitBytes()), second)
	c.MOVQ(first, m.now)
	c.MOVQ(second, m.next)
	m.nextJob(e)
	m.fill(e)
}

// end clears the tweak.
func (m *xtsWide) end(e *etmKernel) {
	e.c.XORL(m.lo.As32(), m.lo.As32())
	e.c.XORL(m.hi.As32(), m.hi.As32())
}

// cbcWide is CBC's decryption. In spare[1] is the last ciphertext of what came before.
type cbcWide struct{}

var _ etmMode = (*cbcWide)(nil)

func (*cbcWide) name() string { return "cbcGMAC" }

func (*cbcWide) opens() bool { return true }

func (*cbcWide) begin(*etmKernel) {}

func (*cbcWide) beginJob(e *etmKernel) {
	c := e.c
	iv := c.arg("ivs")
	c.VBROADCASTI64X2(at(iv, 0), e.spare[1])
	c.ADDQ(operand.Imm(16), iv)
	c.MOVQ(iv, c.argAt("ivs"))
}

func (*cbcWide) beginUnit(*etmKernel) {}

func (*cbcWide) endUnit(*etmKernel) {}

func (*cbcWide) endRest(*etmKernel) {}

func (*cbcWide) end(*etmKernel) {}

func (*cbcWide) steps(*etmKernel, int) []func() { return nil }

// start keeps the ciphertext one block before the first register's: three of its lanes, and the last one of
// what came before.
func (*cbcWide) start(e *etmKernel, n, _ int) {
	c := e.c
	c.VALIGNQ(operand.Imm(6), e.spare[1], e.a[0], e.spare[0])
	c.VMOVDQA64(e.a[n-1], e.spare[1])
	for _, v := range e.a[:n] {
		e.xor(e.k[0], v)
	}
}

func (*cbcWide) finish(e *etmKernel, n, disp int) {
	e.xor(e.spare[0], e.a[0])
	for i := 1; i < n; i++ {
		e.xor(at(e.src, disp+64*i-16), e.a[i])
	}
}
