package main

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Modes on 256-bit registers: cbc256.go has encryption with CBC.

// ecbY encrypts 16 blocks at a time, then fewer.
func ecbY(c *gen) {
	c.fn("ecbEncryptVAES256", ecbSig, "encrypts blocks of 16 bytes by themselves.")
	keys, dst, src, n := c.arg("keys"), c.arg("dst"), c.arg("src"), c.arg("blocks")
	c.byRounds(func(r int) {
		c.stretches(n, src, dst, r, []int{8, 1}, func(s stretch) {
			v := y[:s.regs]
			for i := range v {
				c.VMOVDQU(at(src, 32*i), s.part(v[i]))
			}
			c.aesY(v, keys, r, false)
			for i := range v {
				c.VMOVDQU(s.part(v[i]), at(dst, 32*i))
			}
		})
	})
	c.Label("done")
	c.retY()
}

// ctrY handles 16 blocks at a time, then fewer. The next two counters are in y14, least significant byte first.
func ctrY(c *gen, swapMem, steps, twoMem operand.Mem) {
	c.fn("ctrVAES256", ctrSig, "encrypts or decrypts one message.")
	keys, counter, dst, src, n := c.arg("keys"), c.arg("counter"), c.arg("dst"), c.arg("src"), c.arg("blocks")
	next, swap, two := y[14], y[13], y[12]
	c.VMOVDQU(swapMem, swap)
	c.VMOVDQU(twoMem, two)
	c.VBROADCASTI128(at(counter, 0), next)
	c.VPSHUFB(swap, next, next)
	c.VPADDQ(steps, next, next)
	c.byRounds(func(r int) {
		c.stretches(n, src, dst, r, []int{8, 1}, func(s stretch) {
			for _, v := range y[:s.regs] {
				c.VPSHUFB(swap, next, v)
				c.VPADDQ(two, next, next)
			}
			c.aesY(y[:s.regs], keys, r, false)
			for i := range s.regs {
				v := s.part(y[i])
				c.VPXOR(at(src, 32*i), v, v)
				c.VMOVDQU(v, at(dst, 32*i))
			}
		})
	})
	c.Label("done")
	c.retY()
}

// cbcDecryptY decrypts 16 blocks at a time, then fewer. In y14 is the ciphertext before. All
// of a stretch is read before any of it is written, so that it works in place.
func cbcDecryptY(c *gen) {
	c.fn("cbcDecryptVAES256", cbcDecryptSig, "decrypts one message.")
	keys, iv, dst, src, n := c.arg("keys"), c.arg("iv"), c.arg("dst"), c.arg("src"), c.arg("blocks")
	before, t := y[14], y[13]
	c.VMOVDQU(at(iv, 0), before.AsX())
	c.byRounds(func(r int) {
		c.stretches(n, src, dst, r, []int{8, 1}, func(s stretch) {
			v := y[:s.regs]
			for i := range v {
				c.VMOVDQU(at(src, 32*i), s.part(v[i]))
			}
			c.aesY(v, keys, r, true)
			c.VINSERTI128(operand.Imm(1), at(src, 0), before, t)
			c.VPXOR(t, v[0], v[0])
			for i := 1; i < s.regs; i++ {
				c.VPXOR(at(src, 32*i-16), v[i], v[i])
			}
			c.VMOVDQU(at(src, s.bytes-16), before.AsX())
			for i := range v {
				c.VMOVDQU(s.part(v[i]), at(dst, 32*i))
			}
		})
	})
	c.Label("done")
	c.retY()
}

