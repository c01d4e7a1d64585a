package main

import (
	"context"

	"github.com/spf13/cobra"
)

func (p *program) anchorCmd() *cobra.Command {
	var v volumeFlags
	c := p.verb("anchor VOLUME", "Print the token that names this state of a volume", cobra.ExactArgs(1),
		func(ctx context.Context, args []string) error {
			c, err := p.ownerFor(ctx, args[0], &v)
			if err != nil {
				return err
			}
			if c != nil {
				defer c.Close()
				a, err := c.Anchor(ctx)
				if err != nil {
					return err
				}
				return p.print("%s", a)
			}
			return p.withVolume(ctx, args[0], &v, true, func(s *volume) error { return p.print("%s", s.Anchor()) })
		})
	c.Long = `Print the token that names the present state of a volume. Kept somewhere else,
it shows later whether somebody put an older state of the volume back: every
verb that opens a volume takes --expect-anchor TOKEN and refuses any history
that this state is not part of.`
	v.register(c)
	return c
}
