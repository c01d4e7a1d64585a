package main

import (
	"context"
	"errors"
	"os"

	"github.com/spf13/cobra"

	"github.com/cofferdb/coffer/blockstore"
	"github.com/cofferdb/coffer/internal/fault"
)

// inspect says what a volume is, without a key.
func inspect(path string) (*blockstore.Info, error) {
	if fi, err := os.Stat(path); err == nil && fi.IsDir() {
		return nil, usagef("%s is a folder", path)
	}
	return blockstore.Inspect(path, nil)
}

// volumeFlags are those of every verb that opens a volume.
type volumeFlags struct {
	keys    keyFlags
	cipher  string // "none" accepts a volume that is not encrypted
	anchor  string
	discard bool
}

func (v *volumeFlags) register(c *cobra.Command) {
	v.registerOpen(c)
	c.Flags().StringVar(&v.cipher, "cipher", "", "none accepts a volume that is not encrypted; another suite refuses any other")
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
	o, err := v.options()
	if err != nil {
		return nil, err
	}
	o.ReadOnly, o.Logger = readOnly, p.logger()
	if err := checkSuite(path, v); err != nil {
		return nil, err
	}
	ks, err := p.activate(ctx, &v.keys)
	if err != nil {
		return nil, err
	}
	s, err := blockstore.Open(path, ks.ring, &o)
	if err != nil {
		ks.close()
		return nil, explainKeys(err, len(ks.files))
	}
	return &volume{s, ks}, nil
}

// checkSuite inspects a volume and refuses another suite than the one expected.
// An interrupted decrypt --to-volume is for Open to judge.
func checkSuite(path string, v *volumeFlags) error {
	info, err := inspect(path)
	if err != nil {
		return err
	}
	want, err := parseSuite(v.cipher)
	if err != nil {
		return err
	}
	if want != 0 && want != blockstore.None && want.String() != info.Suite {
		return statef("%s is under suite %s, not %s", path, info.Suite, want)
	}
	if !info.Encrypted && want == 0 && !weakening(info) {
		return blockstore.ErrPlain
	}
	return nil
}

// explainKeys adds what to do when a key is missing.
func explainKeys(err error, files int) error {
	switch {
	case !errors.Is(err, fault.NotActivated):
		return err
	case files == 0:
		return fault.Hint(err, "Give the key file that holds it: --keyfile FILE --admin NAME --password-file FILE.")
	}
	return fault.Hint(err, "None of the key files given holds it. --keyfile may be repeated.")
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
