package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cofferdb/coffer/blockstore"
	"github.com/cofferdb/coffer/internal/fault"
)

func (p *program) verifyCmd() *cobra.Command {
	var v volumeFlags
	var asJSON bool
	var workers int
	var style progressStyle
	c := p.verb("verify VOLUME [--json]", "Check every block, record, label and journal frame of a volume or a backup", cobra.ExactArgs(1),
		func(ctx context.Context, args []string) error {
			return p.verify(ctx, args[0], &v, workers, asJSON, p.meter(style))
		})
	c.Long = `Check a volume, or a backup: with keys everything is decrypted and authenticated, without keys
only checksums are checked, which say nothing of intent. What is damaged is
listed by block. Nothing is written, even after a crash: with keys the journal is
replayed in memory and that state is checked.

The exit code is 4 if anything is damaged or altered. Blocks whose loss was
accepted (--accept-loss) are counted and are no failure. That an older state of
the whole volume was put back shows only with --expect-anchor. Of an incremental
backup only what that one holds is checked.

A volume that is open in a process which answers on VOLUME.ctl, such as coffer
serve, is checked by that process, with its keys, while it works.`
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
		err = p.printJSON(report.Report)
	} else {
		err = p.printReport(path, report)
	}
	if err != nil {
		return err
	}
	return report.Err()
}

func (p *program) verifyReport(ctx context.Context, path string, v *volumeFlags, workers int, m *meter) (*verified, error) {
	o, err := v.options()
	if err != nil {
		return nil, err
	}
	from, err := p.keySources(&v.keys)
	if err != nil {
		return nil, err
	}
	if err := mustBeFile("file", path); err != nil {
		return nil, err
	}
	withKeys := from.count() > 0 || o.AllowPlain
	if !withKeys && o.ExpectAnchor != nil {
		return nil, fault.Hint(usagef("an anchor cannot be checked without keys"), "Give --keyfile FILE --admin NAME.")
	}
	defer m.finish()
	if !isBackup(path) {
		r, err := p.verifyOwned(ctx, path, v, workers, m)
		if r != nil || err != nil {
			return r, err
		}
	}
	vo := blockstore.VerifyOptions{
		Workers: workers, Progress: func(done, total uint64) { m.set("verify", int64(done), int64(total), "blocks") },
	}
	if isBackup(path) {
		return p.verifyBackup(ctx, path, v, &o, vo, withKeys)
	}
	if !withKeys {
		r, err := blockstore.VerifyFile(ctx, path, nil, &o, vo)
		return &verified{Report: r}, err
	}
	s, err := p.open(ctx, path, v, true) // refuses another suite than --cipher says
	if err != nil {
		return nil, err
	}
	info, err := s.Info()
	if err = errors.Join(err, s.Store.Close()); err != nil {
		s.keys.close()
		return nil, err
	}
	defer s.keys.close()
	o.ExpectUUID = info.UUID
	r, err := blockstore.VerifyFile(ctx, path, s.keys.ring, &o, vo)
	return &verified{Report: r, plain: suiteOf(info) == blockstore.None.String()}, explainOpen(err, from.count())
}

// verifyBackup verifies a backup.
func (p *program) verifyBackup(ctx context.Context, path string, v *volumeFlags, o *blockstore.Options, vo blockstore.VerifyOptions, withKeys bool) (*verified, error) {
	if o.ExpectAnchor != nil {
		return nil, fault.Hint(usagef("an anchor is checked when a backup is restored"), "Give it to coffer restore.")
	}
	if !withKeys {
		r, err := blockstore.VerifyBackup(ctx, path, nil, o, vo)
		return &verified{Report: r}, err
	}
	ks, err := p.activate(ctx, &v.keys)
	if err != nil {
		return nil, err
	}
	defer ks.close()
	r, err := blockstore.VerifyBackup(ctx, path, ks.ring, o, vo)
	return &verified{Report: r}, explainKeys(err, ks.sources)
}

// verified is a report, and whether what it is about is encrypted.
type verified struct {
	*blockstore.Report
	plain bool
	err   error // of the process that verified, if it was another one
}

// Err is the error of what was found.
func (r *verified) Err() error {
	if r.err != nil || r.Report.OK {
		return r.err
	}
	return r.Report.Err()
}

// verifyOwned has the process that has the volume open verify it; nil where none answers.
func (p *program) verifyOwned(ctx context.Context, path string, v *volumeFlags, workers int, m *meter) (*verified, error) {
	c, err := p.ownerFor(ctx, path, v)
	if c == nil || err != nil {
		return nil, err
	}
	defer c.Close()
	r, err := c.Verify(ctx, workers, m.show)
	if r == nil {
		return nil, err
	}
	return &verified{Report: r, plain: c.Owner.Suite == blockstore.None.String(), err: err}, nil
}

func (p *program) printReport(path string, r *verified) error {
	for _, b := range r.Problems {
		if err := p.print("%s", problemText(b)); err != nil {
			return err
		}
	}
	if r.Unsettled > 0 {
		p.note("%s unsettled: the volume was not closed cleanly, and the journal runs ahead of them; with keys all can be told", count(r.Unsettled, "block"))
	}
	if r.TailBytes > 0 {
		p.note("the journal's last %d bytes were never acknowledged and do not count, as after a power failure; only an anchor can tell more", r.TailBytes)
	}
	if r.Lost > 0 {
		p.warn("%s recorded as lost: what was in them is gone", count(r.Lost, "block"))
	}
	found := []string{fmt.Sprintf("%d of %s checked (%s)", r.Checked+r.Replayed, count(r.Blocks, "block"), r.how())}
	for _, f := range []struct {
		n    uint64
		what string
	}{{r.Replayed, "of them taken from the journal"}, {r.Holes, "never written or trimmed"}, {r.Lost, "recorded as lost"}} {
		if f.n > 0 {
			found = append(found, fmt.Sprintf("%d %s", f.n, f.what))
		}
	}
	return p.print("%s: %s: %s", path, strings.Join(found, ", "), r.verdict())
}

// how says what was checked with.
func (r *verified) how() string {
	switch {
	case !r.WithKeys:
		return "checksums only, without keys"
	case r.plain:
		return "not encrypted: whole, but no key vouches for it"
	}
	return "with keys"
}

func (r *verified) verdict() string {
	switch {
	case !r.OK:
		return count(r.Found, "problem")
	case r.Unsettled > 0:
		return "nothing damaged was found, but not all could be checked"
	case r.Lost > 0:
		return "all else correct"
	}
	return "all correct"
}

// problemText is one line: what it is about, and what is wrong.
func problemText(b blockstore.Problem) string {
	state := "damaged"
	if b.Unsettled {
		state = "unsettled"
	}
	var about string
	switch {
	case b.Kind == "label":
		about = "label " // "copy 1: …" follows
	case b.Kind == "journal", b.Kind == "registry", b.Kind == "backup":
		about = b.Kind + ": "
	case b.Kind == "block":
		about = fmt.Sprintf("block %d: ", b.Block)
	case b.Blocks > 0:
		about = fmt.Sprintf("blocks %s cannot be read: %s block: ", blockRange(b.Block, b.Block+b.Blocks-1), b.Kind)
	default:
		about = b.Kind + " block: "
	}
	detail := strings.TrimPrefix(humane(b.Detail), fmt.Sprintf("verify block %d: ", b.Block))
	for _, m := range []error{fault.Both(fault.Tampered, fault.Damaged), fault.Tampered, fault.Damaged} {
		detail = strings.TrimSuffix(detail, ": "+m.Error())
	}
	return state + ": " + about + detail
}
