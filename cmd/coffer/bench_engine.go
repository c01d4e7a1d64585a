package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cofferdb/coffer/bench"
)

func (p *program) benchEngineCmd() *cobra.Command {
	var o bench.EngineOptions
	var asJSON bool
	c := p.verb("engine [--json] [--only NAME]…", "Measure the engine beside its baselines", cobra.NoArgs,
		func(ctx context.Context, _ []string) error { return p.benchEngine(ctx, bench.Engine, o, asJSON) })
	c.Long = `Measure what the engine promises, each beside its baseline, in turn, in one run:

  rekey-load  16 goroutines that read and commit during a re-key / without one
  rekey-idle  a re-key of 1 GiB / a copy of the file with a sync
  open        opening 10 GiB after a crash / 1 GiB with as much in the journal
  memory      the heap that 64 GiB need / the bound that is promised

RATIO is the first side over the second, the median of the rounds: below 1 is
better. TARGET is what it may be. It takes some minutes and up to 5 GB in --dir.
Stop everything else.`
	jsonFlag(c, &asJSON)
	f := c.Flags()
	f.StringVar(&o.Dir, "dir", "", "make the volumes in this `FOLDER`; else in the system's for temporary files")
	f.StringSliceVar(&o.Only, "only", nil, "scenarios to measure: "+strings.Join(bench.EngineScenarios(), ", "))
	f.IntVar(&o.Rounds, "rounds", 0, "how often both sides are measured; 0 is 5")
	return c
}

// benchEngine runs a comparison of two sides and prints it.
func (p *program) benchEngine(ctx context.Context, run func(context.Context, bench.EngineOptions) (*bench.EngineReport, error), o bench.EngineOptions,
	asJSON bool) error {
	if _, people := terminal(p.stderr); people {
		o.Progress = func(what string) { p.note("%s", what) }
	}
	r, err := run(ctx, o)
	if err != nil {
		return err
	}
	if asJSON {
		return p.printJSON(r)
	}
	return p.printBench(r)
}
