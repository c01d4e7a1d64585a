package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cofferdb/coffer/blockstore"
	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/keyfile"
)

// inspect says what a volume is, without a key.
func inspect(path string) (*blockstore.Info, error) {
	if err := mustBeFile("file", path); err != nil {
		return nil, err
	}
	info, err := blockstore.Inspect(path, nil)
	if errors.Is(err, fault.NotFormat) {
		if err = say(err, "%s is not a volume", path); isBackup(path) {
			err = fault.Hint(say(err, "%s is a backup, not a volume", path), "coffer restore makes a volume from it.")
		}
	}
	return info, err
}

// volumeFlags are those of every verb that opens a volume.
type volumeFlags struct {
	keys    keyFlags
	cipher  string // the suite it must be under; "none" accepts one that is not encrypted
	anchor  string
	discard bool
	// before refuses, by what the label says and the keys that are activated, what
	// would be refused later: opening for writing is a change of the volume itself.
	before func(*blockstore.Info, *keys) error
	// makesPlain: this verb may convert to suite none, because the user asked
	// for that. It accepts no volume that is under suite none already.
	makesPlain bool
}

func (v *volumeFlags) register(c *cobra.Command) {
	v.registerOpen(c)
	c.Flags().StringVar(&v.cipher, "cipher", "", "suite that the volume must be under; none, which is not encrypted, is accepted only if it is named")
	completeSuites(c)
}

// registerOpen leaves --cipher to verbs where it names what is made.
func (v *volumeFlags) registerOpen(c *cobra.Command) {
	v.keys.register(c, true)
	c.Flags().StringVar(&v.anchor, "expect-anchor", "", "refuse any history but the one this `TOKEN` (see coffer anchor) names")
}

// registerDiscard is for verbs that write.
func (v *volumeFlags) registerDiscard(c *cobra.Command) {
	c.Flags().BoolVar(&v.discard, "discard-journal", false,
		"open a volume whose journal is lost as of its last checkpoint; commits after that are lost")
}

func completeSuites(c *cobra.Command) {
	names := []string{"aes-gcm", "aes-cbc", "aes-xts", "none"}
	_ = c.RegisterFlagCompletionFunc("cipher", cobra.FixedCompletions(names, cobra.ShellCompDirectiveNoFileComp)) // fails only for an unknown flag
}

// options turns the flags into what Open wants.
func (v *volumeFlags) options() (blockstore.Options, error) {
	o := blockstore.Options{DiscardJournal: v.discard}
	if v.cipher != "" {
		s, err := parseSuite(v.cipher)
		if err != nil {
			return o, err
		}
		o.AllowPlain = s == blockstore.None
	}
	o.AllowPlain = o.AllowPlain || v.makesPlain
	if v.anchor != "" {
		a, err := blockstore.ParseAnchor(v.anchor)
		if err != nil {
			return o, usagef("--expect-anchor: %w", err)
		}
		o.ExpectAnchor = &a
	}
	return o, nil
}

// parseSuite reads a suite's name; "" is 0.
func parseSuite(name string) (blockstore.Suite, error) {
	if name == "" {
		return 0, nil
	}
	s, err := blockstore.ParseSuite(name)
	if err != nil {
		return 0, usagef("--cipher: %w", err)
	}
	return s, nil
}

// volume is an open volume with the keys it was opened with.
type volume struct {
	*blockstore.Store
	keys *keys
}

// open opens a volume with the keys of the flags. What is no volume, or another
// suite than --cipher says, is refused before anybody types a password.
func (p *program) open(ctx context.Context, path string, v *volumeFlags, readOnly bool) (*volume, error) {
	o, ks, err := p.ready(ctx, path, v, readOnly)
	if err != nil {
		return nil, err
	}
	s, err := blockstore.Open(path, ks.ring, &o)
	if err != nil {
		ks.close()
		return nil, explainOpen(err, ks.sources)
	}
	opened := &volume{s, ks}
	if err := v.acceptsOpen(path, s); err != nil {
		return nil, errors.Join(err, opened.close())
	}
	return opened, nil
}

