package crashtest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// replay says what of a program is run again.
type replay struct {
	steps []int  // nil: all
	every int    // in place of the configuration's, where not 0
	luck  uint64 // other cuts, for another try
}

// shrinkTries is how often a shorter program may come through before its steps
// are held to be needed: which cuts are made, and what goroutines do, varies.
const shrinkTries = 3

// shrink looks for fewer steps with which the program of a seed still fails,
// until then. It returns nil where not even all of them fail again.
func shrink(seed uint64, steps int, then time.Time) (kept []int, last outcome) {
	fails := func(try []int) bool {
		for luck := range uint64(shrinkTries) {
			if time.Now().After(then) {
				return false
			}
			var n counts
			o := runAgain(seed, replay{try, 1, luck}, &n, then.Add(time.Minute))
			if o.err != nil {
				last = o
				return true
			}
		}
		return false
	}
	all := make([]int, steps)
	for i := range all {
		all[i] = i
	}
	if !fails(all) {
		return nil, last
	}
	return fewest(all, fails), last
}

// fewest takes runs of steps away, long ones first, as long as what is left fails.
func fewest(steps []int, fails func([]int) bool) []int {
	for size := (len(steps) + 1) / 2; size > 0; size /= 2 {
		for from := 0; from < len(steps); {
			without := slices.Delete(slices.Clone(steps), from, min(from+size, len(steps)))
			if fails(without) {
				steps = without
			} else {
				from += size
			}
		}
	}
	return steps
}

func runAgain(seed uint64, r replay, n *counts, until time.Time) outcome {
	rng := rand.New(rand.NewPCG(seed, 0))
	c := randomConfig(rng)
	if r.every > 0 {
		c.every = r.every
	}
	return runConfig(seed, c, rng, n, until, r)
}

// report describes a failure, shrunk as far as the time allows.
func report(seed uint64, o outcome, patience time.Duration) string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d failed: %v\n  %v\n  %v\n", seed, o.err, o.config, strings.Join(o.trace, ", "))
	kept, last := shrink(seed, o.steps, time.Now().Add(patience))
	if kept == nil {
		fmt.Fprintf(&b, "  it does not fail every time: -one -seed %d\n", seed)
		return b.String()
	}
	fmt.Fprintf(&b, "  %d of %d steps are enough: %v\n  %v\n  -one -seed %d -every 1 -steps %s\n", len(kept), o.steps, last.err,
		strings.Join(last.trace, ", "), seed, strings.Trim(strings.ReplaceAll(fmt.Sprint(kept), " ", ","), "[]"))
	return b.String()
}
