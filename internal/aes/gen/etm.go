package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// XTS, and CBC's decryption, with GMAC over additional data and ciphertext in the same
// pass (encrypt, then MAC), for batches; sealing sums the ciphertext too. The steps of
// GHASH and of the sum stand among the rounds: sealing, of the half unit before; opening,
// of this one. What is common with GCM is in gcm.go: units, groups, powers, additional data.
//
// All of a half unit is read before any of it is written, so that it works in place.

// etmLayout is MACJob's; internal/aes checks it. IVs lie apart, 16 bytes each.
var etmLayout = jobLayout{dst: 0, src: 24, ad: 48, nonce: 72, crc: 84, size: 128}

const etmSig = "func(keys, ivs, mac, tab, jobs *byte, n int, tags *byte, stride int)"

func etm(c *gen) {
	shifts, poly := c.xtsShifts(), c.lanes128("xtsPoly", 0x87, 0)
	for _, r := range []int{10, 14} {
		etmWide(c, &xtsWide{shifts: shifts, poly: poly}, false, r)
		etmWide(c, &xtsWide{shifts: shifts, poly: poly, decrypt: true}, true, r)
	}
	for _, r := range rounds {
		etmWide(c, &cbcWide{}, true, r)
	}
}

// etmMode is a mode on half a unit, four registers.
type etmMode interface {
	name() string
	// begin prepares for the job whose IV is at iv.
	begin(e *etmKernel, iv reg.Register)
	// start takes what was loaded into the first n registers of a, from src+disp, to the first round.
	start(e *etmKernel, n, disp int)
	// finish ends what start began, after the last round.
	finish(e *etmKernel, n int) []func()
	// advance goes on to the next half unit, or with one register to the next four blocks.
	advance(e *etmKernel, n int)
}

// An etmKernel is one function being made. Its states are the bank a; b is the mode's,
// and so is spare.
type etmKernel struct {
	gcmKernel
	mode  etmMode
	k     []reg.VecPhysical
	spare reg.VecPhysical
}

func etmWide(c *gen, mode etmMode, open bool, r int) {
	e := &etmKernel{mode: mode, k: z[16 : 16+r+1], spare: z[31],
		gcmKernel: gcmKernel{open: open, macOnly: true, rounds: r, a: z[:4], b: z[4:8], hasher: hasher{c: c, wide: true,
			lo: z[8], mid: z[9], hi: z[10], y: z[11], t: [4]reg.VecPhysical{z[12], z[13], z[14], z[15]}}}}
	e.ops = &gcmWideOps{gcmKernel: &e.gcmKernel, k: e.k}
	name, doc := "Seal", "encrypts n > 0 jobs, sums them and writes their tags, stride bytes apart."
	if open {
		name, doc = "Open", "decrypts n > 0 jobs and writes the tags they should have, stride bytes apart."
	}
	c.fn(fmt.Sprintf("%s%sVAES512r%d", mode.name(), name, r), etmSig, doc)
	e.layout = etmLayout
	e.registers()
	e.dst, e.sum, e.part = c.GP64(), c.GP64(), [2]reg.GPVirtual{c.GP64(), c.GP64()}
	c.broadcastKeys(e.keys, e.k)
	e.jobs()
	e.zero(z[0])
	e.load(z[0].AsX(), e.ej0)
	c.retZ()
}

// jobs runs every job.
func (e *etmKernel) jobs() {
	c := e.c
	c.Label("job")
	e.clear()
	e.zero(e.y)
	if !e.open {
		c.MOVL(operand.U32(0xffffffff), e.sum.As32())
	}
	e.lengths()
	e.maskOfTag()
	iv := c.arg("ivs")
	e.mode.begin(e, iv)
	c.ADDQ(operand.Imm(16), iv)
	c.MOVQ(iv, c.argAt("ivs"))
	e.ops.additional()
	c.TESTQ(e.units, e.units)
	c.JEQ(operand.LabelRef("rest"))
	if e.open {
		e.openUnits()
	} else {
		e.sealUnits()
	}
	c.Label("rest")
	c.TESTQ(e.rem, e.rem)
	c.JEQ(operand.LabelRef("lengths"))
	e.rest()
	c.Label("lengths")
	if !e.open {
		e.endSum()
	}
	e.tag()
	c.ADDQ(operand.U32(e.layout.size), c.argAt("jobs"))
	c.DECQ(c.argAt("n"))
	c.JNE(operand.LabelRef("job"))
}

// maskOfTag sets ej0, by the key at mac.
func (e *etmKernel) maskOfTag() {
	c, v, mac := e.c, e.t[0].AsX(), e.c.arg("mac")
	e.nonce(c.arg("jobs"), 0, 1, v)
	e.xor(at(mac, 0), v)
	for i := 1; i < e.rounds; i++ {
		c.VAESENC(at(mac, 16*i), v, v)
	}
	c.VAESENCLAST(at(mac, 16*e.rounds), v, v)
	e.load(v, e.ej0)
}

// half emits half a unit at disp, mixed with steps.
func (e *etmKernel) half(disp int, steps []func()) {
	c := e.c
	for i, v := range e.a {
		e.load(at(e.src, disp+64*i), v)
		c.PREFETCHT0(at(e.src, ahead+disp+64*i))
	}
	e.mode.start(e, 4, disp)
	mixIn(e.cipher(4), steps)
	emit(e.mode.finish(e, 4))
	for i, v := range e.a {
		e.load(v, at(e.dst, disp+64*i))
	}
	e.mode.advance(e, 4)
}

