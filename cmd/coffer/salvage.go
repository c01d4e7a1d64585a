package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cofferdb/coffer/blockstore"
	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/fsx"
)

// salvageFlags are those of salvage.
type salvageFlags struct {
	volume volumeFlags
	stale  bool
	lacks  []string // IDs of keys that are gone
	json   bool
	style  progressStyle
}

func (p *program) salvageCmd() *cobra.Command {
	var o salvageFlags
	c := p.verb("salvage VOLUME NEW [--accept-stale] [--json]", "Take what can be authenticated of a damaged volume into a new one", cobra.ExactArgs(2),
		func(ctx context.Context, args []string) error {
			return stoppedHint(p.salvage(ctx, args[0], args[1], &o))
		})
	c.Long = `Take what can be authenticated of a damaged volume into a new one of the same
size, block size and places, under the same key and suite, with a UUID of its
own. It works where other verbs refuse: one copy of the label is enough, tag and
tree blocks, data blocks and the journal may be damaged, altered or unreadable,
the file cut short. Nothing of VOLUME changes. NEW must not exist (exit code 5).

A block that is lost reads as zeros in NEW, and is listed. So is a block that
authenticates but that nothing proves to be the newest, because the tag block
that should say so is damaged, or says something else: it is "unproven", and
taken only with --accept-stale. It may be older, or a block that was trimmed.
Of the journal everything up to the first damage is taken; commits behind that
are missing, and the verb says so. --json lists what is lost, and what is
unproven, as ranges: the first block, how many, and why.

The exit code is 0 only if NEW has everything, and all of it proven; else it is 4,
and NEW is there all the same. --without-key
names a key that is gone for good, of a volume that is under two since a re-key
did not end: what is under it is lost, and listed. If both copies of the label are damaged, or gone,
nothing can be authenticated, and nothing is made (exit code 4): put a copy back
with coffer label restore. A file without labels, whose length no volume has, is
refused with 2. An interrupted run is begun again by the same command; to give it up,
remove NEW.coffer-new, its .journal folder, NEW.coffer-job and NEW.coffer-lost.
NEW.coffer-lost holds what --json prints, from before NEW is there until it was
printed: after a kill in between, NEW is whole and the list is in that file.`
	o.volume.register(c)
	o.style.register(c)
	c.Flags().BoolVar(&o.stale, "accept-stale", false, "take blocks, too, that authenticate but are perhaps not the newest")
	c.Flags().BoolVar(&o.volume.discard, "discard-journal", false, "leave the journal out: for one whose key is gone for good")
	c.Flags().StringArrayVar(&o.lacks, "without-key", nil, "count what is under the key `ID` as lost: for one that is gone for good; may be repeated")
	jsonFlag(c, &o.json)
	return c
}

func (p *program) salvage(ctx context.Context, path, dest string, o *salvageFlags) error {
	opts, err := o.volume.options()
	if err != nil {
		return err
	}
	without, err := parseIDs(o.lacks)
	if err != nil {
		return err
	}
	lost := dest + ".coffer-lost"
	if err := mustBeNew(dest); err != nil {
		return aboutLost(err, lost)
	}
	if err := p.salvageable(path, o); err != nil {
		return err
	}
	ks, err := p.activate(ctx, &o.volume.keys)
	if err != nil {
		return err
	}
	defer ks.close()
	opts.Logger = p.logger()
	m := p.meter(o.style)
	r, err := blockstore.Salvage(ctx, path, ks.ring, dest, blockstore.SalvageOptions{
		Options: opts, AcceptStale: o.stale, WithoutKeys: without, ReportFile: lost,
		Progress: func(stage string, done, total uint64) { m.set(stage, int64(done), int64(total), "blocks") },
	})
	m.finish()
	switch {
	case errors.Is(err, fs.ErrExist):
		return aboutLost(err, lost)
	case err != nil && saysWhatHelps(err):
		return err
	case err != nil:
		return explainKeys(err, ks.sources)
	case o.json:
		err = p.printJSON(r)
	default:
		err = p.printSalvage(path, dest, r)
	}
	if err == nil { // it was printed
		err = fsx.OS().Remove(lost)
	}
	if err != nil {
		return err
	}
	return r.Err()
}

// saysWhatHelps reports whether an error about a key says more than where keys come from.
func saysWhatHelps(err error) bool {
	hint := fault.HintOf(err)
	return strings.Contains(hint, "--discard-journal") || strings.Contains(hint, "--without-key") || strings.Contains(hint, "cannot be left out")
}

// aboutLost says where the list is that an interrupted run did not come to print.
func aboutLost(err error, lost string) error {
	if _, statErr := os.Lstat(lost); statErr != nil {
		return err
	}
	return fault.Hint(err, fmt.Sprintf("A salvage that was killed made it: what is lost is in %s, which --json would have printed. "+
		"Move that away, or remove it; nothing is overwritten.", lost))
}

// salvageable refuses, before anybody types a password, what is no file, and a
// suite that --cipher does not name. A label that cannot be read is no reason.
func (p *program) salvageable(path string, o *salvageFlags) error {
	info, err := inspect(path)
	switch {
	case err == nil:
		return o.volume.accepts(path, info)
	case errors.Is(err, fault.Usage), errors.Is(err, fault.Version):
		return err
	}
	return mustBeFile("file", path)
}

func (p *program) printSalvage(path, dest string, r *blockstore.SalvageReport) error {
	for _, l := range r.Label {
		p.note("the label of %s, %s", path, humane(l))
	}
	if err := p.printRanges("lost", r.Lost); err != nil {
		return err
	}
	if err := p.printRanges("unproven", r.Unproven); err != nil {
		return err
	}
	if r.Truncated {
		p.warn("there are more of these than are listed")
	}
	if r.Journal.LeftOut != "" {
		p.warn("%s holds the commits up to sequence %d; what the journal held behind that is left out: %s", dest, r.Journal.Through, oneLine(r.Journal.LeftOut))
	}
	if n := r.Journal.TailBytes; n > 0 {
		p.note("the journal's last %d bytes were never acknowledged and do not count, as after a power failure; only an anchor can tell more", n)
	}
	switch {
	case r.UnprovenBlocks > 0 && r.AcceptStale:
		p.warn("%s unproven: authentic, but perhaps not the newest", count(r.UnprovenBlocks, "block"))
	case r.UnprovenBlocks > 0:
		p.note("%s unproven and read as zeros: --accept-stale, with another new name, takes them", count(r.UnprovenBlocks, "block"))
	}
	text := fmt.Sprintf("%s: %d of %s taken into %s, %d never written or trimmed, %d lost", path, r.Taken, count(r.Blocks, "block"), dest, r.Holes, r.LostBlocks)
	switch {
	case r.UnprovenBlocks > 0 && r.AcceptStale:
		text += fmt.Sprintf("; of those taken %d are unproven", r.UnprovenBlocks)
	case r.UnprovenBlocks > 0:
		text += fmt.Sprintf(", %d unproven and not taken", r.UnprovenBlocks)
	}
	return p.print("%s", text)
}

func (p *program) printRanges(state string, list []blockstore.SalvageRange) error {
	for _, g := range list {
		if err := p.print("%s: %s: %s", state, blocksText(g.First, g.Blocks), g.Why); err != nil {
			return err
		}
	}
	return nil
}

// blocksText names blocks: block 3, blocks 3-9.
func blocksText(first, n uint64) string {
	if n == 1 {
		return fmt.Sprintf("block %d", first)
	}
	return "blocks " + blockRange(first, first+n-1)
}
