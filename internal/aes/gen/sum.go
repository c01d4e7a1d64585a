package main

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// CRC32C of the ciphertext (RFC 3720, appendix B.4), by the processor's instruction,
// which uses a unit that AES and GHASH leave idle: 8 bytes a cycle, a result after three.
//
// Kernels of 128 bits are so slow that one chain keeps up. The others sum 256 bytes in
// two chains: the first one goes on from what came before, and is the shorter, so that
// there is time to move it past the bytes of the second. That is a carry-less product with x^(8n-33),
// where n is their number; it is 63 bits long, and the last instruction of the second chain reduces it.
const (
	tabSum   = 592 // 8 bytes of the table: what the first chain is multiplied by
	sumWords = 32  // of 8 bytes, in both chains
	sumFirst = 14  // in the first one
)

// sums returns the steps that take n bytes at from+disp, 64 or 256, into the sum, and those that must
// come after all that use t[0].
func (g *gcmKernel) sums(from reg.Register, disp, n int) (words, last []func()) {
	c := g.c
	word := func(i int, to reg.Register) func() {
		return func() { c.CRC32Q(at(from, disp+8*i), to) }
	}
	if n == 64 {
		for i := range 8 {
			words = append(words, word(i, g.sum))
		}
		return words, nil
	}
	words = append(words, func() { c.XORL(g.part.As32(), g.part.As32()) })
	for i := range sumWords - sumFirst - 1 {
		words = append(words, word(sumFirst+i, g.part))
		if i < sumFirst {
			words = append(words, word(i, g.sum))
		}
	}
	v := g.t[0].AsX()
	return words, []func(){
		func() { c.VMOVQ(g.sum, v) },
		func() { c.VPCLMULQDQ(operand.Imm(0), at(g.tab, tabSum), v, v) },
		func() { c.VMOVQ(v, g.sum) },
		func() { c.XORQ(at(from, disp+8*(sumWords-1)), g.sum) },
		func() { c.CRC32Q(g.sum, g.part) },
		func() { c.MOVQ(g.part, g.sum) },
	}
}

// hashAndSum returns the steps of a hash, with those of the sum of the same half unit among them if there is one.
func (g *gcmKernel) hashAndSum(hash []func(), from reg.Register, disp int) []func() {
	if !g.summing {
		return hash
	}
	words, last := g.sums(from, disp, g.unitBytes()/2)
	return append(mixed(hash, words), last...)
}

// endSum takes what follows the units into the sum and stores it in the job.
func (g *gcmKernel) endSum() {
	c, job, p, n := g.c, g.c.arg("jobs"), g.c.GP64(), g.c.GP64()
	c.MOVQ(at(job, g.layout.dst), p)
	c.MOVQ(at(job, g.layout.src+sliceLen), n)
	c.ADDQ(n, p)
	c.ANDQ(operand.U32(g.unitBytes()-1), n)
	c.SUBQ(n, p)
	c.Label("sumWord")
	c.CMPQ(n, operand.Imm(8))
	c.JLT(operand.LabelRef("sumByte"))
	c.CRC32Q(at(p, 0), g.sum)
	c.ADDQ(operand.Imm(8), p)
	c.SUBQ(operand.Imm(8), n)
	c.JMP(operand.LabelRef("sumWord"))
	c.Label("sumByte")
	c.TESTQ(n, n)
	c.JEQ(operand.LabelRef("sumDone"))
	c.CRC32B(at(p, 0), g.sum.As32())
	c.INCQ(p)
	c.DECQ(n)
	c.JMP(operand.LabelRef("sumByte"))
	c.Label("sumDone")
	c.NOTL(g.sum.As32())
	c.MOVL(g.sum.As32(), at(job, g.layout.crc))
}