// xtsY handles 16 blocks at a time, then fewer. While 16 blocks are in the cipher the tweaks of the next 16 are
// made; they wait on the stack.
func xtsY(c *gen, decrypt bool, shifts, polyMem, sixtyFour operand.Mem) {
	name, doc := xtsName(decrypt, "VAES256")
	c.fn(name, xtsSig, doc)
	keys, tweak, dst, src, n := c.arg("keys"), c.arg("tweak"), c.arg("dst"), c.arg("src"), c.arg("blocks")
	const size = 8 * 32
	saved := c.AllocLocal(2*size + 32)
	now, next, poly := c.GP64(), c.GP64(), y[14]
	c.LEAQ(saved.Offset(31), now)
	c.ANDQ(operand.I8(-32), now)
	c.LEAQ(at(now, size), next)
	c.VMOVDQU(polyMem, poly)
	c.firstTweaksY(tweak, now, shifts, poly, sixtyFour)
	c.VPXOR(y[13], y[13], y[13])
	c.byRounds(func(r int) {
		c.stretches(n, src, dst, r, []int{8, 4, 1}, func(s stretch) {
			v := y[:s.regs]
			for i := range v {
				w := s.part(v[i])
				c.VMOVDQU(at(src, 32*i), w)
				c.VPXOR(at(now, 32*i), w, w)
			}
			var tweaks []func()
			if s.regs == 8 {
				tweaks = c.nextTweaksY(now, next, poly)
			}
			aes := c.aesXYOps(v, keys, y[15], r, decrypt)
			within := len(aes) * tweaksWithinY / 100
			mixIn(aes[:within], tweaks)
			emit(aes[within:])
			for i := range v {
				w := s.part(v[i])
				c.VPXOR(at(now, 32*i), w, w)
				c.VMOVDQU(w, at(dst, 32*i))
			}
			if s.regs == 8 {
				c.XCHGQ(now, next)
			} else {
				c.ADDQ(operand.U32(s.bytes), now)
			}
		})
	})
	c.Label("done")
	c.VPXOR(y[0], y[0], y[0])
	for i := range size / 16 {
		c.VMOVDQU(y[0], saved.Offset(32*i))
	}
	c.VMOVDQU(y[0], saved.Offset(2*size))
	c.retY()
}

// tweaksWithinY is per cent of the AES instructions of 16 blocks beside which tweaks go; measured on Zen 4.
const tweaksWithinY = 85

// firstTweaksY puts the tweaks of the first 16 blocks at to, as firstTweaks does.
func (c *gen) firstTweaksY(tweak, to reg.Register, shifts operand.Mem, poly reg.VecPhysical, sixtyFour operand.Mem) {
	t, most, zero := y[0], y[1], y[2]
	c.VBROADCASTI128(at(tweak, 0), t)
	c.VMOVDQU(sixtyFour, most)
	c.VPXOR(zero, zero, zero)
	for i := range 8 {
		sh, up, back := y[3], y[4], y[5]
		if i%2 == 1 {
			sh, up, back = y[6], y[7], y[8]
		}
		c.VMOVDQU(shifts.Offset(32*i), sh)
		c.VPSLLVQ(sh, t, up)
		c.VPSUBQ(sh, most, sh)
		c.VPSRLVQ(sh, t, back)
		c.VPSHUFD(operand.Imm(0x4e), back, back)
		c.VPCLMULQDQ(operand.Imm(0), poly, back, sh)
		c.VPBLENDD(operand.Imm(0x33), zero, back, back) // the high halves stay
		c.VPXOR(sh, up, up)
		c.VPXOR(back, up, up)
		c.VMOVDQU(up, at(to, 32*i))
	}
}

// nextTweaksY returns the instructions that put the tweaks at now, times x^16, at next: two bytes up, what falls
// out times the polynomial. That multiplication takes turns with AES, so that two registers share it: the
// two words that fall out lie 32 bits apart. It uses y8 to y12; y13 is zero.
func (c *gen) nextTweaksY(now, next reg.Register, poly reg.VecPhysical) (ops []func()) {
	for i := 0; i < 8*32; i += 64 {
		v, w, out, low := y[8], y[9], y[10], y[11]
		ops = append(ops,
			func() { c.VMOVDQU(at(now, i), v) },
			func() { c.VMOVDQU(at(now, i+32), w) },
			func() { c.VPUNPCKHDQ(w, v, out) },
			func() { c.VPSRLD(operand.Imm(16), out, out) },
			func() { c.VPSLLDQ(operand.Imm(2), v, v) },
			func() { c.VPCLMULQDQ(operand.Imm(1), poly, out, out) },
			func() { c.VPSLLDQ(operand.Imm(2), w, w) },
			func() { c.VPBLENDD(operand.Imm(0xee), y[13], out, low) },
			func() { c.VPSRLQ(operand.Imm(32), out, out) },
			func() { c.VPXOR(low, v, v) },
			func() { c.VPXOR(out, w, w) },
			func() { c.VMOVDQU(v, at(next, i)) },
			func() { c.VMOVDQU(w, at(next, i+32)) })
	}
	return ops
}
