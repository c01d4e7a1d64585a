package main

import (
	"fmt"
	"math/bits"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// GCM (SP 800-38D) with nonces of 96 bits, for batches. Each job runs in units
// of eight registers. The AES rounds of some blocks are interleaved with the GHASH
// of others, whose ciphertext is there already; so both keep their execution units
// busy. Reductions come once in a group of units; the last group takes in the tail
// and the block of lengths too, the first one the last blocks of additional data.

// Offsets in a job; internal/aes/gcm_amd64.go checks them.
const (
	jobDst   = 0
	jobSrc   = 24
	jobAD    = 48
	jobNonce = 72
	jobSize  = 104
	sliceLen = 8 // from a slice's pointer to its length
)

const (
	unitRegs  = 8  // registers in a unit
	groupMost = 64 // blocks of units in a group
)

func gcm(c *gen) {
	for _, open := range []bool{false, true} {
		for _, r := range rounds {
			gcmWide(c, open, r)
		}
		gcmNarrow(c, open)
	}
}

const gcmSig = "func(keys, tab, jobs *byte, n int, tags *byte, stride int)"

func gcmName(open bool) (name, doc string) {
	if open {
		return "gcmOpen", "decrypts n > 0 jobs and writes the tags they should have, stride bytes apart."
	}
	return "gcmSeal", "encrypts n > 0 jobs and writes their tags, stride bytes apart."
}

// A gcmKernel is one function being made: what the widths have in common.
type gcmKernel struct {
	hasher
	open   bool
	s      []reg.VecPhysical // states, later ciphertext; at least unitRegs
	ej0    operand.Mem       // E(J0), which masks the tag
	ks     operand.Mem       // keystream of the tail, on the stack
	tail   operand.Mem       // length of the powers for what follows the units
	keys   reg.GPVirtual
	src    reg.GPVirtual
	dst    reg.GPVirtual
	units  reg.GPVirtual // whole ones that are left
	rem    reg.GPVirtual // bytes after them
	labels int
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

func (g *gcmKernel) arguments() {
	c := g.c
	g.keys, g.tab, g.pp = c.arg("keys"), c.arg("tab"), c.GP64()
	g.src, g.dst, g.units, g.rem = c.GP64(), c.GP64(), c.GP64(), c.GP64()
	g.mask = at(g.tab, tabMask)
	g.ks = c.AllocLocal(g.unitBytes())
	g.ej0, g.tail = c.AllocLocal(16), c.AllocLocal(8)
}

// lengths sets src, dst, units, rem, tail and pp.
func (g *gcmKernel) lengths() {
	c, job := g.c, g.c.arg("jobs")
	c.MOVQ(at(job, jobSrc), g.src)
	c.MOVQ(at(job, jobDst), g.dst)
	c.MOVQ(at(job, jobSrc+sliceLen), g.rem)
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
func (g *gcmKernel) nonce(job reg.Register, job0 int, last uint64, to reg.VecPhysical) {
	c, lo, hi := g.c, g.c.GP64(), g.c.GP64()
	c.MOVQ(at(job, job0+jobNonce), lo)
	c.MOVL(at(job, job0+jobNonce+8), hi.As32())
	if last == 1 {
		c.BTSQ(operand.Imm(56), hi)
	}
	g.pairQ(lo, hi, to)
}

// pairQ sets to, of 128 bits, to two words.
func (g *gcmKernel) pairQ(lo, hi reg.Register, to reg.VecPhysical) {
	if g.wide {
		g.c.VMOVQ(lo, to)
		g.c.VPINSRQ(operand.Imm(1), hi, to, to)
	} else {
		g.c.MOVQ(lo, to)
		g.c.PINSRQ(operand.Imm(1), hi, to)
	}
}

// tag takes in the lengths and writes the tag.
func (g *gcmKernel) tag() {
	c, v := g.c, g.t[0].AsX()
	lo, hi, job := c.GP64(), c.GP64(), c.arg("jobs")
	c.MOVQ(at(job, jobSrc+sliceLen), lo)
	c.SHLQ(operand.Imm(3), lo)
	c.MOVQ(at(job, jobAD+sliceLen), hi)
	c.SHLQ(operand.Imm(3), hi)
	g.pairQ(lo, hi, v.(reg.VecPhysical))
	g.xor(g.y.AsX(), v)
	g.absorbX(at(g.tab, tabEnd-16))
	g.reduce()
	y := g.y.AsX()
	g.reverse(y)
	if g.wide {
		g.xor(g.ej0, y)
	} else {
		c.MOVOU(g.ej0, v)
		c.PXOR(v, y)
	}
	tags := c.arg("tags")
	g.load(y, at(tags, 0))
	c.ADDQ(c.arg("stride"), tags)
	c.MOVQ(tags, c.argAt("tags"))
}
