package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/cofferdb/coffer/bench"
)

func (p *program) benchCmd() *cobra.Command {
	return p.group("bench", "Measure this machine", p.benchKernelsCmd(), p.benchEngineCmd(), p.benchSQLiteCmd(), p.benchPebbleCmd(), p.benchNBDCmd(), p.benchElementsCmd())
}

func (p *program) benchKernelsCmd() *cobra.Command {
	var o bench.KernelOptions
	var asJSON bool
	c := p.verb("kernels [--json] [--full]", "Measure AES against the limit of the processor", cobra.NoArgs,
		func(ctx context.Context, _ []string) error { return p.benchKernels(ctx, o, asJSON) })
	c.Long = `Measure AES: every mode, key length and set of kernels that this machine has,
beside Go's library, golang.org/x/crypto/xts and openssl speed, where it is
installed. Figures are GB/s (10^9 bytes a second) of one core, and shares of the
limit: what a loop of independent AES rounds on registers does on the same core.

It takes less than 45 seconds; --full, some minutes. Stop everything else.`
	jsonFlag(c, &asJSON)
	c.Flags().BoolVar(&o.Full, "full", false, "the whole matrix: more block and batch sizes, OpenSSL for every key length")
	return c
}

func (p *program) benchKernels(ctx context.Context, o bench.KernelOptions, asJSON bool) error {
	if _, people := terminal(p.stderr); people {
		o.Progress = func(what string) { p.note("%s", what) }
	}
	r, err := bench.Kernels(ctx, o)
	if err != nil {
		return err
	}
	if asJSON {
		return p.printJSON(r)
	}
	return p.printKernels(r)
}

func (p *program) printKernels(r *bench.KernelReport) error {
	limits := p.table()
	limits.row("LIMIT OF", "BITS", "GB/S")
	for _, l := range r.Limits {
		limits.row(l.Impl, l.Bits, fmt.Sprintf("%.2f", l.GBs))
	}
	if err := limits.flush(); err != nil {
		return err
	}
	if err := p.print(""); err != nil {
		return err
	}
	t := p.table()
	t.row("OPERATION", "BITS", "BLOCK", "BATCH", "BY", "GB/S", "SHARE")
	for _, k := range r.Results {
		t.row(k.Op, k.Bits, k.BlockSize, k.Batch, k.Impl, fmt.Sprintf("%.2f", k.GBs), fmt.Sprintf("%.2f", k.Share))
	}
	return t.flush()
}
