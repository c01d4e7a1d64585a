// Command cmd runs the crash campaign and ends with a line
//
//	cuts=N failures=N seed=N
//
// and exit status 1 if anything failed.
package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/cofferdb/coffer/internal/crashtest"
)

func main() {
	duration := flag.Duration("duration", 2*time.Minute, "how long to run")
	seed := flag.Uint64("seed", 0, "seed of the first program; 0 takes the time")
	one := flag.Bool("one", false, "run only the program of the seed, and print its steps")
	flag.Parse()
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano())
	}
	if *one {
		runOne(*seed)
		return
	}
	t := crashtest.Campaign{Seed: *seed, Duration: *duration, Log: os.Stderr}.Run()
	fmt.Printf("programs=%d\n%s\ncuts=%d failures=%d seed=%d\n", t.Programs, t.EventLine(), t.Cuts, t.Failures, *seed)
	if t.Failures > 0 || t.Cuts == 0 {
		os.Exit(1)
	}
}

func runOne(seed uint64) {
	cuts, config, trace, err := crashtest.RunOne(seed)
	fmt.Printf("%s\n%s\ncuts=%d\n", config, strings.Join(trace, ", "), cuts)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
