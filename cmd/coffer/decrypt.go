package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/cofferdb/coffer/blockstore"
	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/plainfile"
)

// decryptFlags are those of decrypt.
type decryptFlags struct {
	volume   volumeFlags
	toVolume bool
	work     workFlags
}

func (p *program) decryptCmd() *cobra.Command {
	var o decryptFlags
	c := p.verb("decrypt FILE [--to-volume]", "Make a volume the plain file it holds, or a volume under suite none", cobra.ExactArgs(1),
		func(ctx context.Context, args []string) error { return stoppedHint(p.decrypt(ctx, args[0], &o)) })
	c.Long = `Make a volume the plain file that it holds, under the same path, identical to
the byte. The plain file is built beside the volume, as FILE.coffer-new, and
compared with it as a whole; only then does it take the volume's place. An
interrupted run leaves the plain text so far, readable by its owner only, and
goes on when the command is run again. This needs the file's size free.

A block that cannot be read ends the work, since a plain file cannot say that
something is lost: what was built is removed, the volume stays. The rest can be
had with coffer cat --offset, or with --to-volume --accept-loss.

With --to-volume the volume stays one, in place, under suite none.`
	o.volume.register(c)
	o.work.register(c)
	c.Flags().BoolVar(&o.toVolume, "to-volume", false, "keep it a volume, under suite none")
	return c
}

func (p *program) decrypt(ctx context.Context, path string, o *decryptFlags) error {
	info, err := inspect(path)
	if err != nil {
		return err
	}
	if o.toVolume {
		return p.decryptVolume(ctx, path, o, info)
	}
	if o.work.acceptLoss {
		return usagef("a plain file cannot say that a block is lost: --accept-loss goes with --to-volume")
	}
	if err := o.volume.accepts(path, info); err != nil {
		return err
	}
	return p.decryptFile(ctx, path, o)
}

// weakening: an interrupted decrypt --to-volume. Its label is under the MAC of
// the key it comes from until the end.
func weakening(info *blockstore.Info) bool {
	return info.Conversion != nil && info.Conversion.Operation == "decrypt"
}

// decryptFile makes the plain file.
func (p *program) decryptFile(ctx context.Context, path string, o *decryptFlags) error {
	opts, err := o.volume.options()
	if err != nil {
		return err
	}
	ks, err := p.activate(ctx, &o.volume.keys)
	if err != nil {
		return err
	}
	defer ks.close()
	m := p.meter(o.work.style)
	res, err := plainfile.Decrypt(ctx, path, ks.ring, &plainfile.DecryptOptions{
		Options: p.plainOptions(m, &o.work), AllowPlain: opts.AllowPlain, ExpectAnchor: opts.ExpectAnchor,
		Accept: func(info *blockstore.Info) error { return o.volume.accepts(path, info) },
	})
	m.finish()
	var block *blockstore.BlockError
	switch {
	case errors.As(err, &block):
		return fault.Hint(err, "The volume is as it was, and no plain text is left. The other blocks can be had with coffer cat --offset, "+
			"or with decrypt --to-volume --accept-loss.")
	case err != nil:
		return explainOpen(err, ks.sources)
	case o.work.json:
		return p.printJSON(fileResult("decrypted", res))
	}
	return p.print("%s: decrypted, %s", path, count(res.Bytes, "byte"))
}

// decryptVolume converts in place to suite none, or goes on with that. An
// interrupted conversion of another kind is finished first.
func (p *program) decryptVolume(ctx context.Context, path string, o *decryptFlags, info *blockstore.Info) error {
	if suiteOf(info) == blockstore.None.String() {
		return statef("%s is under suite none already", path)
	}
	o.volume.makesPlain = true
	return p.withVolume(ctx, path, &o.volume, false, func(s *volume) error {
		info, err := s.Info() // what it says now is authentic
		if err != nil {
			return err
		}
		under := info.Conversion
		m := p.meter(o.work.style)
		switch {
		case weakening(info):
			p.note("going on with the interrupted decryption of %s", path)
		case under != nil:
			p.note("finishing the interrupted %s of %s first", under.Operation, path)
			if _, err := p.convert(ctx, s, under.Operation, m, s.resume(under, &o.work)); err != nil {
				return explainKeys(err, s.keys.sources)
			}
		}
		res, err := p.convert(ctx, s, "decrypt", m, s.start(blockstore.Conversion{Suite: blockstore.None}, &o.work))
		if err != nil {
			return explainKeys(err, s.keys.sources)
		}
		p.warn("%s is not encrypted any more; --cipher none opens it", path)
		return p.printConversion(path, "decrypted", s, res, weakening(info), o.work.json)
	})
}
