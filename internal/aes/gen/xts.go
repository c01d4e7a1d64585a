package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

const xtsSig = "func(keys, tweak, dst, src *byte, blocks, rounds int)"

// xts makes XTS for one data unit, whose encrypted tweak is given.
func xts(c *gen) {
	shifts := c.xtsShifts()
	poly := c.lanes128("xtsPoly", 0x87, 0)
	for _, decrypt := range []bool{false, true} {
		xtsZ(c, decrypt, shifts, poly)
	}
	for _, decrypt := range []bool{false, true} {
		xtsX(c, decrypt)
	}
	sixtyFour := c.lanes128("xtsSixtyFour", 64, 64)
	for _, decrypt := range []bool{false, true} {
		xtsY(c, decrypt, shifts, poly, sixtyFour)
	}
}

func xtsName(decrypt bool, tier string) (name, doc string) {
	if decrypt {
		return "xtsDecrypt" + tier, "decrypts one data unit."
	}
	return "xtsEncrypt" + tier, "encrypts one data unit."
}

// xtsShifts are counts for VPSLLVQ: block i of the first sixteen has its tweak shifted by i.
func (c *gen) xtsShifts() operand.Mem {
	m := c.StaticGlobal("xtsShifts")
	c.DataAttributes(attr.RODATA | attr.NOPTR)
	for i := range 16 {
		c.AddDatum(16*i, operand.U64(i))
		c.AddDatum(16*i+8, operand.U64(i))
	}
	return m
}

// lanes128 is a constant of 64 bytes: four times the same 128 bits.
func (c *gen) lanes128(name string, lo, hi uint64) operand.Mem {
	m := c.StaticGlobal(name)
	c.DataAttributes(attr.RODATA | attr.NOPTR)
	for i := range 4 {
		c.AddDatum(16*i, operand.U64(lo))
		c.AddDatum(16*i+8, operand.U64(hi))
	}
	return m
}

// xtsRegs is how many registers of four blocks one pass of xtsZ handles.
const xtsRegs = 4

// xtsZ handles 16 blocks at a time, then four, then the rest under a mask. The tweaks of the next sixteen blocks are in
// z4 to z7; the last round key is added to them for the last round, in z8 to z11.
func xtsZ(c *gen, decrypt bool, shifts, polyMem operand.Mem) {
	name, doc := xtsName(decrypt, "VAES512")
	c.fn(name, xtsSig, doc)
	keys, tweak, dst, src, n := c.arg("keys"), c.arg("tweak"), c.arg("dst"), c.arg("src"), c.arg("blocks")
	tw, poly := z[4:4+xtsRegs], z[31]
	c.VMOVDQU64(polyMem, poly)
	c.firstTweaks(tweak, shifts, poly, tw)
	c.byRounds(func(r int) {
		k := z[16 : 16+r+1]
		c.broadcastKeys(keys, k)
		for _, regs := range []int{xtsRegs, 1} {
			s, last := z[:regs], z[8:8+regs]
			c.while(n, 4*regs, fmt.Sprintf("r%dby%d", r, 4*regs), func() {
				for i, v := range s {
					c.VPXORQ(tw[i], k[r], last[i])
					c.VMOVDQU64(at(src, 64*i), v)
					c.VPTERNLOGQ(operand.Imm(0x96), tw[i], k[0], v)
				}
				var next []func()
				if regs == 1 {
					for i := 1; i < xtsRegs; i++ {
						next = append(next, func() { c.VMOVDQA64(tw[i], tw[i-1]) })
					}
				} else {
					for i, v := range tw { // times x^16: two bytes up, what falls out times the polynomial
						t := z[12+i]
						next = append(next,
							func() { c.VPSRLDQ(operand.Imm(14), v, t) },
							func() { c.VPSLLDQ(operand.Imm(2), v, v) },
							func() { c.VPCLMULQDQ(operand.Imm(0), poly, t, t) },
							func() { c.VPXORQ(t, v, v) })
					}
				}
				mixIn(c.xtsRounds(s, k, last, decrypt), next)
				for i, v := range s {
					c.VMOVDQU64(v, at(dst, 64*i))
				}
				c.ADDQ(operand.U32(64*regs), src)
				c.ADDQ(operand.U32(64*regs), dst)
			})
		}
		c.TESTQ(n, n)
		c.JEQ(operand.LabelRef("done"))
		c.tailMask(n, reg.K1)
		c.VPXORQ(tw[0], k[r], z[8])
		c.VMOVDQU64_Z(at(src, 0), reg.K1, z[0])
		c.VPTERNLOGQ(operand.Imm(0x96), tw[0], k[0], z[0])
		emit(c.xtsRounds(z[:1], k, z[8:9], decrypt))
		c.VMOVDQU64(z[0], reg.K1, at(dst, 0))
		c.JMP(operand.LabelRef("done"))
	})
	c.Label("done")
	c.retZ()
}

