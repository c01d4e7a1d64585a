package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Registers of two chains side by side, in the kernels for encryption on 256-bit registers.
var (
	cbcPairsY     = []int{1, 2, 4, 6, 8, 10, 11, 12}
	cbcLinePairsY = []int{4, 6, 8, 10, 11, 12}
)

func cbc256(c *gen) {
	for _, n := range cbcPairsY {
		cbcEncryptY(c, n)
	}
	for _, n := range cbcLinePairsY {
		cbcEncryptLinesY(c, n)
	}
	cbcDecryptY(c)
}

// cbcEncryptY is cbcEncryptX with the state of chains 2i and 2i+1 in register i.
func cbcEncryptY(c *gen, pairs int) {
	c.fn(fmt.Sprintf("cbcEncryptVAES256x%d", 2*pairs), cbcEncryptSig,
		fmt.Sprintf("encrypts blocks > 0 blocks of each of the first %d lanes.", 2*pairs))
	keys, lanes, n := c.arg("keys"), c.arg("lanes"), c.arg("blocks")
	off, p, t := c.GP64(), c.GP64(), y[14]
	c.XORQ(off, off)
	s := y[:pairs]
	for i, v := range s {
		c.VMOVDQU(at(lanes, laneIV+32*i), v)
	}
	c.byRounds(func(r int) {
		loop := fmt.Sprintf("r%dloop", r)
		c.Label(loop)
		for i, v := range s {
			c.MOVQ(at(lanes, laneSrc+16*i), p)
			c.VMOVDQU(atx(p, off, 0), t.AsX())
			c.MOVQ(at(lanes, laneSrc+16*i+8), p)
			c.VINSERTI128(operand.Imm(1), atx(p, off, 0), t, t)
			c.VPXOR(t, v, v)
		}
		c.aesY(s, keys, r, false)
		for i, v := range s {
			c.MOVQ(at(lanes, laneDst+16*i), p)
			c.VMOVDQU(v.AsX(), atx(p, off, 0))
			c.MOVQ(at(lanes, laneDst+16*i+8), p)
			c.VEXTRACTI128(operand.Imm(1), v, atx(p, off, 0))
		}
		c.ADDQ(operand.Imm(16), off)
		c.DECQ(n)
		c.JNE(operand.LabelRef(loop))
		c.JMP(operand.LabelRef("done"))
	})
	c.Label("done")
	for i, v := range s {
		c.VMOVDQU(v, at(lanes, laneIV+32*i))
	}
	c.retY()
}

// cbcEncryptLinesY is cbcEncryptY for lines. 32 bytes of the buffer hold one
// block of each chain of a pair; what comes and goes does so in halves, which needs no shuffles, for which there is no time
// to spare. In y12 is the first round key.
func cbcEncryptLinesY(c *gen, pairs int) {
	buffer := 128 * pairs
	l := c.cbcLines(fmt.Sprintf("cbcEncryptLinesVAES256x%d", 2*pairs), 2*pairs, buffer)
	l.clearY(buffer, l.other)
	c.keyXY(l.keys, 0, y[12])
	for i := range pairs {
		c.VMOVDQU(at(l.lanes, laneIV+32*i), y[i])
		emit(l.loadY(i, l.now))
	}
	c.byRounds(func(r int) {
		var moves []func()
		for i := range pairs {
			moves = append(moves, l.storeY(i, l.other)...)
			moves = append(moves, l.loadY(i, l.other)...)
		}
		l.loop(fmt.Sprintf("r%dloop", r), l.encryptY(pairs, r), moves)
		c.JMP(operand.LabelRef("done"))
	})
	c.Label("done")
	for i := range pairs {
		emit(l.storeY(i, l.other))
		c.VMOVDQU(y[i], at(l.lanes, laneIV+32*i))
	}
	l.clearY(buffer, l.now)
	c.retY()
}

// clearY is clearZ with narrower registers.
func (l *cbcLines) clearY(size int, buffer reg.Register) {
	l.c.VPXOR(y[0], y[0], y[0])
	for i := 0; i < size; i += 32 {
		l.c.VMOVDQU(y[0], at(buffer, i))
	}
}

// encryptY returns the instructions that encrypt the buffer now. States are y0..., keys go by way of y15.
func (l *cbcLines) encryptY(pairs, r int) (ops []func()) {
	c, key, first := l.c, y[15], y[12]
	for b := range 4 {
		slot := func(i int) operand.Mem { return at(l.now, 128*i+32*b) }
		for i := range pairs {
			ops = append(ops,
				func() { c.VPXOR(slot(i), y[i], y[i]) },
				func() { c.VPXOR(first, y[i], y[i]) })
		}
		for round := 1; round <= r; round++ {
			ops = append(ops, func() { c.keyXY(l.keys, round, key) })
			for i := range pairs {
				ops = append(ops, func() { c.roundXY(key, y[i], round, r, false) })
			}
		}
		for i := range pairs {
			ops = append(ops, func() { c.VMOVDQU(y[i], slot(i)) })
		}
	}
	return ops
}

// loadY returns the instructions that bring a line of each chain of a pair into a buffer, by way of y13 and y14.
func (l *cbcLines) loadY(pair int, buffer reg.Register) (ops []func()) {
	c := l.c
	for k, t := range []reg.Register{x[13], x[14]} {
		p := c.GP64()
		ops = append(ops, func() { c.MOVQ(at(l.lanes, laneSrc+16*pair+8*k), p) })
		for i := range 4 {
			ops = append(ops,
				func() { c.VMOVDQU(atx(p, l.in, 16*i), t) },
				func() { c.VMOVDQU(t, at(buffer, 128*pair+32*i+16*k)) })
		}
	}
	return ops
}

// storeY returns the instructions that bring a buffer's lines of a pair to their place, by way of y13 and y14.
func (l *cbcLines) storeY(pair int, buffer reg.Register) (ops []func()) {
	c := l.c
	for k, t := range []reg.Register{x[13], x[14]} {
		p := c.GP64()
		ops = append(ops,
			func() { c.MOVQ(at(l.lanes, laneDst+16*pair+8*k), p) },
			func() { c.PREFETCHT1(atx(p, l.out, 320)) })
		for i := range 4 {
			ops = append(ops,
				func() { c.VMOVDQU(at(buffer, 128*pair+32*i+16*k), t) },
				func() { c.VMOVDQU(t, atx(p, l.out, 16*i)) })
		}
	}
	return ops
}
