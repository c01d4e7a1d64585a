package main

import (
	"fmt"
	"os"

	"github.com/cofferdb/coffer/internal/secmem"
)

func main() { os.Exit(mainCode()) }

// mainCode is main without the exit, so that tests can be this program.
func mainCode() int {
	if err := secmem.DisableCoreDumps(); err != nil {
		fmt.Fprintln(os.Stderr, "warning: a core dump of this program could hold keys:", err)
	}
	ctx, stop := interruptible()
	defer stop()
	return run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.Getenv)
}
