package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/cofferdb/coffer/blockstore"
	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
)

// rekeyFlags are those of rekey.
type rekeyFlags struct {
	keys        keyFlags
	anchor      string
	toKey       string
	newKey      bool
	bits        int
	description string
	cipher      string
	leave       bool
	work        workFlags
}

func (p *program) rekeyCmd() *cobra.Command {
	var o rekeyFlags
	c := p.verb("rekey VOLUME (--to-key ID | --new-key)", "Put a volume and its journal under another key", cobra.ExactArgs(1),
		func(ctx context.Context, args []string) error { return stoppedRekey(p.rekey(ctx, args[0], &o)) })
	c.Long = `Put every block of a volume, and its journal, under another key. Afterwards
nothing in the volume needs the old key, and coffer info no longer names it.
Both keys must be in the key files given.

--new-key makes a key, puts it into the first key file before any block changes,
and prints its ID. An interrupted re-key goes on when the command is run again,
to the key it began with: no second key is made; --to-key OLD --back takes it back
instead. Ctrl-C stops it, and --rate and --share may be others the next time; Ctrl-Z, or
kill -STOP, halts it, and fg, or kill -CONT, lets it go on. The new key's description ends with the volume it was made for.

--purge overwrites what the old key still protects in places that nobody reads:
blocks that are free, the older copy of every tag block, and journal files before
they are removed. With the key that the volume is under already it does that alone. Older copies and backups of the volume stay under the
old key.

A volume that is open in a process which answers on VOLUME.ctl, such as coffer
serve, is re-keyed by that process, while it works. It takes the new key from its
own key files and services, which it reads again; a new key is put into a key
file that it reads.

A key that its KMIP server no longer calls active only decrypts, and the volume opens
read-only. --leave-inactive opens it for writing all the same, to get away from that
key: it is written with until the new one has its place, and never after.`
	o.keys.register(c, true)
	o.work.register(c)
	f := c.Flags()
	f.StringVar(&o.anchor, "expect-anchor", "", "refuse any history but the one this `TOKEN` (see coffer anchor) names")
	f.StringVar(&o.toKey, "to-key", "", "`ID` of the new key")
	f.BoolVar(&o.newKey, "new-key", false, "make a new key in the first key file and print its ID")
	f.IntVar(&o.bits, "bits", 0, "length of the new key: 128, 192 or 256; else that of the old key")
	f.StringVar(&o.description, "description", "", "what the new key is for")
	f.StringVar(&o.cipher, "cipher", "", "suite to convert to: aes-gcm, aes-cbc or aes-xts; else it stays")
	f.Var(&o.work.rate, "rate", "re-seal no more than this many bytes per second, such as 200MB/s")
	f.Var(&o.work.share, "share", "re-seal during this percentage of the time at most; else all of it")
	f.BoolVar(&o.work.purge, "purge", false, "at the end, overwrite what lies in free and superseded places of the files")
	f.BoolVar(&o.work.back, "back", false, "with --to-key, turn an unfinished re-key around: back to the key it comes from")
	f.BoolVar(&o.leave, "leave-inactive", false, "re-key away from a key that its server no longer calls active")
	completeSuites(c)
	c.MarkFlagsMutuallyExclusive("back", "new-key")
	for _, other := range []string{"new-key", "bits", "description"} {
		c.MarkFlagsMutuallyExclusive("to-key", other)
	}
	c.MarkFlagsOneRequired("to-key", "new-key")
	return c
}

// stoppedRekey is stoppedHint with the way back.
func stoppedRekey(err error) error {
	var purge stoppedPurge
	switch {
	case errors.As(err, &purge):
		return fault.Hint(err, "Nothing in use is under the old key any more; what was to be overwritten is so in part: run the same command again.")
	case errors.Is(err, context.Canceled):
		return fault.Hint(err, again+" Meanwhile the volume works, with both keys. To go back: coffer rekey VOLUME --to-key OLD --back.")
	}
	return err
}

// stoppedPurge: a signal came when all blocks were converted, and old places were being overwritten.
type stoppedPurge struct{ error }

func (e stoppedPurge) Unwrap() error { return e.error }

// rekeyTarget is what a re-key goes to.
type rekeyTarget struct {
	suite   blockstore.Suite // 0: it stays
	key     dek.ID           // zero: a new one is made
	resumes bool             // it is recorded in the volume
	back    bool             // it may be what the recorded conversion comes from
}

func (o *rekeyFlags) target() (t rekeyTarget, err error) {
	t.back = o.work.back
	if t.suite, err = parseSuite(o.cipher); err != nil {
		return t, err
	}
	if t.suite == blockstore.None {
		return t, fault.Hint(usagef("suite none needs no key"), "coffer decrypt --to-volume takes the encryption away.")
	}
	if o.toKey != "" {
		if t.key, err = parseID(o.toKey); err != nil {
			return t, err
		}
	}
	if o.bits != 0 {
		return t, checkBits(o.bits)
	}
	return t, nil
}

func (p *program) rekey(ctx context.Context, path string, o *rekeyFlags) error {
	target, err := o.target()
	if err != nil {
		return err
	}
	info, err := inspect(path)
	if err != nil {
		return err
	}
	if _, err := target.against(path, info); err != nil { // before anybody types a password
		return err
	}
	v := volumeFlags{keys: o.keys, anchor: o.anchor}
	c, err := p.ownerFor(ctx, path, &v)
	if err != nil {
		return err
	}
	if c != nil {
		defer c.Close()
		return p.rekeyOwned(ctx, c, path, target, o)
	}
	v.before = func(info *blockstore.Info, ks *keys) error {
		t, err := target.against(path, info)
		if err == nil {
			err = p.leaveInactive(info, ks, t.key, o.leave)
		}
		if err != nil {
			return err
		}
		if t.key.IsZero() {
			_, err = newKeyBits(info, t.suite, o.bits)
			return err
		}
		return ks.has(t.key)
	}
	return p.withVolume(ctx, path, &v, false, func(s *volume) error {
		if info, err = s.Info(); err != nil { // what it says now is authentic
			return err
		}
		t, err := target.against(path, info)
		if err != nil {
			return err
		}
		return p.rekeyOpen(ctx, path, s, info, t, o)
	})
}

