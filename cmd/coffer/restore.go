package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/cofferdb/coffer/blockstore"
	"github.com/cofferdb/coffer/internal/fault"
)

// restoreFlags are those of restore.
type restoreFlags struct {
	keys      keyFlags
	anchor    string
	cipher    string
	base      string
	journal   string
	untilTime string
	commit    uint64
	asJSON    bool
	style     progressStyle
}

func (p *program) restoreCmd() *cobra.Command {
	var o restoreFlags
	c := p.verb("restore DEST VOLUME", "Make a volume from a backup", cobra.ExactArgs(2),
		func(ctx context.Context, args []string) error { return p.restore(ctx, args[0], args[1], &o) })
	c.Long = `Make a volume from the backup DEST, and of an incremental one from those it adds
to, which are looked for where they were made, beside DEST, and in --base DIR.
VOLUME must not exist. Nothing is at VOLUME until everything was authenticated and
verified. The keys that coffer info DEST lists are needed.

--journal names a folder of journal segments, such as the old VOLUME.journal
(kept there by coffer journal retain): the volume goes on from the backup through
its commits, to the last one, to that of --until-commit, or to the last one before
a commit later than --until-time. coffer journal list shows their sequence numbers
and when each was begun. A gap in them is refused.

A restored volume has a history of its own from there on. --expect-anchor TOKEN
refuses a state that does not contain what the token names. Tokens saved after
the backup do not fit the restored volume: save a new one.`
	o.keys.register(c, true)
	f := c.Flags()
	f.StringVar(&o.anchor, "expect-anchor", "", "refuse a state that does not contain what this `TOKEN` (see coffer anchor) names")
	f.StringVar(&o.cipher, "cipher", "", "none accepts the backup of a volume that is not encrypted")
	f.StringVar(&o.base, "base", "", "`DIR` to look in for the backups that DEST adds to")
	f.StringVar(&o.journal, "journal", "", "`DIR` of journal segments to go on with behind the backup")
	f.StringVar(&o.untilTime, "until-time", "", "end before the first commit later than this `TIME`, as 2026-01-31T12:00:00Z")
	f.Uint64Var(&o.commit, "until-commit", 0, "end with the last commit of this sequence `NUMBER` or a lower one")
	o.style.register(c)
	jsonFlag(c, &o.asJSON)
	c.MarkFlagsMutuallyExclusive("until-time", "until-commit")
	return c
}

// options turns the flags into what Restore wants.
func (o *restoreFlags) options() (*blockstore.RestoreOptions, error) {
	r := &blockstore.RestoreOptions{BaseDir: o.base, JournalDir: o.journal, UntilCommit: o.commit}
	if o.untilTime != "" {
		t, err := time.Parse(time.RFC3339, o.untilTime)
		if err != nil {
			return nil, usagef("--until-time: %q is not a time as 2026-01-31T12:00:00Z", o.untilTime)
		}
		r.UntilTime = t
	}
	s, err := parseSuite(o.cipher)
	if err != nil {
		return nil, err
	}
	if r.AllowPlain = s == blockstore.None; s != 0 && !r.AllowPlain {
		return nil, usagef("--cipher: only none can be named here")
	}
	if o.anchor != "" {
		a, err := blockstore.ParseAnchor(o.anchor)
		if err != nil {
			return nil, usagef("--expect-anchor: %w", err)
		}
		r.ExpectAnchor = &a
	}
	return r, nil
}

func (p *program) restore(ctx context.Context, source, path string, o *restoreFlags) error {
	r, err := o.options()
	if err != nil {
		return err
	}
	if err := mustNotExist(path); err != nil {
		return err
	}
	if _, err := inspectBackup(source); err != nil {
		return err
	}
	m := p.meter(o.style)
	defer m.finish()
	r.Logger = p.logger()
	r.Progress = func(done, total int64) { m.set("restore", done, total, "bytes") }
	ks, err := p.activate(ctx, &o.keys)
	if err != nil {
		return err
	}
	defer ks.close()
	info, err := blockstore.Restore(ctx, source, path, ks.ring, r)
	if errors.Is(err, fault.NotActivated) {
		err = explainKeys(err, ks.sources)
	}
	if err != nil {
		return err
	}
	m.finish()
	if o.asJSON {
		return p.printJSON(info)
	}
	p.note("%s has a history of its own from here on: anchors saved after the backup do not fit it, save a new one with coffer anchor", path)
	last := "no commit had to be replayed"
	if !info.Last.IsZero() {
		last = "the last commit replayed is of " + info.Last.Format(time.RFC3339Nano)
	}
	return p.print("%s: restored from %s to sequence %d, %s, %s behind the backup; %s", path, count(len(info.Backups), "backup"), info.Sequence,
		humanBytes(info.Size), count(info.Rolled, "commit"), last)
}
