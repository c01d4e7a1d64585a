package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cofferdb/coffer/bench"
)

func (p *program) benchElementsCmd() *cobra.Command {
	var o bench.ElementOptions
	var asJSON bool
	c := p.verb("elements [--json] [--only NAME]…", "Measure encrypted values and streams beside bare AES-GCM", cobra.NoArgs,
		func(ctx context.Context, _ []string) error { return p.benchElements(ctx, o, asJSON) })
	c.Long = `Measure data elements, each beside its baseline, in turn, in one run:

  values   a value of 16 to 1,024 bytes / crypto/cipher's GCM with a cached key
  streams  a stream on one core / the bare kernel; on two cores / on one

RATIO is Coffer's time over the other side's, the median of the rounds: below 1
is better. TARGET is what it may be. It takes some seconds. Stop everything else.`
	jsonFlag(c, &asJSON)
	f := c.Flags()
	f.StringSliceVar(&o.Only, "only", nil, "scenarios to measure: "+strings.Join(bench.ElementScenarios(), ", "))
	f.IntVar(&o.Rounds, "rounds", 0, "how often both sides are measured; 0 is 301")
	return c
}

func (p *program) benchElements(ctx context.Context, o bench.ElementOptions, asJSON bool) error {
	if _, people := terminal(p.stderr); people {
		o.Progress = func(what string) { p.note("%s", what) }
	}
	r, err := bench.Elements(ctx, o)
	if err != nil {
		return err
	}
	if asJSON {
		return p.printJSON(r)
	}
	t := p.table()
	t.row("NAME", "COFFER", "PLAIN", "UNIT", "RATIO", "LOW", "HIGH", "TARGET")
	for _, e := range r.Results {
		t.row(e.Name, fmt.Sprintf("%.4g", e.Coffer), fmt.Sprintf("%.4g", e.Plain), e.Unit, fmt.Sprintf("%.2f", e.Ratio),
			fmt.Sprintf("%.2f", e.Low), fmt.Sprintf("%.2f", e.High), fmt.Sprintf("%.2f", e.Target))
	}
	return t.flush()
}
