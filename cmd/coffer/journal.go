package main

import (
	"context"
	"strconv"

	"github.com/spf13/cobra"
)

func (p *program) journalCmd() *cobra.Command {
	return p.group("journal", "Show, switch and keep the journal of a volume",
		p.journalListCmd(), p.journalSwitchCmd(), p.journalSetKeyCmd(), p.journalRetainCmd())
}

func (p *program) journalListCmd() *cobra.Command {
	var asJSON bool
	c := p.verb("list VOLUME [--json]", "List the journal's segments with their keys; needs no key", cobra.ExactArgs(1),
		func(_ context.Context, args []string) error {
			info, err := inspect(args[0])
			if err != nil {
				return err
			}
			if asJSON {
				return p.printJSON(info.Segments)
			}
			if len(info.Segments) == 0 {
				p.note("%s has no journal segments", args[0])
				return nil
			}
			return p.printSegments(info.Segments)
		})
	jsonFlag(c, &asJSON)
	return c
}

func (p *program) journalSwitchCmd() *cobra.Command {
	var v volumeFlags
	c := p.verb("switch VOLUME", "Close the journal's segment and begin the next", cobra.ExactArgs(1),
		func(ctx context.Context, args []string) error {
			return p.withVolume(ctx, args[0], &v, false, func(s *volume) error { return s.SwitchJournal(ctx) })
		})
	c.Long = `Close the journal's segment and begin the next, under the journal key of that
moment. What recovery no longer needs of the old segments goes.`
	v.register(c)
	return c
}

func (p *program) journalSetKeyCmd() *cobra.Command {
	var v volumeFlags
	c := p.verb("set-key VOLUME ID", "Put the journal under another key, and switch", cobra.ExactArgs(2),
		func(ctx context.Context, args []string) error {
			id, err := parseID(args[1])
			if err != nil {
				return err
			}
			return p.withVolume(ctx, args[0], &v, false, func(s *volume) error {
				return explainKeys(s.SetJournalKey(ctx, id), s.keys.sources)
			})
		})
	c.Long = `Put the journal under another key, which must be in the key files given, and
switch to it. The blocks stay under theirs: coffer rekey changes both. From then
on both keys are needed to open the volume.`
	v.register(c)
	return c
}

func (p *program) journalRetainCmd() *cobra.Command {
	var v volumeFlags
	c := p.verb("retain VOLUME NUMBER|all", "Keep journal segments that recovery no longer needs", cobra.ExactArgs(2),
		func(ctx context.Context, args []string) error {
			n, err := strconv.ParseInt(args[1], 10, 32)
			if args[1] == "all" {
				n, err = -1, nil
			} else if err != nil || n < 0 {
				return usagef("%q is neither a number of segments nor all", args[1])
			}
			return p.withVolume(ctx, args[0], &v, false, func(s *volume) error { return s.SetRetention(int(n)) })
		})
	c.Long = `Keep the newest journal segments that recovery no longer needs, as many as is
said or all, in VOLUME.journal, also when the volume is closed: coffer restore
--journal goes on with them behind a backup. 0 keeps none. Nothing else removes
them: all grows without end until another number is set. They are under the
journal keys of their time, which must be kept as long.`
	v.register(c)
	return c
}
