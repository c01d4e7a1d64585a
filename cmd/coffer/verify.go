package main

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/cofferdb/coffer/blockstore"
	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
)

func (p *program) verifyCmd() *cobra.Command {
	var v volumeFlags
	var asJSON bool
	var workers int
	var style progressStyle
	c := p.verb("verify VOLUME [--json]", "Check every block, record, label and journal frame", cobra.ExactArgs(1),
		func(ctx context.Context, args []string) error {
			return p.verify(ctx, args[0], &v, workers, asJSON, p.meter(style))
		})
	c.Long = `Check a volume: with keys everything, without keys the checksums of ciphertext.
What is damaged is listed by block. Nothing is written, even after a crash: the
journal is replayed in memory and that state is checked.`
	v.register(c)
	style.register(c)
	workersFlag(c, &workers)
	jsonFlag(c, &asJSON)
	return c
}

func workersFlag(c *cobra.Command, to *int) {
	c.Flags().IntVar(to, "workers", 0, "how many blocks are worked on at a time; 0 is one for each processor")
}

func (p *program) verify(ctx context.Context, path string, v *volumeFlags, workers int, asJSON bool, m *meter) error {
	report, err := p.verifyReport(ctx, path, v, workers, m)
	if err != nil {
		return err
	}
	if asJSON {
		err = p.printJSON(report)
	} else {
		err = p.printReport(path, report)
	}
	if err != nil {
		return err
	}
	return report.Err()
}

func (p *program) verifyReport(ctx context.Context, path string, v *volumeFlags, workers int, m *meter) (*blockstore.Report, error) {
	o, err := v.options()
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(path); err != nil {
		return nil, err
	}
	list, err := p.sources(&v.keys)
	if err != nil {
		return nil, err
	}
	var ring *dek.Keyring // nil: checksums only
	if len(list) > 0 || o.AllowPlain {
		if err := checkSuite(path, v); err != nil {
			return nil, err
		}
		ks, err := p.activate(ctx, &v.keys)
		if err != nil {
			return nil, err
		}
		defer ks.close()
		ring = ks.ring
	} else if o.ExpectAnchor != nil {
		return nil, fault.Hint(usagef("an anchor cannot be checked without keys"), "Give --keyfile FILE --admin NAME.")
	}
	defer m.finish()
	report, err := blockstore.VerifyFile(ctx, path, ring, &o, blockstore.VerifyOptions{
		Workers: workers, Progress: func(done, total uint64) { m.set("verify", int64(done), int64(total), "blocks") },
	})
	if err != nil {
		return nil, explainKeys(err, len(list))
	}
	return report, nil
}

func (p *program) printReport(path string, r *blockstore.Report) error {
	for _, b := range r.Problems {
		if err := p.print("%s", problemText(b)); err != nil {
			return err
		}
	}
	how := "with keys"
	if !r.WithKeys {
		how = "checksums only, without keys"
	}
	verdict := "all correct"
	if !r.OK() {
		verdict = fmt.Sprintf("%d problems", r.Found)
	}
	if r.Unsettled > 0 {
		p.note("%d blocks are unsettled: the volume was not closed cleanly, and the journal runs ahead of them", r.Unsettled)
	}
	if r.TailBytes > 0 {
		p.note("the journal's last %d bytes were never acknowledged and do not count, as after a power failure; only an anchor can tell more", r.TailBytes)
	}
	if r.Lost > 0 {
		p.warn("%d blocks are recorded as lost", r.Lost)
	}
	return p.print("%s: %d of %d blocks checked (%s), %d holes: %s", path, r.Checked, r.Blocks, how, r.Holes, verdict)
}

func problemText(b blockstore.Problem) string {
	state := "damaged"
	if b.Unsettled {
		state = "unsettled"
	}
	return fmt.Sprintf("%s: %s %d: %s", state, b.Kind, b.Block, b.Detail)
}
