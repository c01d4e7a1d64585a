// Command gen writes the assembler of internal/aes, and the Go declarations
// that go with it, into the folder above: `go generate` in internal/aes runs it.
// One source file here makes one pair of files there: cbc.go makes
// cbc_amd64.s and cbc_stubs_amd64.go.
//
//	gen all
//	gen cbc xts
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/pass"
	"github.com/mmcloughlin/avo/printer"
)

// kernels lists what can be made: each entry fills the context of one pair of files.
var kernels = []struct {
	name  string
	build func(*gen)
}{
	{"cbc", cbc},
	{"ctr", ctr},
	{"etm", etm},
	{"gcm", gcm},
	{"ghash", ghash},
	{"gmac", gmac},
	{"key", key},
	{"limit", limit},
	{"xts", xts},
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func run(names []string) error {
	made := 0
	for _, k := range kernels {
		if !wanted(names, k.name) {
			continue
		}
		made++
		c := &gen{build.NewContext()}
		c.ConstraintExpr("!purego")
		k.build(c)
		if err := write(c, k.name); err != nil {
			return fmt.Errorf("%s: %w", k.name, err)
		}
	}
	if made == 0 {
		return fmt.Errorf("nothing to make: want all, or names from main.go")
	}
	return nil
}

func wanted(names []string, name string) bool {
	for _, n := range names {
		if n == "all" || n == name {
			return true
		}
	}
	return false
}

// write compiles what c holds and writes the two files.
func write(c *gen, name string) error {
	file, err := c.Result()
	if err != nil {
		return err
	}
	if err := pass.Compile.Execute(file); err != nil {
		return err
	}
	cfg := printer.Config{Name: "internal/aes/gen/" + name + ".go", Pkg: "aes"}
	for out, p := range map[string]printer.Printer{
		name + "_amd64.s":        printer.NewGoAsm(cfg),
		name + "_stubs_amd64.go": printer.NewStubs(cfg),
	} {
		text, err := p.Print(file)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join("..", out), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}
