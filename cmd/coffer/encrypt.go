package main

import (
	"context"
	"errors"

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
	rate       byteRate // of rekey
	share      percent  // likewise
	back       bool     // likewise
	purge      bool     // likewise
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
instant, and an interrupted run goes on when the command is run again; FILE.coffer-job
says meanwhile that FILE.coffer-new is Coffer's. This needs the file's size free,
and a part more: some 2 % of it, and up to 40 MiB for the journal. A SQLite
database is locked meanwhile.

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
	if err := p.mayHide(path, &o.made.keys); err != nil {
		return err
	}
	ks, err := p.activate(ctx, &o.made.keys)
	if err != nil {
		return err
	}
	defer ks.close()
	if err := needKey(ks, suite, key); err != nil {
		return err
	}
	m := p.meter(o.work.style)
	res, err := plainfile.Encrypt(ctx, path, ks.ring, &plainfile.EncryptOptions{
		Options: p.plainOptions(m, &o.work), Suite: suite, Key: key, BlockSize: int(o.made.blockSize),
	})
	m.finish()
	if err != nil {
		return explainKeys(err, ks.sources)
	}
	p.warn("the old plaintext stays in freed blocks of the disk until they are used again; " +
		"on a flash disk, and in backups and snapshots, it may stay for good")
	if o.work.json {
		return p.printJSON(fileResult("encrypted", res))
	}
	return p.print("%s: encrypted with %s under key %s, %s", path, res.Suite, res.Key, count(res.Bytes, "byte"))
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
	if done, err := p.wasEncrypted(path, o, info, suite, key); done || err != nil {
		return err
	}
	if err := mayEncrypt(path, info, suite, key); err != nil { // before anybody types a password
		if text := unfinishedDecrypt(path); text != "" && errors.Is(err, plainfile.ErrVolume) {
			err = fault.Hint(err, text)
		}
		return err
	}
	v := volumeFlags{keys: o.made.keys, anchor: o.anchor}
	if info.Conversion == nil {
		v.cipher = blockstore.None.String() // that is what the user wants to be encrypted
	}
	return p.withVolume(ctx, path, &v, false, func(s *volume) error {
		info, err := s.Info() // what it says now is what was opened
		if err == nil {
			err = mayEncrypt(path, info, suite, key)
		}
		if err != nil {
			return err
		}
		resumes := info.Conversion != nil
		var start starter
		if resumes {
			p.note("going on with the interrupted encryption of %s", path)
			start = s.resume(info.Conversion, &o.work)
		} else if start, err = s.encryption(suite, key, &o.work); err != nil {
			return err
		}
		res, err := p.convert(ctx, s, "encrypt", p.meter(o.work.style), start)
		if err != nil {
			return explainKeys(err, s.keys.sources)
		}
		p.warn("the old plaintext may stay in older blocks of a flash disk, in backups and in snapshots")
		return p.printConversion(path, "encrypted", s, res, resumes, o.work.json)
	})
}

// wasEncrypted recognises a run that was killed when nothing but its job's file
// was left to remove, and ends it. It is not done if something else is asked for now.
func (p *program) wasEncrypted(path string, o *encryptFlags, info *blockstore.Info, suite blockstore.Suite, key dek.ID) (bool, error) {
	if o.anchor != "" || (suite != 0 && suite.String() != info.Suite) || (!key.IsZero() && key != info.WriteKey) {
		return false, nil
	}
	_, done, err := plainfile.Settle(path, "encrypt", nil)
	if !done {
		return false, ignoreInTheWay(err)
	}
	p.note("an earlier run encrypted %s and was stopped just before its end: %s is removed, the work was already done", path, path+".coffer-job")
	if o.work.json {
		return true, p.printJSON(workResult{Path: path, Done: "encrypted", Volume: info.UUID, Suite: info.Suite, Key: &info.WriteKey,
			BlockSize: info.BlockSize, Bytes: info.Size, Resumed: true})
	}
	return true, p.print("%s: was already encrypted with %s under key %s, %s", path, info.Suite, info.WriteKey, count(info.Size, "byte"))
}

// mayEncrypt refuses a volume that is encrypted, or on the way elsewhere.
func mayEncrypt(path string, info *blockstore.Info, suite blockstore.Suite, key dek.ID) error {
	switch under := info.Conversion; {
	case under == nil && info.Encrypted:
		return say(plainfile.ErrVolume, "%s is already encrypted: it is a volume under suite %s", path, info.Suite)
	case under != nil && under.Operation != "encrypt":
		return otherConversion(path, under)
	case under != nil:
		return sameTarget(under, suite, key)
	}
	return nil
}

// encryption converts a volume under suite none.
func (v *volume) encryption(suite blockstore.Suite, key dek.ID, w *workFlags) (starter, error) {
	if err := needKey(v.keys, suite, key); err != nil {
		return nil, err
	}
	if key.IsZero() {
		key, _ = v.keys.ring.Default() // needKey saw it
	}
	if suite == 0 {
		suite = blockstore.AESGCM
	}
	return v.start(blockstore.Conversion{Suite: suite, Key: key}, w), nil
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

// workResult is what --json prints of encrypt, decrypt and rekey, of a plain file
// and of a volume alike.
type workResult struct {
	Path      string          `json:"path"`
	Done      string          `json:"done"`       // encrypted, decrypted, rekeyed
	Volume    blockstore.UUID `json:"volume"`     // that is or was at the path
	Suite     string          `json:"suite"`      // that the content is under now
	Key       *dek.ID         `json:"key"`        // likewise; null under none
	BlockSize int             `json:"block_size"` // of the volume
	Bytes     int64           `json:"bytes"`      // length of the content
	Resumed   bool            `json:"resumed"`    // an interrupted run was continued
	Converted uint64          `json:"converted"`  // blocks, by this run
	Lost      uint64          `json:"lost"`       // blocks that were given up
}

// fileResult is the result of work on a plain file.
func fileResult(done string, res *plainfile.Result) workResult {
	unit := int64(res.BlockSize)
	w := workResult{Path: res.Path, Done: done, Volume: res.Volume, Suite: res.Suite, Key: &res.Key, BlockSize: res.BlockSize,
		Bytes: res.Bytes, Resumed: res.Resumed, Converted: uint64((res.Written + unit - 1) / unit)}
	if done == "decrypted" {
		w.Suite, w.Key = blockstore.None.String(), nil
	}
	return w
}

func (p *program) printConversion(path, done string, s *volume, res blockstore.Result, resumed, asJSON bool) error {
	if !asJSON {
		return p.print("%s: %s, %s converted", path, done, count(res.Converted, "block"))
	}
	info, err := s.Info()
	if err != nil {
		return err
	}
	return p.printWork(path, done, info, res, resumed)
}

// printWork prints the result of a conversion as JSON.
func (p *program) printWork(path, done string, info *blockstore.Info, res blockstore.Result, resumed bool) error {
	w := workResult{Path: path, Done: done, Volume: info.UUID, Suite: info.Suite, BlockSize: info.BlockSize,
		Bytes: info.Size, Resumed: resumed, Converted: res.Converted, Lost: res.Lost}
	if info.Encrypted {
		w.Key = &info.WriteKey
	}
	return p.printJSON(w)
}
