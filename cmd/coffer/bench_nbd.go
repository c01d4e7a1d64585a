package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cofferdb/coffer/bench"
)

func (p *program) benchNBDCmd() *cobra.Command {
	var o bench.NBDOptions
	var asJSON bool
	c := p.verb("nbd [--json] [--only NAME]…", "Measure a volume as a block device beside a plain file", cobra.NoArgs,
		func(ctx context.Context, _ []string) error { return p.benchNBD(ctx, o, asJSON) })
	c.Long = `Measure a volume that is served as a network block device, beside a plain file
behind the same server and the same client, in turn, in one run. Both have 256 MiB
and are in the system's page cache. Figures are the time of a request; RATIO is
the volume's over the plain file's, the median of the rounds: below 1 is faster.

It takes about a minute and a half, and up to 1 GB in --dir. Stop everything else.`
	jsonFlag(c, &asJSON)
	f := c.Flags()
	f.StringVar(&o.Dir, "dir", "", "make the files in this `FOLDER`; else in the system's for temporary files")
	f.StringSliceVar(&o.Only, "only", nil, "workloads to measure: "+strings.Join(bench.NBDWorkloads(), ", "))
	f.IntVar(&o.Rounds, "rounds", 0, "how often both sides are measured; 0 is 5")
	return c
}

func (p *program) benchNBD(ctx context.Context, o bench.NBDOptions, asJSON bool) error {
	if _, people := terminal(p.stderr); people {
		o.Progress = func(what string) { p.note("%s", what) }
	}
	r, err := bench.NBD(ctx, o)
	if err != nil {
		return err
	}
	if asJSON {
		return p.printJSON(r)
	}
	t := p.table()
	t.row("NAME", "COFFER µs", "PLAIN µs", "RATIO", "LOW", "HIGH")
	for _, e := range r.Results {
		t.row(e.Name, fmt.Sprintf("%.1f", e.Coffer*1e6), fmt.Sprintf("%.1f", e.Plain*1e6), fmt.Sprintf("%.2f", e.Ratio),
			fmt.Sprintf("%.2f", e.Low), fmt.Sprintf("%.2f", e.High))
	}
	if err := t.flush(); err != nil {
		return err
	}
	for _, e := range r.Results {
		if err := p.print("%s: %s", e.Name, e.Note); err != nil {
			return err
		}
	}
	return nil
}
