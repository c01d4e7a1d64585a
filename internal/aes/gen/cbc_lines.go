package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Encryption of four blocks of each chain at a time, so that every line of the cache is read once and written
// once: buffers of 8 KiB compete for the same few lines of the first cache, which cannot hold 64 streams at the
// same place.
//
// Lines wait in scratch, which is two buffers. One buffer is being encrypted, block for block, the ciphertext taking
// the plaintext's place. Into that stream of AES the work on the other buffer is mixed: what it holds from the step
// before goes out, and the next step's plaintext comes in. The first step writes zeros to its own
// place, the last reads itself again: both are harmless, and spare a first and a last copy of the loop.

// cbcLines holds the registers of such a kernel.
type cbcLines struct {
	c           *gen
	keys, lanes reg.Register
	now, other  reg.Register // buffers
	in, out     reg.Register // offsets of the line to read, and of that to write
	cur, last   reg.Register // offsets of the line being encrypted, and of the last one
	left        reg.Register // lines to do
}

// cbcLines begins the function, with two buffers of the given size, aligned to 64 bytes.
func (c *gen) cbcLines(name string, width, buffer int) *cbcLines {
	c.fn(name, "func(keys *byte, lanes *byte, lines, rounds int)",
		fmt.Sprintf("encrypts lines > 0 times 64 bytes of each of the first %d lanes.", width))
	c.Attributes(attr.Attribute(0)) // its frame is too large for NOSPLIT
	l := &cbcLines{c: c, keys: c.arg("keys"), lanes: c.arg("lanes"), left: c.arg("lines"),
		now: c.GP64(), other: c.GP64(), in: c.GP64(), out: c.GP64(), last: c.GP64(), cur: c.GP64()}
	scratch := c.AllocLocal(2*buffer + 64)
	c.LEAQ(scratch.Offset(63), l.now)
	c.ANDQ(operand.I8(-64), l.now)
	c.LEAQ(at(l.now, buffer), l.other)
	c.XORQ(l.out, l.out)
	c.XORQ(l.in, l.in)
	c.XORQ(l.cur, l.cur)
	c.MOVQ(l.left, l.last)
	c.SHLQ(operand.Imm(6), l.last)
	c.SUBQ(operand.Imm(64), l.last)
	return l
}

// loop makes the loop over all lines.
func (l *cbcLines) loop(label string, encrypt, moves []func()) {
	c := l.c
	c.Label(label)
	c.ADDQ(operand.Imm(64), l.in) // the next line in, but not beyond the last one
	c.CMPQ(l.in, l.last)
	c.CMOVQGT(l.last, l.in)
	mixIn(encrypt, moves)
	c.MOVQ(l.cur, l.out)
	c.ADDQ(operand.Imm(64), l.cur)
	c.XCHGQ(l.now, l.other)
	c.DECQ(l.left)
	c.JNE(operand.LabelRef(label))
}

// cbcEncryptLinesZ is cbcEncryptZ for lines. Four lines of a group are transposed, so that a register holds one
// block of each of the four chains.
func cbcEncryptLinesZ(c *gen, groups int) {
	buffer := 256 * groups
	l := c.cbcLines(fmt.Sprintf("cbcEncryptLinesVAES512x%d", 4*groups), 4*groups, buffer)
	l.clearZ(buffer, l.other)
	for g := range groups {
		c.VMOVDQU64(at(l.lanes, laneIV+64*g), z[g])
		emit(l.loadZ(g, l.now))
	}
	c.byRounds(func(r int) {
		k := z[16 : 16+r+1]
		c.broadcastKeys(l.keys, k)
		var moves []func()
		for g := range groups {
			moves = append(moves, l.storeZ(g, l.other)...)
			moves = append(moves, l.loadZ(g, l.other)...)
		}
		l.loop(fmt.Sprintf("r%dloop", r), l.encryptZ(groups, k), moves)
		c.JMP(operand.LabelRef("done"))
	})
	c.Label("done")
	for g := range groups {
		emit(l.storeZ(g, l.other))
		c.VMOVDQU64(z[g], at(l.lanes, laneIV+64*g))
	}
	l.clearZ(buffer, l.now) // the last line's plaintext; in the other one is ciphertext
	c.retZ()
}

// pause takes a place in a list of instructions, so that those around it are spread further.
func pause() {}

// clearZ zeroes a buffer, in which there may be plaintext, or what was on the stack before.
func (l *cbcLines) clearZ(size int, buffer reg.Register) {
	l.c.VPXORQ(z[0], z[0], z[0])
	for i := 0; i < size; i += 64 {
		l.c.VMOVDQA64(z[0], at(buffer, i))
	}
}