// against completes a target with what the volume has recorded.
func (t rekeyTarget) against(path string, info *blockstore.Info) (rekeyTarget, error) {
	switch c := info.Conversion; {
	case c != nil && c.Operation != "rekey":
		return t, otherConversion(path, c)
	case c != nil && t.back && t.key == c.From && t.key != c.To && (t.suite == 0 || t.suite.String() == c.FromSuite):
		suite, err := blockstore.ParseSuite(c.FromSuite)
		return rekeyTarget{suite, c.From, true, true}, err
	case c != nil:
		if err := sameTarget(c, t.suite, t.key); err != nil {
			if t.key == c.From {
				err = fault.Hint(err, "A conversion that began goes on to its recorded target; --back turns it around.")
			}
			return t, err
		}
		suite, err := blockstore.ParseSuite(c.ToSuite)
		return rekeyTarget{suite, c.To, true, false}, err
	case t.back:
		return t, fault.Hint(statef("no re-key of %s is unfinished: there is nothing to turn around", path), "Without --back it is a re-key of its own.")
	case !info.Encrypted:
		return t, fault.Hint(statef("%s is not encrypted", path), "coffer encrypt encrypts it.")
	}
	return t, nil
}

// rekeyOpen re-keys an open volume.
func (p *program) rekeyOpen(ctx context.Context, path string, s *volume, info *blockstore.Info, t rekeyTarget, o *rekeyFlags) error {
	if t.resumes {
		if t.back {
			p.note("turning the interrupted re-key of %s around, back to %s", path, t.key)
		} else {
			p.note("going on with the interrupted re-key of %s to %s", path, t.key)
		}
	}
	if t.key.IsZero() {
		id, err := p.newKey(s.keys, info, t, o)
		if err != nil {
			return err
		}
		t.key = id
	}
	res, err := p.rekeyBlocks(ctx, path, s, info, t, o)
	if err != nil {
		return explainKeys(err, s.keys.sources)
	}
	if err := journalUnder(ctx, s, t.key); err != nil {
		return err
	}
	if o.work.purge {
		if err := p.purge(ctx, s); err != nil {
			return err
		}
	}
	if res.Converted > 0 || t.resumes {
		p.note("%s: %s converted", path, count(res.Converted, "block"))
	}
	if old := oldKey(info, t.key); !old.IsZero() {
		p.note("key %s is still in its key file: older copies and backups of the volume need it", old)
	}
	if o.work.json {
		return p.printConversion(path, "rekeyed", s, res, t.resumes, true)
	}
	return nil
}

func (p *program) rekeyBlocks(ctx context.Context, path string, s *volume, info *blockstore.Info, t rekeyTarget, o *rekeyFlags) (blockstore.Result, error) {
	if !t.resumes && info.WriteKey == t.key && (t.suite == 0 || t.suite.String() == info.Suite) {
		p.note("every block of %s is under %s already", path, t.key)
		return blockstore.Result{Complete: true}, nil
	}
	start := s.start(blockstore.Conversion{Suite: t.suite, Key: t.key}, &o.work)
	return p.convert(ctx, s, "rekey", p.meter(o.work.style), func(ctx context.Context) (*blockstore.Converter, error) {
		c, err := start(ctx)
		if o.newKey && !o.work.json { // it is in the key file, and in the volume if err is nil
			err = errors.Join(err, p.print("%s", t.key))
		}
		return c, err
	})
}

// journalUnder puts the journal under the key too.
func journalUnder(ctx context.Context, s *volume, key dek.ID) error {
	info, err := s.Info()
	if err != nil || info.JournalKey == key {
		return err
	}
	if err := s.SetJournalKey(ctx, key); err != nil {
		return fmt.Errorf("the journal's key: %w", err)
	}
	return nil
}

// purge overwrites what the old key still protects in places nobody reads.
func (p *program) purge(ctx context.Context, s *volume) error {
	if err := s.Purge(ctx); err != nil {
		if errors.Is(err, context.Canceled) {
			return stoppedPurge{err}
		}
		return err
	}
	c, err := s.CountKeys(ctx)
	if err != nil {
		return err
	}
	p.purged(c)
	return nil
}

// purged says what a purge reached, and what it did not.
func (p *program) purged(c *blockstore.KeyCensus) {
	p.note("free blocks, older tag blocks, both label copies and journal files were overwritten")
	p.warn("what a flash disk, a file system that copies on write, snapshots and backups keep is out of reach")
	for _, k := range c.Keys[1:] {
		if k.Segments > 0 || k.Backups > 0 {
			p.warn("key %s is still needed by %s and %s", k.ID, count(k.Segments, "journal segment"), count(k.Backups, "recorded backup"))
		}
	}
}

// oldKey is the key that the volume no longer needs.
func oldKey(before *blockstore.Info, now dek.ID) dek.ID {
	old := before.WriteKey
	if c := before.Conversion; c != nil {
		if old = c.From; old == now { // turned around
			old = c.To
		}
	}
	if old == now {
		return dek.ID{}
	}
	return old
}
