package main

import (
	"context"
	"os"

	"github.com/spf13/cobra"

	"github.com/cofferdb/coffer/blockstore"
	"github.com/cofferdb/coffer/internal/fault"
)

func (p *program) exportCmd() *cobra.Command {
	var v volumeFlags
	var asJSON bool
	var style progressStyle
	c := p.verb("export VOLUME PLAINVOLUME [--json]", "Copy a volume out into a new one that is not encrypted", cobra.ExactArgs(2),
		func(ctx context.Context, args []string) error {
			return stoppedHint(p.export(ctx, args[0], args[1], &v, asJSON, p.meter(style)))
		})
	c.Long = `Copy every block of a volume into a new volume under suite none: same size, same
places, holes stay holes, a UUID of its own. It is for emergencies: while a key
can still be used, but what it came from is lost. Nothing of VOLUME changes, even
after a crash, and the copy is of one state.

The new volume is built as PLAINVOLUME.coffer-new, readable by its owner only,
then read back as a whole, compared, and given its name. An interrupted run
leaves the plain text so far and goes on when the command is run again; to give
it up, remove PLAINVOLUME.coffer-new, its .journal folder and
PLAINVOLUME.coffer-job. PLAINVOLUME must not exist (exit code 5).

A block that cannot be read ends the work (exit code 4) and what was built is
removed: coffer salvage takes the rest.

PLAINVOLUME is NOT ENCRYPTED. --cipher none opens it; coffer encrypt puts it
under a key again.`
	v.register(c)
	style.register(c)
	jsonFlag(c, &asJSON)
	return c
}

func (p *program) export(ctx context.Context, path, dest string, v *volumeFlags, asJSON bool, m *meter) error {
	if err := mustBeNew(dest); err != nil {
		return err
	}
	return p.withVolume(ctx, path, v, true, func(s *volume) error {
		p.warn("%s will not be encrypted: whoever can read the file reads everything", dest)
		r, err := s.Export(ctx, dest, blockstore.ExportOptions{
			Progress: func(stage string, done, total uint64) { m.set(stage, int64(done), int64(total), "blocks") },
		})
		m.finish()
		if err != nil {
			return aboutExport(ctx, err)
		}
		if r.Resumed {
			p.note("went on with what an interrupted run had left: all of it was compared")
		}
		if asJSON {
			return p.printJSON(r)
		}
		return p.print("%s: exported to %s, %s, read back and compared; --cipher none opens it", path, dest, count(r.Size, "byte"))
	})
}

// mustBeNew refuses a file that exists before anybody types a password. Where a
// run was cut just before its end, the engine refuses it, and tidies up.
func mustBeNew(dest string) error {
	if _, err := os.Lstat(dest + ".coffer-job"); err == nil {
		return nil
	}
	return mustNotExist(dest)
}

// aboutExport says what lies on the disk after a failure that can be gone on from.
func aboutExport(ctx context.Context, err error) error {
	if fault.HintOf(err) != "" || ctx.Err() != nil {
		return err
	}
	return fault.Hint(err, "What was built so far is kept, in plain text: run the same command again to go on.")
}
