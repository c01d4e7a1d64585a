package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// gen is avo's context for one pair of files. Kernels use physical vector
// registers, so that what is wiped at the end is what was used, and virtual
// general ones.
type gen struct{ *build.Context }

// rounds are AES's, for keys of 128, 192 and 256 bits.
var rounds = []int{10, 12, 14}

// z, x and y name the vector registers by number.
var (
	z = [32]reg.VecPhysical{
		reg.Z0, reg.Z1, reg.Z2, reg.Z3, reg.Z4, reg.Z5, reg.Z6, reg.Z7,
		reg.Z8, reg.Z9, reg.Z10, reg.Z11, reg.Z12, reg.Z13, reg.Z14, reg.Z15,
		reg.Z16, reg.Z17, reg.Z18, reg.Z19, reg.Z20, reg.Z21, reg.Z22, reg.Z23,
		reg.Z24, reg.Z25, reg.Z26, reg.Z27, reg.Z28, reg.Z29, reg.Z30, reg.Z31,
	}
	x = [16]reg.VecPhysical{
		reg.X0, reg.X1, reg.X2, reg.X3, reg.X4, reg.X5, reg.X6, reg.X7,
		reg.X8, reg.X9, reg.X10, reg.X11, reg.X12, reg.X13, reg.X14, reg.X15,
	}
	y = [16]reg.VecPhysical{
		reg.Y0, reg.Y1, reg.Y2, reg.Y3, reg.Y4, reg.Y5, reg.Y6, reg.Y7,
		reg.Y8, reg.Y9, reg.Y10, reg.Y11, reg.Y12, reg.Y13, reg.Y14, reg.Y15,
	}
)

// fn begins a function whose pointers do not escape.
func (c *gen) fn(name, signature, doc string) {
	c.Function(name)
	c.Attributes(attr.NOSPLIT)
	c.SignatureExpr(signature)
	c.Doc(name + " " + doc)
	c.Pragma("noescape")
}

// arg loads a parameter into a register of its own.
func (c *gen) arg(name string) reg.GPVirtual {
	r := c.GP64()
	c.Load(c.Param(name), r)
	return r
}

// at is the memory at base + disp.
func at(base reg.Register, disp int) operand.Mem {
	return operand.Mem{Base: base, Disp: disp}
}

// atx is the memory at base + index + disp.
func atx(base, index reg.Register, disp int) operand.Mem {
	return operand.Mem{Base: base, Index: index, Scale: 1, Disp: disp}
}

// broadcastKeys loads n round keys of 16 bytes from keys into the four lanes of each register of to.
func (c *gen) broadcastKeys(keys reg.Register, to []reg.VecPhysical) {
	for i, k := range to {
		c.VBROADCASTI32X4(at(keys, 16*i), k)
	}
}

// aesZ runs all rounds but the first whitening on every register of s, round
// by round, with the round keys in k. Decryption takes its own round keys.
func (c *gen) aesZ(s, k []reg.VecPhysical, decrypt bool) {
	last := len(k) - 1
	for i := 1; i < last; i++ {
		for _, r := range s {
			if decrypt {
				c.VAESDEC(k[i], r, r)
			} else {
				c.VAESENC(k[i], r, r)
			}
		}
	}
	for _, r := range s {
		if decrypt {
			c.VAESDECLAST(k[last], r, r)
		} else {
			c.VAESENCLAST(k[last], r, r)
		}
	}
}

// retZ clears all vector registers and returns, with their upper halves clean as the ABI wants.
func (c *gen) retZ() {
	for _, r := range z[16:] {
		c.VPXORQ(r, r, r)
	}
	c.VZEROALL()
	c.RET()
}

// retX clears all 128-bit registers and returns.
func (c *gen) retX() {
	for _, r := range x {
		c.PXOR(r, r)
	}
	c.RET()
}

// aesX runs the whole cipher on every register of s, with the round keys from
// memory by way of x15.
func (c *gen) aesX(s []reg.VecPhysical, keys reg.Register, r int, decrypt bool) {
	emit(c.aesXOps(s, keys, r, decrypt))
}

// aesXOps returns the instructions of aesX.
func (c *gen) aesXOps(s []reg.VecPhysical, keys reg.Register, r int, decrypt bool) (ops []func()) {
	key := x[15]
	for i := 0; i <= r; i++ {
		ops = append(ops, func() { c.MOVOU(at(keys, 16*i), key) })
		for _, v := range s {
			ops = append(ops, func() { c.roundX(key, v, i, r, decrypt) })
		}
	}
	return ops
}

// roundX is round i of r, with the whitening as round 0.
func (c *gen) roundX(key, v reg.VecPhysical, i, r int, decrypt bool) {
	switch {
	case i == 0:
		c.PXOR(key, v)
	case i == r && decrypt:
		c.AESDECLAST(key, v)
	case i == r:
		c.AESENCLAST(key, v)
	case decrypt:
		c.AESDEC(key, v)
	default:
		c.AESENC(key, v)
	}
}

// byRounds reads the parameter rounds and makes one body for each number of
// rounds. A body ends with a jump; its labels begin with its number.
func (c *gen) byRounds(body func(r int)) {
	n := c.arg("rounds")
	c.CMPQ(n, operand.Imm(12))
	c.JLT(operand.LabelRef("r10"))
	c.JEQ(operand.LabelRef("r12"))
	for _, r := range []int{14, 12, 10} {
		if r != 14 {
			c.Label(fmt.Sprintf("r%d", r))
		}
		body(r)
	}
}

// while repeats body, taking step from n, until n is less than step.
func (c *gen) while(n reg.Register, step int, label string, body func()) {
	done := operand.LabelRef(label + "done")
	c.CMPQ(n, operand.U32(step))
	c.JLT(done)
	c.Label(label)
	body()
	c.SUBQ(operand.U32(step), n)
	c.CMPQ(n, operand.U32(step))
	c.JGE(operand.LabelRef(label))
	c.Label(label + "done")
}

// tailMask sets mask to the 64-bit words of n blocks, 0 < n < 4.
func (c *gen) tailMask(n reg.Register, mask reg.OpmaskPhysical) {
	ones := c.GP32()
	c.MOVQ(n, reg.RCX)
	c.SHLQ(operand.Imm(1), reg.RCX)
	c.MOVL(operand.U32(1), ones)
	c.SHLL(reg.CL, ones)
	c.DECL(ones)
	c.KMOVW(ones, mask)
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
