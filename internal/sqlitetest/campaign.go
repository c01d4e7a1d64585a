package sqlitetest

import (
	"fmt"
	"io"
	"math/rand/v2"
	"time"
)

// Campaign runs programs until its time is over.
type Campaign struct {
	Seed     uint64 // of the first program; the next ones count on
	Duration time.Duration
	Programs int       // ends the campaign sooner; 0 does not
	Log      io.Writer // failures; nil drops them
}

// Totals are what a campaign did.
type Totals struct {
	Programs, Cuts, Commits, Failures int
}

// Run runs the campaign.
func (c Campaign) Run() Totals {
	var t Totals
	for end := time.Now().Add(c.Duration); time.Now().Before(end) && (c.Programs == 0 || t.Programs < c.Programs); t.Programs++ {
		seed := c.Seed + uint64(t.Programs)
		p := newProgram(seed)
		err := p.run()
		t.Cuts += p.cuts
		t.Commits += p.commits
		if err != nil {
			t.Failures++
			if c.Log != nil {
				fmt.Fprintf(c.Log, "seed=%d: %v\n", seed, err)
			}
		}
	}
	return t
}

// newRand returns the generator of a program.
func newRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0x5a1e)) }
