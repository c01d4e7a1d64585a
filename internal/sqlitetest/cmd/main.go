// Command cmd cuts the power under SQLite for as long as it is told to, and ends
// with a line
//
//	programs=N commits=N cuts=N failures=N seed=N
//
// and exit status 1 if anything failed.
package main

import (
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/cofferdb/coffer/internal/sqlitetest"
)

func main() {
	duration := flag.Duration("duration", 2*time.Minute, "how long to run")
	seed := flag.Uint64("seed", 0, "seed of the first program; 0 takes the time")
	most := flag.Int("programs", 0, "how many programs at the most; 0 is as many as there is time for")
	flag.Parse()
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano())
	}
	t := sqlitetest.Campaign{Seed: *seed, Duration: *duration, Programs: *most, Log: os.Stderr}.Run()
	fmt.Printf("programs=%d commits=%d cuts=%d failures=%d seed=%d\n", t.Programs, t.Commits, t.Cuts, t.Failures, *seed)
	if t.Failures > 0 || t.Cuts == 0 {
		os.Exit(1)
	}
}
