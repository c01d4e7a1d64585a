package crashtest

import (
	"fmt"
	"io"
	"maps"
	"runtime"
	"slices"
	"strings"
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
	Events                   map[string]int64 // rare things that happened, by name
}

// counts are what the programs of a campaign add up.
type counts struct {
	cuts atomic.Int64

	mu     sync.Mutex // guards events
	events map[string]int64
}

func (c *counts) saw(event string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.events == nil {
		c.events = make(map[string]int64)
	}
	c.events[event]++
}

func (c *counts) seen() map[string]int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.events)
}

// EventLine lists the events in one line.
func (t Totals) EventLine() string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(t.Events)) {
		parts = append(parts, fmt.Sprintf("%s: %d", name, t.Events[name]))
	}
	return strings.Join(parts, ", ")
}

// shrinkTime is how long a failure is shrunk; the campaign does not count it.
const shrinkTime = 20 * time.Second

// Run runs the campaign on all processors.
func (c Campaign) Run() Totals {
	var n counts
	var failures, programs atomic.Int64
	end := time.Now().Add(c.Duration)
	var mu sync.Mutex // guards Log
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for time.Now().Before(end) {
				seed := c.Seed + uint64(programs.Add(1)) - 1
				o := run(seed, &n, end)
				if o.err == nil {
					continue
				}
				failures.Add(1)
				mu.Lock()
				_, _ = io.WriteString(c.Log, report(seed, o, shrinkTime))
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return Totals{n.cuts.Load(), failures.Load(), programs.Load(), n.seen()}
}
