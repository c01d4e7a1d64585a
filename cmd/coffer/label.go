package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/cofferdb/coffer/blockstore"
)

func (p *program) labelCmd() *cobra.Command {
	backup := p.verb("backup VOLUME COPY", "Copy the label of a volume into a file", cobra.ExactArgs(2),
		func(_ context.Context, args []string) error {
			if err := mustNotExist(args[1]); err != nil {
				return err
			}
			if err := blockstore.BackupLabel(args[0], args[1], nil); err != nil {
				return err
			}
			p.note("%s fits %s as it is now: after the next change a new copy is needed, since a label names the state it is of", args[1], args[0])
			return nil
		})
	restore := p.verb("restore VOLUME COPY", "Put a label back that backup made", cobra.ExactArgs(2),
		func(_ context.Context, args []string) error {
			if err := blockstore.RestoreLabel(args[0], args[1], nil); err != nil {
				return err
			}
			p.note("run coffer verify %s", args[0])
			return nil
		})
	return p.group("label", "Back up and restore the label of a volume", backup, restore)
}