// firstTweaks makes the tweaks of the first blocks, four in a register: times x^i by
// shifting both halves; what leaves the low half enters the high one, what
// leaves the high one enters the low one times the polynomial. It uses z12 to z15.
func (c *gen) firstTweaks(tweak reg.Register, shifts operand.Mem, poly reg.VecPhysical, tw []reg.VecPhysical) {
	t, sh, back, sixtyFour := z[12], z[13], z[14], z[15]
	high, m := reg.K2, c.GP32()
	c.MOVL(operand.U32(0xaa), m)
	c.KMOVW(m, high)
	c.MOVL(operand.U32(64), m)
	c.VPBROADCASTD(m, sixtyFour)
	c.VPSRLQ(operand.Imm(32), sixtyFour, sixtyFour)
	c.VBROADCASTI64X2(at(tweak, 0), t)
	for i, to := range tw {
		c.VMOVDQU64(shifts.Offset(64*i), sh)
		c.VPSLLVQ(sh, t, to)
		c.VPSUBQ(sh, sixtyFour, sh)
		c.VPSRLVQ(sh, t, back)
		c.VPSHUFD(operand.Imm(0x4e), back, back)
		c.VPCLMULQDQ(operand.Imm(0), poly, back, sh)
		c.VMOVDQA64_Z(back, high, back)
		c.VPTERNLOGQ(operand.Imm(0x96), back, sh, to)
	}
}

func (c *gen) xtsRounds(s, k, last []reg.VecPhysical, decrypt bool) (ops []func()) {
	for i := 1; i < len(k)-1; i++ {
		for _, v := range s {
			ops = append(ops, func() {
				if decrypt {
					c.VAESDEC(k[i], v, v)
				} else {
					c.VAESENC(k[i], v, v)
				}
			})
		}
	}
	for i, v := range s {
		ops = append(ops, func() {
			if decrypt {
				c.VAESDECLAST(last[i], v, v)
			} else {
				c.VAESENCLAST(last[i], v, v)
			}
		})
	}
	return ops
}

// xtsX handles eight blocks at a time, then four, then one. While eight blocks
// are in the cipher, the tweaks of the next eight are made; they wait on the stack.
func xtsX(c *gen, decrypt bool) {
	name, doc := xtsName(decrypt, "AESNI")
	c.fn(name, xtsSig, doc)
	keys, tweak, dst, src, n := c.arg("keys"), c.arg("tweak"), c.arg("dst"), c.arg("src"), c.arg("blocks")
	saved := c.AllocLocal(2*8*16 + 16)
	now, next := c.GP64(), c.GP64()
	c.LEAQ(saved.Offset(15), now)
	c.ANDQ(operand.I8(-16), now)
	c.LEAQ(at(now, 8*16), next)
	m := c.GP64()
	c.MOVQ(operand.U32(0x87), m)
	c.MOVQ(m, x[12])
	c.MOVQ(operand.U32(1), m)
	c.MOVQ(m, x[13])
	c.PUNPCKLQDQ(x[13], x[12])
	c.MOVOU(at(tweak, 0), x[14])
	emit(c.eightTweaks(now))
	c.byRounds(func(r int) {
		for _, regs := range []int{8, 4, 1} {
			s := x[:regs]
			c.while(n, regs, fmt.Sprintf("r%dby%d", r, regs), func() {
				for i, v := range s {
					c.MOVOU(at(src, 16*i), v)
					c.PXOR(at(now, 16*i), v)
				}
				var tweaks []func()
				if regs == 8 {
					tweaks = c.eightTweaks(next)
				}
				mixIn(c.aesXOps(s, keys, r, decrypt), tweaks)
				for i, v := range s {
					c.PXOR(at(now, 16*i), v)
					c.MOVOU(v, at(dst, 16*i))
				}
				if regs == 8 {
					c.XCHGQ(now, next)
				} else {
					c.ADDQ(operand.Imm(uint64(16*regs)), now)
				}
				c.ADDQ(operand.U32(16*regs), src)
				c.ADDQ(operand.U32(16*regs), dst)
			})
		}
		c.JMP(operand.LabelRef("done"))
	})
	c.Label("done")
	c.PXOR(x[0], x[0])
	for i := range 17 {
		c.MOVOU(x[0], saved.Offset(16*i))
	}
	c.retX()
}

// eightTweaks returns the instructions that save the tweak in x14 and the seven
// after it, and leave the next one in x14. In x12 is 0x87 for what leaves the
// high half of a tweak, and 1 for what leaves the low one.
func (c *gen) eightTweaks(to reg.Register) (ops []func()) {
	tw, t, poly := x[14], x[13], x[12]
	for i := range 8 {
		ops = append(ops,
			func() { c.MOVOU(tw, at(to, 16*i)) },
			func() { c.PSHUFD(operand.Imm(0x13), tw, t) }, // the sign of each half moves to the other
			func() { c.PADDQ(tw, tw) },
			func() { c.PSRAL(operand.Imm(31), t) },
			func() { c.PAND(poly, t) },
			func() { c.PXOR(t, tw) })
	}
	return ops
}
