// Command gen writes the assembler of internal/crc32c and the Go declarations
// that go with it into the folder above: `go generate` in internal/crc32c runs it.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/pass"
	"github.com/mmcloughlin/avo/printer"
	"github.com/mmcloughlin/avo/reg"
)

func main() {
	c := build.NewContext()
	c.ConstraintExpr("!purego")
	wide(c)
	if err := write(c); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

// write compiles what c holds and writes the two files.
func write(c *build.Context) error {
	f, err := c.Result()
	if err != nil {
		return err
	}
	if err := pass.Compile.Execute(f); err != nil {
		return err
	}
	cfg := printer.Config{Name: "internal/crc32c/gen", Pkg: "crc32c"}
	for name, p := range map[string]printer.Printer{
		"crc32c_amd64.s": printer.NewGoAsm(cfg), "stubs_amd64.go": printer.NewStubs(cfg),
	} {
		text, err := p.Print(f)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join("..", name), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// poly is CRC32C's polynomial without x^32, highest power first.
const poly = 0x1edc6f41

// power returns x^n modulo the polynomial, reflected and shifted by one, as
// carry-less multiplication of reflected numbers wants it.
func power(n int) uint64 {
	r := uint32(1)
	for range n {
		carry := r >> 31
		r <<= 1
		if carry != 0 {
			r ^= poly
		}
	}
	out := uint64(0)
	for i := range 32 {
		if r&(1<<i) != 0 {
			out |= 1 << (32 - i)
		}
	}
	return out
}

// distance returns the constants that carry 16 bytes n bytes further: for the
// first 8 bytes, which are the higher powers, and for the others.
func distance(n int) [2]uint64 { return [2]uint64{power(8*n + 32), power(8*n - 32)} }

// constants declares one pair of constants for each lane.
func constants(c *build.Context, name string, lanes ...[2]uint64) operand.Mem {
	m := c.StaticGlobal(name)
	c.DataAttributes(attr.RODATA | attr.NOPTR)
	for _, l := range lanes {
		for _, k := range l {
			c.AppendDatum(operand.U64(k))
		}
	}
	return m
}

func fn(c *build.Context, name, doc string) (crc, p, n reg.GPVirtual) {
	c.Function(name)
	c.Attributes(attr.NOSPLIT)
	c.SignatureExpr("func(crc uint32, p *byte, n int) uint32")
	c.Doc(name + " " + doc)
	c.Pragma("noescape")
	crc, p, n = c.GP32(), c.GP64(), c.GP64()
	c.Load(c.Param("crc"), crc)
	c.Load(c.Param("p"), p)
	c.Load(c.Param("n"), n)
	return crc, p, n
}

// finish returns the checksum of the 16 bytes that are left.
func finish(c *build.Context, left reg.VecPhysical) {
	lo, hi, sum := c.GP64(), c.GP64(), c.GP64()
	c.MOVQ(left, lo)
	c.PEXTRQ(operand.Imm(1), left, hi)
	c.XORQ(sum, sum)
	c.CRC32Q(lo, sum)
	c.CRC32Q(hi, sum)
	c.Store(sum.As32(), c.ReturnIndex(0))
}

func at(base reg.Register, disp int) operand.Mem { return operand.Mem{Base: base, Disp: disp} }

// wide folds 256 bytes at a time on four registers of 64.
func wide(c *build.Context) {
	far := constants(c, "far256", distance(256), distance(256), distance(256), distance(256))
	near := constants(c, "far64", distance(64), distance(64), distance(64), distance(64))
	lanes := constants(c, "lanes", distance(48), distance(32), distance(16), [2]uint64{})
	crc, p, n := fn(c, "foldWide", "takes n bytes into crc: a multiple of 64, 256 or more. crc is not inverted.")
	acc := []reg.VecPhysical{reg.Z0, reg.Z1, reg.Z2, reg.Z3}
	k, k64, t, u := reg.Z16, reg.Z17, reg.Z18, reg.Z19
	c.VMOVDQU64(far, k)
	c.VMOVDQU64(near, k64)
	for i, a := range acc {
		c.VMOVDQU64(at(p, 64*i), a)
	}
	c.VMOVD(crc, reg.X4)
	c.VPXORQ(reg.Z4, reg.Z0, reg.Z0)
	c.ADDQ(operand.I32(256), p)
	c.SUBQ(operand.I32(256), n)

	c.Label("loop")
	c.CMPQ(n, operand.I32(256))
	c.JLT(operand.LabelRef("gather"))
	for i, a := range acc {
		lo := reg.VecPhysical([]reg.VecPhysical{reg.Z20, reg.Z21, reg.Z22, reg.Z23}[i])
		c.VPCLMULQDQ(operand.Imm(0x00), k, a, lo)
		c.VPCLMULQDQ(operand.Imm(0x11), k, a, a)
		c.VPTERNLOGQ(operand.Imm(0x96), at(p, 64*i), lo, a)
	}
	c.ADDQ(operand.I32(256), p)
	c.SUBQ(operand.I32(256), n)
	c.JMP(operand.LabelRef("loop"))

	c.Label("gather")
	for i := range 3 {
		c.VPCLMULQDQ(operand.Imm(0x00), k64, acc[i], t)
		c.VPCLMULQDQ(operand.Imm(0x11), k64, acc[i], u)
		c.VPTERNLOGQ(operand.Imm(0x96), t, u, acc[i+1])
	}
	last := acc[3]
	c.Label("rest")
	c.CMPQ(n, operand.I32(64))
	c.JLT(operand.LabelRef("done"))
	c.VPCLMULQDQ(operand.Imm(0x00), k64, last, t)
	c.VPCLMULQDQ(operand.Imm(0x11), k64, last, last)
	c.VPTERNLOGQ(operand.Imm(0x96), at(p, 0), t, last)
	c.ADDQ(operand.I32(64), p)
	c.SUBQ(operand.I32(64), n)
	c.JMP(operand.LabelRef("rest"))

	c.Label("done")
	c.VMOVDQU64(lanes, k)
	c.VPCLMULQDQ(operand.Imm(0x00), k, last, t)
	c.VPCLMULQDQ(operand.Imm(0x11), k, last, u)
	c.VPXORQ(t, u, reg.Z0)                          // lane 3 is zero
	c.VEXTRACTI64X2(operand.Imm(3), last, reg.X4)   // lane 3 goes as it is
	c.VEXTRACTI64X4(operand.Imm(1), reg.Z0, reg.Y1) // lanes 2 and 3
	c.VPXOR(reg.Y1, reg.Y0, reg.Y0)                 // 0+2, 1+3
	c.VEXTRACTI128(operand.Imm(1), reg.Y0, reg.X1)  // 1+3
	c.VPXOR(reg.X1, reg.X0, reg.X0)                 //
	c.VPXOR(reg.X4, reg.X0, reg.X0)                 //
	c.VZEROUPPER()
	finish(c, reg.X0)
	c.RET()
}
