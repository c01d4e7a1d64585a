package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cofferdb/coffer/bench"
)

func (p *program) benchPebbleCmd() *cobra.Command {
	var o bench.EngineOptions
	var asJSON bool
	c := p.verb("pebble [--json] [--only NAME]…", "Measure Pebble on encrypted files beside plain ones", cobra.NoArgs,
		func(ctx context.Context, _ []string) error { return p.benchEngine(ctx, bench.Pebble, o, asJSON) })
	c.Long = `Measure the LSM tree Pebble on pebblefs beside Pebble on plain files: the mixes of
operations that its own benchmark calls ycsb A to F, with 16 clients and every
commit synced, on 100,000 keys with values of 1,000 bytes, in turn, in one run:

  ycsb/A  50 % reads, 50 % updates       ycsb/D  95 % reads, 5 % inserts
  ycsb/B  95 % reads, 5 % updates        ycsb/E  95 % scans, 5 % inserts
  ycsb/C  reads                          ycsb/F  inserts

RATIO is time by operation on pebblefs over that on plain files, the median of the
rounds: below 1 is better. TARGET is what it may be. It takes two minutes and up
to 1 GB in --dir. Stop everything else.`
	jsonFlag(c, &asJSON)
	f := c.Flags()
	f.StringVar(&o.Dir, "dir", "", "make the databases in this `FOLDER`; else in the system's for temporary files")
	f.StringSliceVar(&o.Only, "only", nil, "mixes to measure: "+strings.Join(bench.PebbleMixes(), ", "))
	f.IntVar(&o.Rounds, "rounds", 0, "how often both sides are measured; 0 is 7")
	return c
}
