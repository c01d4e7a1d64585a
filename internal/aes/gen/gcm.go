package main

import (
	"fmt"
	"math/bits"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// GCM (SP 800-38D) with nonces of 96 bits, for batches, in units of eight registers.
//
// The states are two banks of four registers, half a cipher apart: while bank X
// goes through the second half of its rounds, bank Y takes new counters and goes
// through the first half of its own. So there is AES to do at any time, also while
// a bank's keystream is being put to use. A unit is two such phases; the second one
// leaves bank A half done for the next unit, or for what follows the last one, or,
// if there is nothing, for the next job. GHASH of ciphertext that is there already is
// mixed in: sealing, of the bank before; opening, of this one.
//
// Reductions come once in a group of units; the last group takes in what
// follows the units and the block of lengths too, the first one the last blocks of
// additional data.
//
// Counters begin at 2. Those of the n blocks of a unit are nq + 2 … nq + n + 1:
// the base is nonce and nq, added to the first round key already, and the table has
// what is to be added to that: 2 … n - 1, then 0 and 1, for which the base is ahead by n.

// A jobLayout is where a job's fields lie; internal/aes checks the offsets.
type jobLayout struct{ dst, src, ad, nonce, crc, size int }

// sliceLen is from a slice's pointer to its length.
const sliceLen = 8

var gcmLayout = jobLayout{dst: 0, src: 24, ad: 48, nonce: 72, crc: 84, size: 112}

const (
	unitRegs  = 8   // registers in a unit
	groupMost = 128 // blocks of units in a group
)

// gcmWork is what a function does.
type gcmWork int

const (
	gcmSeal gcmWork = iota
	gcmSealSum
	gcmOpen
)

func gcm(c *gen) {
	for _, do := range []gcmWork{gcmSeal, gcmSealSum, gcmOpen} {
		for _, r := range rounds {
			gcmWide(c, do, r)
		}
		for _, r := range rounds {
			gcmNarrow(c, do, r)
		}
	}
}

const gcmSig = "func(keys, tab, jobs *byte, n int, tags *byte, stride int)"

// begin begins the function for a tier.
func (g *gcmKernel) begin(tier string) {
	name, doc := "gcmSeal", "encrypts n > 0 jobs and writes their tags, stride bytes apart."
	if g.summing {
		name, doc = "gcmSealSum", "is gcmSeal, and sums each job's ciphertext."
	}
	if g.open {
		name, doc = "gcmOpen", "decrypts n > 0 jobs and writes the tags they should have, stride bytes apart."
	}
	c := g.c
	c.fn(fmt.Sprintf("%s%sr%d", name, tier, g.rounds), gcmSig, doc)
	g.layout = gcmLayout
	g.registers()
	g.dst, g.ctr, g.primed = c.GP64(), c.GP64(), c.AllocLocal(8)
	g.sum, g.part = c.GP64(), c.GP64()
	g.ks = c.AllocLocal(g.unitBytes())
}

// registers sets what GMAC needs too.
func (g *gcmKernel) registers() {
	c := g.c
	g.keys, g.tab, g.pp = c.arg("keys"), c.arg("tab"), c.GP64()
	g.src, g.units, g.rem = c.GP64(), c.GP64(), c.GP64()
	g.mask = at(g.tab, tabMask)
	g.ej0, g.tail = c.AllocLocal(16), c.AllocLocal(8)
}

// A gcmKernel is one function being made.
type gcmKernel struct {
	hasher
	layout  jobLayout
	ops     gcmOps
	open    bool
	summing bool // sealing, the ciphertext too
	macOnly bool // all is additional data
	rounds  int
	a, b    []reg.VecPhysical // banks of states, later keystream, later ciphertext
	ej0     operand.Mem       // E(J0), which masks the tag
	ks      operand.Mem       // keystream of what follows the units, on the stack
	tail    operand.Mem       // length of the powers for what follows the units
	primed  operand.Mem       // whether bank A is half done for the next job
	keys    reg.GPVirtual
	src     reg.GPVirtual
	dst     reg.Register  // nil: nothing is written
	units   reg.GPVirtual // whole ones that are left
	rem     reg.GPVirtual // bytes after them
	ctr     reg.GPVirtual // nq
	sum     reg.GPVirtual // CRC32C of ciphertext
	part    reg.GPVirtual // its second chain
	labels  int
}

// gcmOps is what differs between registers of 512 and 128 bits. Those that return
// steps do not emit them.
type gcmOps interface {
	// setBase sets the base for the nonce of the job at an offset from the present one.
	setBase(offset int)
	// counters puts the next counters into the bank s.
	counters(s []reg.VecPhysical) []func()
	// some runs the rounds from first to last, from 1 on, on s.
	some(s []reg.VecPhysical, first, last int) []func()
	// output adds what is at src+disp to the keystream in s and writes it to dst+disp.
	// It may be mixed with quad.
	output(s []reg.VecPhysical, disp int) []func()
	// quad takes the four registers of blocks at from+disp into the sums, with the
	// powers at pp+off; first says that y comes in.
	quad(from reg.Register, disp, off int, first bool) []func()
	// j0 sets ej0.
	j0()
	// additional takes in the additional data.
	additional()
	// rest handles what follows the units, when that is anything, and bank A is half done.
	rest()
}

// label returns a name for the next label.
func (g *gcmKernel) label(what string) string {
	g.labels++
	return fmt.Sprintf("%s%d", what, g.labels)
}

// unitBytes is a unit's length; it is also that of its powers.
func (g *gcmKernel) unitBytes() int { return unitRegs * g.width() }

// argAt is where a parameter lies; it may be changed there.
func (c *gen) argAt(name string) operand.Op {
	p, err := c.Param(name).Resolve()
	if err != nil {
		panic(err)
	}
	return p.Addr
}

// batch runs every job.
func (g *gcmKernel) batch() {
	c := g.c
	c.Label("start")
	g.ops.setBase(0)
	emit(g.ops.counters(g.a))
	emit(g.ops.some(g.a, 1, g.rounds/2-1))
	c.Label("job")
	g.clear()
	g.zero(g.y)
	c.MOVQ(operand.U32(0), g.primed)
	if g.summing {
		c.MOVL(operand.U32(0xffffffff), g.sum.As32())
	}
	g.lengths()
	g.ops.j0()
	g.ops.additional()
	if g.open {
		g.openUnits()
	} else {
		g.sealUnits()
	}
	c.TESTQ(g.rem, g.rem)
	c.JEQ(operand.LabelRef("lengths"))
	g.ops.rest()
	c.Label("lengths")
	if g.summing {
		g.endSum()
	}
	g.tag()
	c.ADDQ(operand.U32(g.layout.size), c.argAt("jobs"))
	c.DECQ(c.argAt("n"))
	c.JEQ(operand.LabelRef("done"))
	c.CMPQ(g.primed, operand.Imm(0))
	c.JNE(operand.LabelRef("job"))
	c.JMP(operand.LabelRef("start"))
	c.Label("done")
}

// Where the steps of GHASH go among those of AES; measured on Zen 4.
const (
	hashAfter = 12   // AES instructions of a phase that come before them
	ahead     = 1024 // bytes that the source is fetched ahead
)

// hashBefore is how many AES instructions of a phase come after the steps of GHASH.
func (g *gcmKernel) hashBefore() int {
	if g.wide {
		return 4
	}
	return 0
}

// phase emits the second half of the rounds of x and the first half of those of
// y, whose old content is put to use first, all of it mixed with steps. Those that
// read what was written begin after that.
func (g *gcmKernel) phase(x, y []reg.VecPhysical, use, steps []func()) {
	half, c := g.rounds/2, g.c
	for i := 0; i < g.unitBytes()/2; i += 64 {
		off := ahead + i
		if len(use) > 0 {
			off += g.unitBytes() / 2
		}
		steps = append([]func(){func() { c.PREFETCHT0(at(g.src, off)) }}, steps...)
	}
	main := mixed(g.ops.some(x, half, half+1), append(use, g.ops.counters(y)...))
	if len(use) > 0 && !g.open {
		emit(main)
		main = nil
	}
	for i := 1; i < half; i++ {
		main = append(main, g.alternate(g.ops.some(x, half+1+i, half+1+i), g.ops.some(y, i, i))...)
	}
	last := len(main) - g.hashBefore()
	emit(main[:hashAfter])
	mixIn(main[hashAfter:last], steps)
	emit(main[last:])
}

// alternate returns one round of two banks, by turns where each step stands alone.
func (g *gcmKernel) alternate(x, y []func()) []func() {
	if g.wide {
		return mixed(x, y)
	}
	return append(x, y...)
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
func (g *gcmKernel) second(steps []func()) {
	c, more := g.c, g.label("more")
	c.CMPQ(g.units, operand.Imm(1))
	c.JNE(operand.LabelRef(more))
	c.TESTQ(g.rem, g.rem)
	c.JNE(operand.LabelRef(more))
	c.CMPQ(c.argAt("n"), operand.Imm(1))
	c.JEQ(operand.LabelRef(more))
	g.ops.setBase(g.layout.size)
	c.MOVQ(operand.U32(1), g.primed)
	c.Label(more)
	g.phase(g.b, g.a, g.ops.output(g.a, 0), steps)
	emit(g.ops.output(g.b, g.unitBytes()/2))
	c.ADDQ(operand.U32(g.unitBytes()), g.src)
	c.ADDQ(operand.U32(g.unitBytes()), g.dst)
}

// sealUnits encrypts unit by unit and hashes each bank one phase later.
func (g *gcmKernel) sealUnits() {
	c, half := g.c, g.unitBytes()/2
	c.TESTQ(g.units, g.units)
	c.JEQ(operand.LabelRef("rest"))
	g.phase(g.a, g.b, nil, nil)
	c.JMP(operand.LabelRef("second"))
	c.Label("unit")
	g.phase(g.a, g.b, nil, g.hashAndSum(g.ops.quad(g.dst, -half, 0, false), g.dst, -half))
	g.hashed(half)
	c.Label("second")
	g.second(g.hashAndSum(g.ops.quad(g.dst, 0, 0, true), g.dst, 0))
	c.ADDQ(operand.U32(half), g.pp)
	c.DECQ(g.units)
	c.JNE(operand.LabelRef("unit"))
	emit(g.hashAndSum(g.ops.quad(g.dst, -half, 0, false), g.dst, -half))
	c.ADDQ(operand.U32(half), g.pp)
	c.Label("rest")
}

// openUnits hashes and decrypts unit by unit.
func (g *gcmKernel) openUnits() {
	c, half := g.c, g.unitBytes()/2
	c.TESTQ(g.units, g.units)
	c.JEQ(operand.LabelRef("rest"))
	c.Label("unit")
	g.phase(g.a, g.b, nil, g.ops.quad(g.src, 0, 0, true))
	g.second(g.ops.quad(g.src, half, half, false))
	c.DECQ(g.units)
	g.hashed(2 * half)
	c.TESTQ(g.units, g.units)
	c.JNE(operand.LabelRef("unit"))
	c.Label("rest")
}

// lengths sets src, dst, units, rem, tail and pp.
func (g *gcmKernel) lengths() {
	c, job := g.c, g.c.arg("jobs")
	c.MOVQ(at(job, g.layout.src), g.src)
	if g.dst != nil {
		c.MOVQ(at(job, g.layout.dst), g.dst)
	}
	c.MOVQ(at(job, g.layout.src+sliceLen), g.rem)
	c.MOVQ(g.rem, g.units)
	c.SHRQ(g.unitShift(), g.units)
	c.ANDQ(operand.U32(g.unitBytes()-1), g.rem)
	tail := c.GP64()
	c.LEAQ(at(g.rem, 31), tail)
	c.ANDQ(operand.I32(-16), tail)
	c.MOVQ(tail, g.tail)
	g.group()
}

func (g *gcmKernel) unitShift() operand.Op {
	return operand.Imm(uint64(bits.Len(uint(g.unitBytes())) - 1))
}

// group sets pp for a group of what is left.
func (g *gcmKernel) group() {
	c := g.c
	last := c.GP64()
	c.MOVQ(g.units, last)
	c.SHLQ(g.unitShift(), last)
	c.ADDQ(g.tail, last)
	c.NEGQ(last)
	c.LEAQ(atx(g.tab, last, tabEnd), last)
	c.LEAQ(at(g.tab, tabEnd-16*groupMost), g.pp)
	c.CMPQ(g.units, operand.Imm(uint64(16*groupMost/g.unitBytes())))
	c.CMOVQLE(last, g.pp)
}

// hashed advances pp by n bytes of powers, and ends a group if it was its end.
func (g *gcmKernel) hashed(n int) {
	c, next, end := g.c, g.label("group"), g.c.GP64()
	c.ADDQ(operand.U32(n), g.pp)
	c.LEAQ(at(g.tab, tabEnd), end)
	c.CMPQ(g.pp, end)
	c.JNE(operand.LabelRef(next))
	g.reduce()
	g.group()
	c.Label(next)
}

// nonce loads a job's nonce and last, a number below 256, as a counter block.
func (g *gcmKernel) nonce(job reg.Register, job0 int, last uint64, to reg.Register) {
	c, lo, hi := g.c, g.c.GP64(), g.c.GP64()
	c.MOVQ(at(job, job0+g.layout.nonce), lo)
	c.MOVL(at(job, job0+g.layout.nonce+8), hi.As32())
	if last == 1 {
		c.BTSQ(operand.Imm(56), hi)
	}
	g.pairQ(lo, hi, to)
}

// pairQ sets to, of 128 bits, to two words.
func (g *gcmKernel) pairQ(lo, hi reg.Register, to reg.Register) {
	if g.wide {
		g.c.VMOVQ(lo, to)
		g.c.VPINSRQ(operand.Imm(1), hi, to, to)
	} else {
		g.c.MOVQ(lo, to)
		g.c.PINSRQ(operand.Imm(1), hi, to)
	}
}
