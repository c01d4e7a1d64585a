package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/cofferdb/coffer/blockstore"
	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/plainfile"
)

// workFlags are those of verbs that take long.
type workFlags struct {
	workers    int
	style      progressStyle
	json       bool
	acceptLoss bool
}

func (w *workFlags) register(c *cobra.Command) {
	w.style.register(c)
	workersFlag(c, &w.workers)
	jsonFlag(c, &w.json)
	c.Flags().BoolVar(&w.acceptLoss, "accept-loss", false,
		"give up blocks of a volume that cannot be read: they are recorded as lost")
}

// encryptFlags are those of encrypt.
type encryptFlags struct {
	made   newVolumeFlags
	anchor string
	work   workFlags
}

func (p *program) encryptCmd() *cobra.Command {
	var o encryptFlags
	c := p.verb("encrypt FILE", "Make a plain file, or a volume under suite none, an encrypted volume", cobra.ExactArgs(1),
		func(ctx context.Context, args []string) error { return stoppedHint(p.encrypt(ctx, args[0], &o)) })
	c.Long = `Make a plain file an encrypted volume, under the same path.

The volume is built beside the file, as FILE.coffer-new, and compared with it as
a whole; only then does it take the file's place. The file is whole until that
instant, and an interrupted run goes on when the command is run again. This
needs the file's size free. A SQLite database is locked meanwhile.

The old plaintext stays in blocks of the disk that the file system has marked
free, until it uses them again.

A volume under suite none is encrypted in place.`
	o.made.register(c)
	o.work.register(c)
	c.Flags().StringVar(&o.anchor, "expect-anchor", "", "of a volume: refuse any history but the one this `TOKEN` names")
	return c
}

func (p *program) encrypt(ctx context.Context, path string, o *encryptFlags) error {
	suite, key, err := o.made.parse()
	if err != nil {
		return err
	}
	if suite == blockstore.None {
		return usagef("suite none does not encrypt")
	}
	info, err := inspect(path)
	switch {
	case errors.Is(err, fault.NotFormat):
		return p.encryptFile(ctx, path, o, suite, key)
	case err != nil:
		return err
	}
	return p.encryptVolume(ctx, path, o, info, suite, key)
}

// encryptFile encrypts a file that is no volume.
func (p *program) encryptFile(ctx context.Context, path string, o *encryptFlags, suite blockstore.Suite, key dek.ID) error {
	if o.anchor != "" || o.work.acceptLoss {
		return usagef("--expect-anchor and --accept-loss are for volumes, and %s is a plain file", path)
	}
	ks, err := p.activate(ctx, &o.made.keys)
	if err != nil {
		return err
	}
	defer ks.close()
	if err := needKey(ks, suite); err != nil {
		return err
	}
	m := p.meter(o.work.style)
	res, err := plainfile.Encrypt(ctx, path, ks.ring, &plainfile.EncryptOptions{
		Options: p.plainOptions(m, &o.work), Suite: suite, Key: key, BlockSize: int(o.made.blockSize),
	})
	m.finish()
	if err != nil {
		return explainKeys(err, len(ks.files))
	}
	p.warn("the old plaintext stays in freed blocks of the disk until they are used again; " +
		"on a flash disk, and in backups and snapshots, it may stay for good")
	if o.work.json {
		return p.printJSON(res)
	}
	return p.print("%s: encrypted with %s under key %s, %d bytes", path, res.Suite, res.Key, res.Bytes)
}

// plainOptions connects the work on a plain file with this program's output.
func (p *program) plainOptions(m *meter, w *workFlags) plainfile.Options {
	return plainfile.Options{
		Workers:  w.workers,
		Logger:   p.logger(),
		Note:     func(message string) { m.finish(); p.note("%s", message) },
		Progress: func(pass plainfile.Pass, done, total int64) { m.set(pass.String(), done, total, "bytes") },
	}
}

// encryptVolume encrypts a volume in place, or goes on with that.
func (p *program) encryptVolume(ctx context.Context, path string, o *encryptFlags, info *blockstore.Info,
	suite blockstore.Suite, key dek.ID) error {
	if b := int(o.made.blockSize); b != 0 && b != info.BlockSize {
		return usagef("%s is a volume with a block size of %d, which stays", path, info.BlockSize)
	}
	under := info.Conversion
	switch {
	case under == nil && info.Encrypted:
		return fmt.Errorf("%w: %s is under suite %s", plainfile.ErrVolume, path, info.Suite)
	case under != nil && under.Operation != "encrypt":
		return otherConversion(path, under)
	case under != nil:
		if err := sameTarget(under, suite, key); err != nil {
			return err
		}
		p.note("going on with the interrupted encryption of %s", path)
	}
	v := volumeFlags{keys: o.made.keys, cipher: "none", anchor: o.anchor}
	return p.withVolume(ctx, path, &v, false, func(s *volume) error {
		res, err := p.convert(ctx, "encrypt", p.meter(o.work.style), func(ctx context.Context) (*blockstore.Converter, error) {
			if under != nil {
				return s.ResumeConversion(ctx)
			}
			return p.startEncryption(ctx, s, o, suite, key)
		})
		if err != nil {
			return explainKeys(err, len(s.keys.files))
		}
		p.warn("the old plaintext may stay in older blocks of a flash disk, in backups and in snapshots")
		return p.printConversion(path, "encrypted", res, o.work.json)
	})
}

// startEncryption begins the conversion of a volume under suite none.
func (p *program) startEncryption(ctx context.Context, s *volume, o *encryptFlags, suite blockstore.Suite, key dek.ID) (*blockstore.Converter, error) {
	if err := needKey(s.keys, suite); err != nil {
		return nil, err
	}
	if key.IsZero() {
		key, _ = s.keys.ring.Default() // needKey saw it
	}
	if suite == 0 {
		suite = blockstore.AESGCM
	}
	return s.Convert(ctx, blockstore.Conversion{Suite: suite, Key: key, Workers: o.work.workers, AcceptLoss: o.work.acceptLoss})
}

// otherConversion refuses to begin one conversion over another one.
func otherConversion(path string, c *blockstore.ConversionInfo) error {
	verb := map[string]string{"encrypt": "encrypt", "decrypt": "decrypt --to-volume", "rekey": "rekey --new-key"}[c.Operation]
	return fault.Hint(statef("%s has an unfinished conversion: %s", path, conversionText(c)),
		"Finish it first: coffer "+verb+".")
}

// sameTarget refuses a target that is not the recorded one. Zero values ask for nothing.
func sameTarget(c *blockstore.ConversionInfo, suite blockstore.Suite, key dek.ID) error {
	if (key.IsZero() || key == c.To) && (suite == 0 || suite.String() == c.ToSuite) {
		return nil
	}
	return fault.Hint(statef("another target than the recorded one: %s", conversionText(c)),
		"A conversion that began goes on to its recorded target.")
}

// conversionResult is what --json prints of a conversion in place.
type conversionResult struct {
	Path      string  `json:"path"`
	Done      string  `json:"done"` // encrypted, decrypted, rekeyed
	Suite     string  `json:"suite,omitempty"`
	Key       *dek.ID `json:"key,omitempty"`
	Converted uint64  `json:"converted"` // blocks, by this run
	Lost      uint64  `json:"lost"`      // blocks that were given up
}

func (p *program) printConversion(path, done string, res blockstore.Result, asJSON bool) error {
	if asJSON {
		return p.printJSON(conversionResult{Path: path, Done: done, Converted: res.Converted, Lost: res.Lost})
	}
	return p.print("%s: %s, %d blocks converted", path, done, res.Converted)
}
