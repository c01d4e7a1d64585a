package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/operand"
)

// limitRegs is how many registers are in flight: enough to hide the latency of a round.
const (
	limitRegsZ = 16
	limitRegsX = 14
	limitRegsY = 14
)

// limit makes the loops that measure the processor: AES rounds on independent
// registers with nothing else, the keys in registers too.
func limit(c *gen) {
	for _, r := range rounds {
		c.fn(fmt.Sprintf("limitVAES512r%d", r), "func(loops int)",
			fmt.Sprintf("runs %d rounds on %d registers of 64 bytes, loops times.", r, limitRegsZ))
		n := c.arg("loops")
		for _, reg := range z {
			c.VPXORQ(reg, reg, reg)
		}
		c.Label("loop")
		s := z[:limitRegsZ]
		for i := range r {
			for _, v := range s {
				if i == r-1 {
					c.VAESENCLAST(z[16+i], v, v)
				} else {
					c.VAESENC(z[16+i], v, v)
				}
			}
		}
		c.DECQ(n)
		c.JNE(operand.LabelRef("loop"))
		c.retZ()
	}
	for _, r := range rounds {
		c.fn(fmt.Sprintf("limitAESNIr%d", r), "func(loops int)",
			fmt.Sprintf("runs %d rounds on %d registers of 16 bytes, loops times.", r, limitRegsX))
		n := c.arg("loops")
		for _, reg := range x {
			c.PXOR(reg, reg)
		}
		c.Label("loop")
		s := x[:limitRegsX]
		for i := range r {
			for _, v := range s {
				if i == r-1 {
					c.AESENCLAST(x[15], v)
				} else {
					c.AESENC(x[15], v)
				}
			}
		}
		c.DECQ(n)
		c.JNE(operand.LabelRef("loop"))
		c.retX()
	}
	for _, r := range rounds {
		c.fn(fmt.Sprintf("limitVAES256r%d", r), "func(loops int)",
			fmt.Sprintf("runs %d rounds on %d registers of 32 bytes, loops times.", r, limitRegsY))
		n := c.arg("loops")
		c.VZEROALL()
		c.Label("loop")
		for i := 1; i <= r; i++ {
			for _, v := range y[:limitRegsY] {
				c.roundXY(y[15], v, i, r, false)
			}
		}
		c.DECQ(n)
		c.JNE(operand.LabelRef("loop"))
		c.retY()
	}
}
