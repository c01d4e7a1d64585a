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
	"strconv"
	"strings"
	"time"

	"github.com/cofferdb/coffer/internal/crashtest"
)

func main() {
	duration := flag.Duration("duration", 2*time.Minute, "how long to run")
	seed := flag.Uint64("seed", 0, "seed of the first program; 0 takes the time")
	one := flag.Bool("one", false, "run only the program of the seed, and print its steps")
	every := flag.Int("every", 0, "with -one: cut before one in so many operations; 0 is as the program has it")
	var steps stepList
	flag.Var(&steps, "steps", "with -one: run only the steps with these numbers, as a failure reports them")
	flag.Parse()
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano())
	}
	if *one {
		runOne(*seed, steps, *every)
		return
	}
	t := crashtest.Campaign{Seed: *seed, Duration: *duration, Log: os.Stderr}.Run()
	fmt.Printf("programs=%d\n%s\ncuts=%d failures=%d seed=%d\n", t.Programs, t.EventLine(), t.Cuts, t.Failures, *seed)
	if t.Failures > 0 || t.Cuts == 0 {
		os.Exit(1)
	}
}

// stepList is a flag: numbers with commas between.
type stepList []int

func (l *stepList) String() string { return fmt.Sprint([]int(*l)) }

func (l *stepList) Set(text string) error {
	*l = stepList{}
	for part := range strings.SplitSeq(text, ",") {
		n, err := strconv.Atoi(part)
		if err != nil {
			return err
		}
		*l = append(*l, n)
	}
	return nil
}

func runOne(seed uint64, steps []int, every int) {
	cuts, config, trace, err := crashtest.RunOne(seed, steps, every)
	fmt.Printf("%s\n%s\ncuts=%d\n", config, strings.Join(trace, ", "), cuts)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
