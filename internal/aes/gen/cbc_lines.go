package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// cbcEncryptLinesZ is cbcEncryptZ for four blocks of each chain at a time, so that every line of the cache is
// read once and written once: buffers of 8 KiB compete for the same few lines of the first cache, which
// cannot hold 64 streams at the same place.
//
// Four lines of a group are transposed, so that a register holds one block of each of the four chains, and
// wait in scratch, which is two buffers. One buffer is being encrypted, block for block, the ciphertext taking
// the plaintext's place. Into that stream of AES the work on the other buffer is mixed: what it holds from the step before
// goes out, transposed back, and the next step's plaintext comes in. The first step writes its (empty) predecessor to
// its own place, the last reads itself again: both are harmless, and spare a first and a last copy of the loop.
func cbcEncryptLinesZ(c *gen, groups int) {
	c.fn(fmt.Sprintf("cbcEncryptLinesVAES512x%d", 4*groups), "func(keys *byte, lanes *byte, lines, rounds int)",
		fmt.Sprintf("encrypts lines > 0 times 64 bytes of each of the first %d lanes.", 4*groups))
	c.Attributes(attr.Attribute(0)) // its frame is too large for NOSPLIT
	keys, lanes, n := c.arg("keys"), c.arg("lanes"), c.arg("lines")
	scratch := c.AllocLocal(512*groups + 64)
	l := &cbcLines{c: c, lanes: lanes, groups: groups,
		now: c.GP64(), other: c.GP64(), in: c.GP64(), out: c.GP64(), last: c.GP64(), cur: c.GP64()}
	c.LEAQ(scratch.Offset(63), l.now)
	c.ANDQ(operand.I8(-64), l.now)
	c.LEAQ(at(l.now, 256*groups), l.other)
	c.XORQ(l.out, l.out)
	c.XORQ(l.in, l.in)
	c.XORQ(l.cur, l.cur)
	c.MOVQ(n, l.last)
	c.SHLQ(operand.Imm(6), l.last)
	c.SUBQ(operand.Imm(64), l.last)
	for g := range groups {
		c.VMOVDQU64(at(lanes, laneIV+64*g), z[g])
		emit(l.load(g, l.now))
	}
	c.byRounds(func(r int) {
		k := z[16 : 16+r+1]
		c.broadcastKeys(keys, k)
		loop := fmt.Sprintf("r%dloop", r)
		c.Label(loop)
		// The next line in, but not beyond the last one.
		c.ADDQ(operand.Imm(64), l.in)
		c.CMPQ(l.in, l.last)
		c.CMOVQGT(l.last, l.in)
		var moves []func()
		for g := range groups {
			moves = append(moves, l.store(g, l.other)...)
			moves = append(moves, l.load(g, l.other)...)
		}
		mixIn(l.encrypt(k), moves)
		c.MOVQ(l.cur, l.out)
		c.ADDQ(operand.Imm(64), l.cur)
		c.XCHGQ(l.now, l.other)
		c.DECQ(n)
		c.JNE(operand.LabelRef(loop))
		c.JMP(operand.LabelRef("done"))
	})
	c.Label("done")
	for g := range groups {
		emit(l.store(g, l.other))
		c.VMOVDQU64(z[g], at(lanes, laneIV+64*g))
	}
	c.VPXORQ(z[0], z[0], z[0])
	for i := range 4 * groups { // there was plaintext in it
		c.VMOVDQA64(z[0], at(l.now, 64*i))
		c.VMOVDQA64(z[0], at(l.other, 64*i))
	}
	c.retZ()
}

// cbcLines holds the registers of cbcEncryptLinesZ. States are z0...; z8 to z15 and z31 are for transposing.
type cbcLines struct {
	c          *gen
	lanes      reg.Register
	groups     int
	now, other reg.Register // buffers
	in, out    reg.Register // offsets of the line to read, and of that to write
	last       reg.Register
	cur        reg.Register // offset of the line being encrypted
}

// encrypt returns the instructions that encrypt the buffer now.
func (l *cbcLines) encrypt(k []reg.VecPhysical) (ops []func()) {
	c, last := l.c, len(k)-1
	for b := range 4 {
		slot := func(g int) operand.Mem { return at(l.now, 256*g+64*b) }
		for g := range l.groups {
			ops = append(ops, func() { c.VPTERNLOGQ(operand.Imm(0x96), slot(g), k[0], z[g]) })
		}
		for i := 1; i < last; i++ {
			for g := range l.groups {
				ops = append(ops, func() { c.VAESENC(k[i], z[g], z[g]) })
			}
		}
		for g := range l.groups {
			ops = append(ops, func() {
				c.VAESENCLAST(k[last], z[g], z[g])
				c.VMOVDQA64(z[g], slot(g))
			})
		}
	}
	return ops
}

// load returns the instructions that bring a line of each chain of a group into a buffer.
func (l *cbcLines) load(g int, buffer reg.Register) (ops []func()) {
	c, p := l.c, l.c.GP64()
	for i := range 4 {
		ops = append(ops, func() {
			c.MOVQ(at(l.lanes, laneSrc+32*g+8*i), p)
			c.VMOVDQU64(atx(p, l.in, 0), z[8+i])
		})
	}
	ops = append(ops, c.transpose()...)
	for i := range 4 {
		ops = append(ops, func() { c.VMOVDQA64(z[8+i], at(buffer, 256*g+64*i)) })
	}
	return ops
}

// store returns the instructions that bring a buffer's lines of a group to their place.
func (l *cbcLines) store(g int, buffer reg.Register) (ops []func()) {
	c, p := l.c, l.c.GP64()
	for i := range 4 {
		ops = append(ops, func() { c.VMOVDQA64(at(buffer, 256*g+64*i), z[8+i]) })
	}
	ops = append(ops, c.transpose()...)
	for i := range 4 {
		ops = append(ops, func() {
			c.MOVQ(at(l.lanes, laneDst+32*g+8*i), p)
			c.VMOVDQU64(z[8+i], atx(p, l.out, 0))
		})
	}
	return ops
}

// transpose returns the instructions that transpose z8 to z11 as a matrix of 128-bit words, by way of z12 to z15.
func (c *gen) transpose() []func() {
	shuffle := func(imm uint64, a, b, to int) func() {
		return func() { c.VSHUFI64X2(operand.Imm(imm), z[b], z[a], z[to]) }
	}
	return []func(){
		shuffle(0x44, 8, 9, 12), shuffle(0xee, 8, 9, 13),
		shuffle(0x44, 10, 11, 14), shuffle(0xee, 10, 11, 15),
		shuffle(0x88, 12, 14, 8), shuffle(0xdd, 12, 14, 9),
		shuffle(0x88, 13, 15, 10), shuffle(0xdd, 13, 15, 11),
	}
}

// emit runs all of ops.
func emit(ops []func()) {
	for _, op := range ops {
		op()
	}
}

// mixIn emits both lists, each in its order, the second spread evenly over the first.
func mixIn(main, other []func()) {
	done := 0
	for i, op := range main {
		op()
		for ; done < (i+1)*len(other)/len(main); done++ {
			other[done]()
		}
	}
	emit(other[done:])
}
