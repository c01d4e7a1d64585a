package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/cofferdb/coffer/blockstore"
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
interrupted run goes on when the command is run again. This needs the file's
size free.

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
	if weakening(info) {
		o.volume.cipher = "none" // the user began that; its label is under the old key's MAC until the end
	}
	return p.decryptFile(ctx, path, o)
}

// weakening: an interrupted decrypt --to-volume.
func weakening(info *blockstore.Info) bool {
	return info.Conversion != nil && info.Conversion.Operation == "decrypt"
}

// decryptFile makes the plain file.
func (p *program) decryptFile(ctx context.Context, path string, o *decryptFlags) error {
	opts, err := o.volume.options()
	if err != nil {
		return err
	}
	if err := checkSuite(path, &o.volume); err != nil {
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
	})
	m.finish()
	if err != nil {
		return explainKeys(err, len(ks.files))
	}
	if o.work.json {
		return p.printJSON(res)
	}
	return p.print("%s: decrypted, %d bytes", path, res.Bytes)
}

// decryptVolume converts in place to suite none, or goes on with that. An
// interrupted conversion of another kind is finished first.
func (p *program) decryptVolume(ctx context.Context, path string, o *decryptFlags, info *blockstore.Info) error {
	switch {
	case weakening(info):
		p.note("going on with the interrupted decryption of %s", path)
	case info.Conversion == nil && !info.Encrypted:
		return statef("%s is under suite none already", path)
	}
	o.volume.cipher = "none"
	return p.withVolume(ctx, path, &o.volume, false, func(s *volume) error {
		m := p.meter(o.work.style)
		if info.Conversion != nil && !weakening(info) {
			p.note("finishing the interrupted %s of %s first", info.Conversion.Operation, path)
			if _, err := p.convert(ctx, info.Conversion.Operation, m, s.ResumeConversion); err != nil {
				return explainKeys(err, len(s.keys.files))
			}
		}
		res, err := p.convert(ctx, "decrypt", m, func(ctx context.Context) (*blockstore.Converter, error) {
			return s.Convert(ctx, blockstore.Conversion{
				Suite: blockstore.None, Workers: o.work.workers, AcceptLoss: o.work.acceptLoss,
			})
		})
		if err != nil {
			return explainKeys(err, len(s.keys.files))
		}
		p.warn("%s is not encrypted any more; --cipher none opens it", path)
		return p.printConversion(path, "decrypted", res, o.work.json)
	})
}
