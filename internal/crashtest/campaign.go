package crashtest

import (
	"fmt"
	"io"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Campaign runs programs of seeds seed, seed+1, … for a time.
type Campaign struct {
	Seed     uint64
	Duration time.Duration
	Log      io.Writer // failures, with what replays them
}

// Totals of a campaign.
type Totals struct {
	Cuts, Failures, Programs int64
}

// Run runs the campaign on all processors.
func (c Campaign) Run() Totals {
	var cuts, failures, programs atomic.Int64
	end := time.Now().Add(c.Duration)
	var mu sync.Mutex // guards Log
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for time.Now().Before(end) {
				seed := c.Seed + uint64(programs.Add(1)) - 1
				o := run(seed, &cuts)
				if o.err == nil {
					continue
				}
				failures.Add(1)
				mu.Lock()
				_, _ = fmt.Fprintf(c.Log, "seed %d failed: %v\n  %v\n  %v\n", seed, o.err, o.config, o.trace)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return Totals{cuts.Load(), failures.Load(), programs.Load()}
}