// ready looks at a volume without a key, and then activates the keys to open it with.
func (p *program) ready(ctx context.Context, path string, v *volumeFlags, readOnly bool) (o blockstore.Options, ks *keys, err error) {
	if o, err = v.options(); err != nil {
		return o, nil, err
	}
	o.ReadOnly, o.Logger = readOnly, p.logger()
	info, err := inspect(path)
	if err == nil {
		err = v.accepts(path, info)
	}
	if err != nil {
		return o, nil, err
	}
	if ks, err = p.activate(ctx, &v.keys); err != nil {
		return o, nil, err
	}
	if v.before != nil {
		if err := v.before(info, ks); err != nil {
			ks.close()
			return o, nil, err
		}
	}
	return o, ks, nil
}

// acceptsOpen looks again at a volume that is open: what it says now is authentic.
func (v *volumeFlags) acceptsOpen(path string, s *blockstore.Store) error {
	info, err := s.Info()
	if err != nil {
		return err
	}
	return v.accepts(path, info)
}

// accepts refuses another suite than --cipher names, and suite none where it
// does not. Before the volume is open nothing that info says is authentic, and
// this only refuses early; what counts is the second look, at what was opened.
func (v *volumeFlags) accepts(path string, info *blockstore.Info) error {
	want, err := parseSuite(v.cipher)
	held := suiteOf(info)
	switch {
	case err != nil:
		return err
	case want != 0 && want.String() != held:
		return statef("%s is under suite %s, not %s", path, held, want)
	case want == 0 && held == blockstore.None.String():
		return blockstore.ErrPlain
	}
	return nil
}

// suiteOf is the suite that a volume is under; of one on its way to suite none
// it is the one that it comes from, whose key its label is under until the end.
func suiteOf(info *blockstore.Info) string {
	if weakening(info) {
		return info.Conversion.FromSuite
	}
	return info.Suite
}

// explainKeys adds what to do when a key is missing.
func explainKeys(err error, sources int) error {
	switch {
	case !errors.Is(err, fault.NotActivated) || errors.Is(err, keyfile.ErrUnknownKey):
		return err
	case sources == 0:
		return fault.Hint(err, "Give the key file that holds it: --keyfile FILE --admin NAME --password-file FILE, or --kms-keyfile FILE.")
	}
	return fault.Hint(err, "None of the sources given holds it. --keyfile, --kms-keyfile and --kmip-key may be repeated.")
}

// explainOpen adds what to do when a volume cannot be opened.
func explainOpen(err error, sources int) error {
	switch {
	case errors.Is(err, blockstore.ErrJournalMissing), errors.Is(err, blockstore.ErrJournalGoesOn),
		strings.Contains(fault.HintOf(err), "DiscardJournal"):
		return fault.Hint(err, "Put the journal folder that belongs to this volume, VOLUME.journal, back. If it is lost for good, "+
			"coffer put and coffer resize take --discard-journal: they open the volume as of its last checkpoint, and every commit after that is lost.")
	}
	return explainKeys(err, sources)
}

// close closes the volume, then wipes the keys.
func (v *volume) close() error {
	err := v.Store.Close()
	v.keys.close()
	return err
}

// withVolume opens a volume, does do, and closes it.
func (p *program) withVolume(ctx context.Context, path string, v *volumeFlags, readOnly bool, do func(*volume) error) error {
	s, err := p.open(ctx, path, v, readOnly)
	if err != nil {
		return err
	}
	return errors.Join(do(s), s.close())
}

// has refuses a key that no source has.
func (k *keys) has(id dek.ID) error {
	for _, e := range k.ring.List() {
		if e.ID == id {
			return nil
		}
	}
	return explainKeys(fmt.Errorf("key %s is not activated: %w", id, fault.NotActivated), k.sources)
}
