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

// work is memory for the mode, tweakMemory of internal/aes; kernels leave secrets there.
const etmSig = "func(keys, ivs, mac, tab, work, jobs *byte, n int, tags *byte, stride int)"

func etm(c *gen) {
	for _, r := range []int{10, 14} {
		etmWide(c, &xtsWide{}, r)
		etmWide(c, &xtsWide{decrypt: true}, r)
		xtsNarrow(c, &xtsWide{}, r)
		xtsNarrow(c, &xtsWide{decrypt: true}, r)
	}
	for _, r := range rounds {
		etmWide(c, &cbcWide{}, r)
	}
}

// etmMode is a mode on half a unit, four registers.
type etmMode interface {
	name() string
	opens() bool
	// begin comes before the first job.
	begin(e *etmKernel)
	// beginJob comes before a job.
	beginJob(e *etmKernel)
	// beginUnit comes before a unit, and endUnit after it.
	beginUnit(e *etmKernel)
	endUnit(e *etmKernel)
	// start takes what was loaded into the first n registers of a, from src+disp, to the first round.
	start(e *etmKernel, n, disp int)
	// steps are to be done beside the rounds of a half unit.
	steps(e *etmKernel, disp int) []func()
	// finish ends what start began, after the last round.
	finish(e *etmKernel, n, disp int)
	// endRest comes after what follows the units, or if nothing does after a job without units.
	endRest(e *etmKernel)
	// end comes after the last job.
	end(e *etmKernel)
}

// An etmKernel is one function being made. Its states are the bank a.
type etmKernel struct {
	gcmKernel
	mode  etmMode
	k     []reg.VecPhysical
	spare [2]reg.VecPhysical // the mode's
	more  [2]reg.VecPhysical // scratch of the hash
	saved operand.Mem        // rem, while there are units
}

func etmWide(c *gen, mode etmMode, r int) {
	e := &etmKernel{mode: mode, k: z[16 : 16+r+1], spare: [2]reg.VecPhysical{z[7], z[31]}, more: [2]reg.VecPhysical{z[4], z[5]},
		gcmKernel: gcmKernel{open: mode.opens(), summing: !mode.opens(), macOnly: true, rounds: r, a: z[:4], hasher: hasher{c: c, wide: true,
			lo: z[8], mid: z[9], hi: z[10], y: z[11], t: [4]reg.VecPhysical{z[12], z[13], z[14], z[15]}}}}
	e.ops = &gcmWideOps{gcmKernel: &e.gcmKernel, k: e.k}
	name, doc := e.title()
	c.fn(fmt.Sprintf("%s%sVAES512r%d", mode.name(), name, r), etmSig, doc)
	e.layout = etmLayout
	e.registers()
	e.dst, e.sum, e.part, e.saved = c.GP64(), c.GP64(), c.GP64(), c.AllocLocal(8)
	c.broadcastKeys(e.keys, e.k)
	e.load(e.mask, z[6])
	e.mask = z[6]
	mode.begin(e)
	e.jobs(e)
	mode.end(e)
	e.zero(z[0])
	e.load(z[0].AsX(), e.ej0)
	c.retZ()
}

// title returns the end of the function's name, and what it does.
func (e *etmKernel) title() (name, doc string) {
	if e.open {
		return "Open", "decrypts n > 0 jobs and writes the tags they should have, stride bytes apart."
	}
	return "Seal", "encrypts n > 0 jobs, sums them and writes their tags, stride bytes apart."
}

// etmParts is what differs between registers of 512 and 128 bits.
type etmParts interface {
	maskOfTag()
	sealUnits()
	openUnits()
	rest()
}