// encryptZ returns the instructions that encrypt the buffer now. States are z0...
func (l *cbcLines) encryptZ(groups int, k []reg.VecPhysical) (ops []func()) {
	c, last := l.c, len(k)-1
	for b := range 4 {
		slot := func(g int) operand.Mem { return at(l.now, 256*g+64*b) }
		for g := range groups {
			ops = append(ops, func() { c.VPTERNLOGQ(operand.Imm(0x96), slot(g), k[0], z[g]) })
		}
		for i := 1; i < last; i++ {
			for g := range groups {
				ops = append(ops, func() { c.VAESENC(k[i], z[g], z[g]) })
			}
		}
		for g := range groups {
			ops = append(ops, func() {
				c.VAESENCLAST(k[last], z[g], z[g])
				c.VMOVDQA64(z[g], slot(g))
			})
		}
	}
	return ops
}

// loadZ returns the instructions that bring a line of each chain of a group into a buffer, by way of z8 to z15.
func (l *cbcLines) loadZ(g int, buffer reg.Register) (ops []func()) {
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

// storeZ returns the instructions that bring a buffer's lines of a group to their place, by way of z8 to z15.
func (l *cbcLines) storeZ(g int, buffer reg.Register) (ops []func()) {
	c, p := l.c, l.c.GP64()
	for i := range 4 {
		ops = append(ops, func() { c.VMOVDQA64(at(buffer, 256*g+64*i), z[8+i]) })
	}
	ops = append(ops, c.transpose()...)
	for i := range 4 {
		ops = append(ops, func() {
			c.MOVQ(at(l.lanes, laneDst+32*g+8*i), p)
			c.VMOVDQU64(z[8+i], atx(p, l.out, 0))
		}, pause, pause) // misses of the first cache come one by one
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

// cbcEncryptLinesX is cbcEncryptX for lines. The first round key is added when a line comes in.
func cbcEncryptLinesX(c *gen, width int) {
	buffer := 64 * width
	l := c.cbcLines(fmt.Sprintf("cbcEncryptLinesAESNIx%d", width), width, buffer)
	l.clearX(buffer, l.other)
	for i := range width {
		c.MOVOU(at(l.lanes, laneIV+16*i), x[i])
		emit(l.loadX(i, l.now))
	}
	c.byRounds(func(r int) {
		var moves []func()
		for i := range width {
			moves = append(moves, l.storeX(i, l.other)...)
			moves = append(moves, l.loadX(i, l.other)...)
		}
		l.loop(fmt.Sprintf("r%dloop", r), l.encryptX(width, r), moves)
		c.JMP(operand.LabelRef("done"))
	})
	c.Label("done")
	for i := range width {
		emit(l.storeX(i, l.other))
		c.MOVOU(x[i], at(l.lanes, laneIV+16*i))
	}
	l.clearX(buffer, l.now)
	c.retX()
}

// clearX is clearZ with narrow registers.
func (l *cbcLines) clearX(size int, buffer reg.Register) {
	l.c.PXOR(x[0], x[0])
	for i := 0; i < size; i += 16 {
		l.c.MOVOU(x[0], at(buffer, i))
	}
}

// encryptX returns the instructions that encrypt the buffer now. States are x0..., keys go by way of x15.
func (l *cbcLines) encryptX(width, r int) (ops []func()) {
	c, key := l.c, x[15]
	for b := range 4 {
		slot := func(i int) operand.Mem { return at(l.now, 64*i+16*b) }
		for i := range width {
			ops = append(ops, func() { c.PXOR(slot(i), x[i]) })
		}
		for round := 1; round <= r; round++ {
			ops = append(ops, func() { c.MOVOU(at(l.keys, 16*round), key) })
			for i := range width {
				ops = append(ops, func() { c.roundX(key, x[i], round, r, false) })
			}
		}
		for i := range width {
			ops = append(ops, func() { c.MOVOU(x[i], slot(i)) })
		}
	}
	return ops
}

// loadX returns the instructions that bring a line of a chain into a buffer, by way of x14.
func (l *cbcLines) loadX(lane int, buffer reg.Register) (ops []func()) {
	c, p, t := l.c, l.c.GP64(), x[14]
	ops = append(ops, func() { c.MOVQ(at(l.lanes, laneSrc+8*lane), p) })
	for i := range 4 {
		ops = append(ops,
			func() { c.MOVOU(atx(p, l.in, 16*i), t) },
			func() { c.PXOR(at(l.keys, 0), t) },
			func() { c.MOVOU(t, at(buffer, 64*lane+16*i)) })
	}
	return ops
}

// storeX returns the instructions that bring a buffer's line to its place, by way of x14.
func (l *cbcLines) storeX(lane int, buffer reg.Register) (ops []func()) {
	c, p, t := l.c, l.c.GP64(), x[14]
	ops = append(ops, func() { c.MOVQ(at(l.lanes, laneDst+8*lane), p) })
	for i := range 4 {
		ops = append(ops,
			func() { c.MOVOU(at(buffer, 64*lane+16*i), t) },
			func() { c.MOVOU(t, atx(p, l.out, 16*i)) })
	}
	return ops
}