// cipher returns all rounds on the first n states.
func (e *etmKernel) cipher(n int) []func() {
	_, decrypt := e.mode.(*cbcWide)
	if m, ok := e.mode.(*xtsWide); ok {
		decrypt = m.decrypt
	}
	last := make([]reg.VecPhysical, n)
	for i := range last {
		last[i] = e.k[e.rounds]
	}
	return e.c.xtsRounds(e.a[:n], e.k, last, decrypt)
}

// next moves on by a unit.
func (e *etmKernel) next() {
	e.c.ADDQ(operand.U32(e.unitBytes()), e.src)
	e.c.ADDQ(operand.U32(e.unitBytes()), e.dst)
}

func (e *etmKernel) sealUnits() {
	c, n := e.c, e.unitBytes()/2
	e.half(0, nil)
	c.JMP(operand.LabelRef("second"))
	c.Label("unit")
	e.half(0, e.hashAndSum(e.dst, -n, 0, false))
	e.hashed(n)
	c.Label("second")
	e.half(n, e.hashAndSum(e.dst, 0, 0, true))
	e.next()
	c.ADDQ(operand.U32(n), e.pp)
	c.DECQ(e.units)
	c.JNE(operand.LabelRef("unit"))
	emit(e.hashAndSum(e.dst, -n, 0, false))
	c.ADDQ(operand.U32(n), e.pp)
}

func (e *etmKernel) openUnits() {
	c, n := e.c, e.unitBytes()/2
	c.Label("unit")
	e.half(0, e.ops.quad(e.src, 0, 0, true))
	e.half(n, e.ops.quad(e.src, n, n, false))
	e.next()
	c.DECQ(e.units)
	e.hashed(2 * n)
	c.TESTQ(e.units, e.units)
	c.JNE(operand.LabelRef("unit"))
}

// rest handles what follows the units, whole blocks, 64 bytes at a time under a mask.
func (e *etmKernel) rest() {
	c, v, n := e.c, e.a[0], e.c.GP64()
	c.Label("part")
	c.MOVQ(operand.U32(64), n)
	c.CMPQ(e.rem, n)
	c.CMOVQLT(e.rem, n)
	e.ops.(*gcmWideOps).byteMask(n)
	c.VMOVDQU8_Z(at(e.src, 0), reg.K1, v)
	if e.open {
		c.VMOVDQA64(v, e.t[0])
	}
	e.mode.start(e, 1, 0)
	emit(e.cipher(1))
	emit(e.mode.finish(e, 1))
	c.VMOVDQU8(v, reg.K1, at(e.dst, 0))
	if !e.open {
		c.VMOVDQU8_Z(v, reg.K1, e.t[0])
	}
	emit(e.absorb(0, true))
	e.mode.advance(e, 1)
	for _, p := range []reg.Register{e.src, e.dst, e.pp} {
		c.ADDQ(operand.Imm(64), p)
	}
	c.SUBQ(operand.Imm(64), e.rem)
	c.JGT(operand.LabelRef("part"))
}

// xtsWide is XTS. In b are the tweaks of the next sixteen blocks.
type xtsWide struct {
	shifts, poly operand.Mem
	decrypt      bool
}

var _ etmMode = (*xtsWide)(nil)

func (*xtsWide) name() string { return "xtsGMAC" }

func (m *xtsWide) begin(e *etmKernel, iv reg.Register) {
	e.load(m.poly, e.spare)
	e.c.firstTweaks(iv, m.shifts, e.spare, e.b)
}

func (m *xtsWide) start(e *etmKernel, n, _ int) {
	for i, v := range e.a[:n] {
		e.c.VPTERNLOGQ(operand.Imm(0x96), e.b[i], e.k[0], v)
	}
}

func (m *xtsWide) finish(e *etmKernel, n int) (steps []func()) {
	for i, v := range e.a[:n] {
		steps = append(steps, func() { e.xor(e.b[i], v) })
	}
	return steps
}

func (m *xtsWide) advance(e *etmKernel, n int) {
	c, t := e.c, e.spare
	for i, v := range e.b[:n] { // times x^16: two bytes up, what falls out times the polynomial
		c.VPSRLDQ(operand.Imm(14), v, t)
		c.VPSLLDQ(operand.Imm(2), v, v)
		c.VPCLMULQDQ(operand.Imm(0), m.poly, t, t)
		c.VPXORQ(t, v, v)
		if n == 1 && i == 0 {
			c.VMOVDQA64(v, t)
			for j := 1; j < len(e.b); j++ {
				c.VMOVDQA64(e.b[j], e.b[j-1])
			}
			c.VMOVDQA64(t, e.b[len(e.b)-1])
		}
	}
}

// cbcWide is CBC's decryption. In b is the ciphertext one block earlier; in spare the last of
// what came before.
type cbcWide struct{}

var _ etmMode = (*cbcWide)(nil)

func (*cbcWide) name() string { return "cbcGMAC" }

func (*cbcWide) begin(e *etmKernel, iv reg.Register) {
	e.c.VBROADCASTI64X2(at(iv, 0), e.spare)
}

func (*cbcWide) start(e *etmKernel, n, disp int) {
	c := e.c
	c.VALIGNQ(operand.Imm(6), e.spare, e.a[0], e.b[0])
	for i := 1; i < n; i++ {
		e.load(at(e.src, disp+64*i-16), e.b[i])
	}
	c.VMOVDQA64(e.a[n-1], e.spare)
	for _, v := range e.a[:n] {
		e.xor(e.k[0], v)
	}
}

func (*cbcWide) finish(e *etmKernel, n int) (steps []func()) {
	for i, v := range e.a[:n] {
		steps = append(steps, func() { e.xor(e.b[i], v) })
	}
	return steps
}

func (*cbcWide) advance(*etmKernel, int) {}