// jobs runs every job.
func (e *etmKernel) jobs(p etmParts) {
	c := e.c
	c.Label("job")
	e.clear()
	e.zero(e.y)
	if !e.open {
		c.MOVL(operand.U32(0xffffffff), e.sum.As32())
	}
	e.lengths()
	c.MOVQ(e.rem, e.saved)
	p.maskOfTag()
	e.mode.beginJob(e)
	e.ops.additional()
	c.TESTQ(e.units, e.units)
	c.JEQ(operand.LabelRef("rest"))
	if e.open {
		p.openUnits()
	} else {
		p.sealUnits()
	}
	c.CMPQ(e.saved, operand.Imm(0))
	c.JEQ(operand.LabelRef("lengths"))
	c.Label("rest")
	c.MOVQ(e.saved, e.rem)
	p.rest()
	e.mode.endRest(e)
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

// Where steps go among the AES instructions of half a unit; measured on Zen 4.
const (
	hashAfterSeal = 34 // that come before the steps of GHASH: what was just written is not there yet
	sumWithin     = 90 // per cent of the instructions beside which the words of the sum go
)

// half emits half a unit at disp, mixed with the steps of GHASH and of the sum.
func (e *etmKernel) half(disp int, hash, words, last []func()) {
	for i, v := range e.a {
		e.load(at(e.src, disp+64*i), v)
	}
	e.mode.start(e, 4, disp)
	aes, skip := e.cipher(4), 0
	if !e.open {
		skip = hashAfterSeal
	}
	own := e.mode.steps(e, disp)
	all := append(aes[:skip:skip], mixed(aes[skip:], hash)...)
	if len(own) > 0 {
		all = mixed(own, all)
	}
	within := len(all) * sumWithin / 100
	mixIn(all[:within], words)
	emit(all[within:])
	emit(last)
	e.mode.finish(e, 4, disp)
	for i, v := range e.a {
		e.load(v, at(e.dst, disp+64*i))
	}
}

// cipher returns all rounds on the first n states.
func (e *etmKernel) cipher(n int) []func() {
	last := make([]reg.VecPhysical, n)
	for i := range last {
		last[i] = e.k[e.rounds]
	}
	return e.c.xtsRounds(e.a[:n], e.k, last, e.open)
}

// next moves on by a unit.
func (e *etmKernel) next() {
	e.c.ADDQ(operand.U32(e.unitBytes()), e.src)
	e.c.ADDQ(operand.U32(e.unitBytes()), e.dst)
	e.mode.endUnit(e)
}

func (e *etmKernel) sealUnits() {
	c, n := e.c, e.unitBytes()/2
	sums := func(disp int) (words, last []func()) { return e.sums(e.dst, disp, n) }
	e.mode.beginUnit(e)
	e.half(0, nil, nil, nil)
	e.half(n, e.quad(e.dst, 0, 0, true), nil, nil)
	c.JMP(operand.LabelRef("sealed"))
	c.Label("unit")
	e.mode.beginUnit(e)
	words, last := sums(-2 * n)
	e.half(0, e.quad(e.dst, -n, 0, false), words, last)
	e.hashed(n)
	words, last = sums(-n)
	e.half(n, e.quad(e.dst, 0, 0, true), words, last)
	c.Label("sealed")
	e.next()
	c.ADDQ(operand.U32(n), e.pp)
	c.DECQ(e.units)
	c.JNE(operand.LabelRef("unit"))
	emit(e.quad(e.dst, -n, 0, false))
	c.ADDQ(operand.U32(n), e.pp)
	for disp := -2 * n; disp < 0; disp += n {
		words, last := sums(disp)
		emit(words)
		emit(last)
	}
}

func (e *etmKernel) openUnits() {
	c, n := e.c, e.unitBytes()/2
	c.Label("unit")
	e.mode.beginUnit(e)
	e.half(0, e.quad(e.src, 0, 0, true), nil, nil)
	e.half(n, e.quad(e.src, n, n, false), nil, nil)
	e.next()
	c.DECQ(e.units)
	e.hashed(2 * n)
	c.TESTQ(e.units, e.units)
	c.JNE(operand.LabelRef("unit"))
}

// quad is gcmWideOps' with fewer loads.
func (e *etmKernel) quad(from reg.Register, disp, off int, first bool) []func() {
	return append(e.pairOf(from, disp, off, first), e.pairOf(from, disp+128, off+128, false)...)
}

// pairOf is pair with each power loaded once, to registers.
func (e *etmKernel) pairOf(from reg.Register, disp, off int, first bool) []func() {
	v, w, p, q, hv, hw := e.t[0], e.t[1], e.t[2], e.t[3], e.more[0], e.more[1]
	add := func(a, b, sum reg.VecPhysical) func() {
		return func() { e.c.VPTERNLOGQ(operand.Imm(0x96), a, b, sum) }
	}
	steps := []func(){
		func() { e.load(at(from, disp), v) },
		func() { e.load(at(from, disp+64), w) },
		func() { e.reverse(v) },
		func() { e.reverse(w) },
	}
	if first {
		steps = append(steps, func() { e.xor(e.y, v) }, func() { e.zero(e.y) })
	}
	return append(steps,
		func() { e.load(at(e.pp, off), hv) },
		func() { e.load(at(e.pp, off+64), hw) },
		func() { e.mul(false, hv, v, p) },
		func() { e.mul(false, hw, w, q) },
		add(p, q, e.lo),
		func() { e.swap(v, p) },
		func() { e.swap(w, q) },
		func() { e.xor(v, p) },
		func() { e.xor(w, q) },
		func() { e.mul(true, hv, v, v) },
		func() { e.mul(true, hw, w, w) },
		add(v, w, e.hi),
		func() { e.mul(false, at(e.pp, off+tabMids), p, p) },
		func() { e.mul(false, at(e.pp, off+64+tabMids), q, q) },
		add(p, q, e.mid),
	)
}

// rest handles what follows the units, whole blocks, 64 bytes at a time under a mask.
func (e *etmKernel) rest() {
	c, v, n := e.c, e.a[0], e.c.GP64()
	c.TESTQ(e.rem, e.rem)
	c.JEQ(operand.LabelRef("restDone"))
	c.Label("part")
	c.MOVQ(operand.U32(64), n)
	c.CMPQ(e.rem, n)
	c.CMOVQLT(e.rem, n)
	e.byteMask(n)
	c.VMOVDQU8_Z(at(e.src, 0), reg.K1, v)
	if e.open {
		c.VMOVDQA64(v, e.t[0])
	}
	e.mode.start(e, 1, 0)
	emit(e.cipher(1))
	e.mode.finish(e, 1, 0)
	c.VMOVDQU8(v, reg.K1, at(e.dst, 0))
	if !e.open {
		c.VMOVDQU8_Z(v, reg.K1, e.t[0])
	}
	emit(e.absorb(0, true))
	for _, p := range []reg.Register{e.src, e.dst, e.pp} {
		c.ADDQ(operand.Imm(64), p)
	}
	c.SUBQ(operand.Imm(64), e.rem)
	c.JGT(operand.LabelRef("part"))
	c.Label("restDone")
}
