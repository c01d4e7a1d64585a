// Command gen writes the assembler of internal/crc32c and the Go declarations
// that go with it into the folder above: `go generate` in internal/crc32c runs it.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/pass"
	"github.com/mmcloughlin/avo/printer"
	"github.com/mmcloughlin/avo/reg"
)

// The streams of CRC32 beside the folding.
const (
	streams   = 4
	stream    = 32 // bytes in a loop, of each
	mostLoops = 64
)

func main() {
	b := build.NewContext()
	b.ConstraintExpr("!purego")
	c := &folder{Context: b}
	c.far = constants(b, "far256", distance(256), distance(256), distance(256), distance(256))
	c.near = constants(b, "far64", distance(64), distance(64), distance(64), distance(64))
	c.lanes = constants(b, "lanes", distance(48), distance(32), distance(16), []uint64{0, 0})
	var rows [][]uint64
	for loops := range mostLoops + 1 { // row 0 is not used
		var row []uint64
		for behind := streams; behind > 0; behind-- {
			row = append(row, power(max(0, 8*stream*loops*behind-32)))
		}
		rows = append(rows, row)
	}
	c.shifts = constants(b, "shifts", rows...)
	wide(c)
	both(c)
	if err := write(b); err != nil {
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
func distance(n int) []uint64 { return []uint64{power(8*n + 32), power(8*n - 32)} }

// constants declares a table, row after row.
func constants(c *build.Context, name string, rows ...[]uint64) operand.Mem {
	m := c.StaticGlobal(name)
	c.DataAttributes(attr.RODATA | attr.NOPTR)
	for _, row := range rows {
		for _, k := range row {
			c.AppendDatum(operand.U64(k))
		}
	}
	return m
}

// fn begins a function of a checksum, a place in memory, and how much of it.
func fn(c *build.Context, name, doc, much string) (crc, p, n reg.GPVirtual) {
	c.Function(name)
	c.Attributes(attr.NOSPLIT)
	c.SignatureExpr("func(crc uint32, p *byte, " + much + ") uint32")
	c.Doc(name + " " + doc)
	c.Pragma("noescape")
	crc, p, n = c.GP32(), c.GP64(), c.GP64()
	c.Load(c.Param("crc"), crc)
	c.Load(c.Param("p"), p)
	name, _, _ = strings.Cut(much, " ")
	c.Load(c.Param(name), n)
	return crc, p, n
}

func at(base reg.Register, disp int) operand.Mem { return operand.Mem{Base: base, Disp: disp} }

// Registers of the folding part.
var (
	acc = []reg.VecPhysical{reg.Z0, reg.Z1, reg.Z2, reg.Z3}
	los = []reg.VecPhysical{reg.Z20, reg.Z21, reg.Z22, reg.Z23}
	k   = reg.Z16
	k64 = reg.Z17
	t   = reg.Z18
	u   = reg.Z19
)

// folder holds the constants that the functions share.
type folder struct {
	*build.Context
	far, near, lanes, shifts operand.Mem
}

// begin loads the first 256 bytes and takes crc into them.
func (c *folder) begin(crc, p reg.GPVirtual) {
	c.VMOVDQU64(c.far, k)
	c.VMOVDQU64(c.near, k64)
	for i, a := range acc {
		c.VMOVDQU64(at(p, 64*i), a)
	}
	c.VMOVD(crc, reg.X4)
	c.VPXORQ(reg.Z4, reg.Z0, reg.Z0)
	c.ADDQ(operand.I32(256), p)
}

// step takes in 64 of the next 256 bytes.
func (c *folder) step(p reg.GPVirtual, i int) {
	c.VPCLMULQDQ(operand.Imm(0x00), k, acc[i], los[i])
	c.VPCLMULQDQ(operand.Imm(0x11), k, acc[i], acc[i])
	c.VPTERNLOGQ(operand.Imm(0x96), at(p, 64*i), los[i], acc[i])
}

// gather folds the four registers into the last.
func (c *folder) gather() {
	for i := range 3 {
		c.VPCLMULQDQ(operand.Imm(0x00), k64, acc[i], t)
		c.VPCLMULQDQ(operand.Imm(0x11), k64, acc[i], u)
		c.VPTERNLOGQ(operand.Imm(0x96), t, u, acc[i+1])
	}
}

// sum returns the checksum of the 64 bytes in the last register.
func (c *folder) sum() reg.GPVirtual {
	last := acc[3]
	c.VMOVDQU64(c.lanes, k)
	c.VPCLMULQDQ(operand.Imm(0x00), k, last, t)
	c.VPCLMULQDQ(operand.Imm(0x11), k, last, u)
	c.VPXORQ(t, u, reg.Z0)                          // lane 3 is zero
	c.VEXTRACTI64X2(operand.Imm(3), last, reg.X4)   // lane 3 goes as it is
	c.VEXTRACTI64X4(operand.Imm(1), reg.Z0, reg.Y1) // lanes 2 and 3
	c.VPXOR(reg.Y1, reg.Y0, reg.Y0)                 // 0+2, 1+3
	c.VEXTRACTI128(operand.Imm(1), reg.Y0, reg.X1)  // 1+3
	c.VPXOR(reg.X1, reg.X0, reg.X0)
	c.VPXOR(reg.X4, reg.X0, reg.X0)
	lo, hi, sum := c.GP64(), c.GP64(), c.GP64()
	c.VMOVQ(reg.X0, lo)
	c.VPEXTRQ(operand.Imm(1), reg.X0, hi)
	c.XORQ(sum, sum)
	c.CRC32Q(lo, sum)
	c.CRC32Q(hi, sum)
	return sum
}

// wide folds 256 bytes at a time on four registers of 64.
func wide(c *folder) {
	crc, p, n := fn(c.Context, "foldWide", "takes n bytes into crc: a multiple of 64, 256 or more. crc is not inverted.", "n int")
	c.begin(crc, p)
	c.SUBQ(operand.I32(256), n)

	c.Label("loop")
	c.CMPQ(n, operand.I32(256))
	c.JLT(operand.LabelRef("gather"))
	for i := range acc {
		c.step(p, i)
	}
	c.ADDQ(operand.I32(256), p)
	c.SUBQ(operand.I32(256), n)
	c.JMP(operand.LabelRef("loop"))

	c.Label("gather")
	c.gather()
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
	sum := c.sum()
	c.VZEROUPPER()
	c.Store(sum.As32(), c.ReturnIndex(0))
	c.RET()
}

// both lets the CRC32 instruction work beside the folding, which uses other
// units: streams of it side by side, since it has a latency of 3. In each of loops steps
// folding takes 256 bytes and each stream stream bytes; the streams lie behind
// what is folded, 256 (loops + 1) bytes, one behind the other.
func both(c *folder) {
	crc, p, loops := fn(c.Context, "foldBoth",
		"takes 256 + 384*loops bytes into crc, 0 < loops <= 64. crc is not inverted.", "loops int")
	var from, sums [streams]reg.GPVirtual
	apart := c.GP64()
	c.IMUL3Q(operand.Imm(stream), loops, apart)
	from[0] = c.GP64()
	c.MOVQ(loops, from[0])
	c.SHLQ(operand.Imm(8), from[0])
	c.LEAQ(operand.Mem{Base: p, Index: from[0], Scale: 1, Disp: 256}, from[0])
	for i := 1; i < streams; i++ {
		from[i] = c.GP64()
		c.LEAQ(operand.Mem{Base: from[i-1], Index: apart, Scale: 1}, from[i])
	}
	for i := range sums {
		sums[i] = c.GP64()
		c.XORQ(sums[i], sums[i])
	}
	table := c.GP64()
	c.LEAQ(c.shifts, table)
	c.IMUL3Q(operand.Imm(8*streams), loops, apart)
	c.ADDQ(apart, table) // the row of this number of loops
	c.begin(crc, p)

	c.Label("loop")
	for i := range acc {
		c.step(p, i)
		for j := i * (stream / 8) / len(acc); j < (i+1)*(stream/8)/len(acc); j++ {
			for s := range streams {
				c.CRC32Q(at(from[s], 8*j), sums[s])
			}
		}
	}
	c.ADDQ(operand.I32(256), p)
	for s := range streams {
		c.ADDQ(operand.Imm(stream), from[s])
	}
	c.DECQ(loops)
	c.JNE(operand.LabelRef("loop"))

	c.gather()
	folded := c.sum()
	// Each sum is carried over what lies behind it.
	total := sums[streams-1]
	v := c.GP64()
	for i, sum := range append([]reg.GPVirtual{folded}, sums[:streams-1]...) {
		c.VMOVQ(sum, reg.X0)
		c.VMOVQ(at(table, 8*i), reg.X1)
		c.VPCLMULQDQ(operand.Imm(0), reg.X1, reg.X0, reg.X0)
		c.VMOVQ(reg.X0, v)
		carried := c.GP64()
		c.XORQ(carried, carried)
		c.CRC32Q(v, carried)
		c.XORQ(carried, total)
	}
	c.VZEROUPPER()
	c.Store(total.As32(), c.ReturnIndex(0))
	c.RET()
}
