package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/secmem"
	"github.com/cofferdb/coffer/keyfile"
)

func (p *program) keyfileAddKeyCmd() *cobra.Command {
	var ks keyFlags
	var bits int
	var description string
	c := p.verb("add-key FILE", "Add a key and print its ID", cobra.ExactArgs(1),
		func(ctx context.Context, args []string) error {
			if err := checkBits(bits); err != nil {
				return err
			}
			return p.withKeyfile(ctx, &ks, args[0], nil, func(f *keyfile.File) error {
				id, err := f.AddKey(bits, description)
				if err != nil {
					return aboutKeyfile(args[0], err)
				}
				p.remindOfBackup(args[0])
				return p.print("%s", id)
			})
		})
	ks.register(c, false)
	bitsFlag(c, &bits)
	c.Flags().StringVar(&description, "description", "", "what the key is for")
	return c
}

// withKeyfile opens the key file that is a verb's argument, and closes it.
func (p *program) withKeyfile(ctx context.Context, ks *keyFlags, path string, o *keyfile.Options, do func(*keyfile.File) error) error {
	f, err := p.openArg(ctx, ks, path, o)
	if err != nil {
		return err
	}
	defer f.Close()
	return do(f)
}

func (p *program) keyfileCopyKeyCmd() *cobra.Command {
	var ks keyFlags
	c := p.verb("copy-key FILE ID TOFILE", "Copy a key into another key file", cobra.ExactArgs(3),
		func(ctx context.Context, args []string) error {
			return p.keyfileCopyKey(ctx, &ks, args[0], args[1], args[2])
		})
	c.Long = "Copy a key into another key file, which exists. The second --admin and --password-file belong to TOFILE; " +
		"where only one is given, it is for both."
	ks.register(c, false)
	return c
}

func (p *program) keyfileCopyKey(ctx context.Context, ks *keyFlags, from, idText, to string) error {
	id, err := parseID(idText)
	if err != nil {
		return err
	}
	list, err := p.sources(ks, from, to)
	if err != nil {
		return err
	}
	if len(ks.admins) == 1 && len(ks.passwords) <= 1 {
		list[1].admin, list[1].passwordFile = list[0].admin, list[0].passwordFile
	}
	src, err := p.openKeyfile(ctx, list[0], nil)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := p.openKeyfile(ctx, list[1], nil)
	if err != nil {
		return err
	}
	defer dst.Close()
	if err := src.CopyKey(id, dst); err != nil {
		return aboutKeyfile(to, aboutKey(from, id, err))
	}
	p.note("%s is in %s now, and still in %s", id, to, from)
	return nil
}

func (p *program) keyfileDeleteKeyCmd() *cobra.Command {
	var ks keyFlags
	var yes bool
	var volumes []string
	c := p.verb("delete-key FILE ID", "Delete a key; data under its only copy is lost", cobra.ExactArgs(2),
		func(ctx context.Context, args []string) error {
			return p.keyfileDeleteKey(ctx, &ks, args[0], args[1], volumes, yes)
		})
	ks.register(c, false)
	yesFlag(c, &yes)
	c.Flags().StringArrayVar(&volumes, "volume", nil, "refuse if this `VOLUME` needs the key; may be repeated")
	return c
}

func yesFlag(c *cobra.Command, to *bool) {
	c.Flags().BoolVar(to, "yes", false, "do not ask")
}

func (p *program) keyfileDeleteKey(ctx context.Context, ks *keyFlags, path, idText string, volumes []string, yes bool) error {
	id, err := parseID(idText)
	if err != nil {
		return err
	}
	var toProve []string
	for _, v := range volumes { // before a password is asked for
		settled, err := p.notNeededBy(ctx, v, id)
		if err != nil {
			return err
		}
		if !settled {
			toProve = append(toProve, v)
		}
	}
	return p.withKeyfile(ctx, ks, path, nil, func(f *keyfile.File) error {
		if err := f.CanDeleteKey(id); err != nil {
			if errors.Is(err, fault.State) {
				return fault.Hint(err, "Mark another key first: coffer keyfile set-default, set-journal.")
			}
			return aboutKey(path, id, err)
		}
		for _, v := range toProve {
			if err := p.provenNotNeededBy(ctx, v, id, f); err != nil {
				return err
			}
		}
		p.warn("what is encrypted under %s is lost for ever if this is its only copy", id)
		if err := p.confirm(ctx, yes, fmt.Sprintf("Delete key %s from %s?", id, path)); err != nil {
			return err
		}
		if err := f.DeleteKey(id); err != nil {
			return err
		}
		p.note("older copies of %s still hold the key", path)
		return nil
	})
}

func (p *program) keyfileSetDefaultCmd() *cobra.Command {
	return p.markCmd("set-default FILE ID", "Make a key the one that new volumes get", (*keyfile.File).SetDefault)
}

func (p *program) keyfileSetJournalCmd() *cobra.Command {
	return p.markCmd("set-journal FILE ID", "Make a key the one that new journals get", (*keyfile.File).SetJournal)
}

func (p *program) markCmd(use, short string, set func(*keyfile.File, dek.ID) error) *cobra.Command {
	var ks keyFlags
	c := p.verb(use, short, cobra.ExactArgs(2), func(ctx context.Context, args []string) error {
		id, err := parseID(args[1])
		if err != nil {
			return err
		}
		return p.withKeyfile(ctx, &ks, args[0], nil, func(f *keyfile.File) error { return aboutKey(args[0], id, set(f, id)) })
	})
	ks.register(c, false)
	return c
}

// newPassword reads the password that a verb sets: from a file, or asked for twice.
func (p *program) newPassword(ctx context.Context, file, who string) (keyfile.Credentials, error) {
	cred := keyfile.Credentials{Admin: who}
	var err error
	if file != "" {
		cred.Password, err = readPasswordFile(file)
	} else {
		cred.Password, err = p.askNewPassword(ctx, password{
			prompt:  "New password of " + who,
			missing: "no new password was given for " + who,
			hint:    "Give --new-password-file FILE.",
		})
	}
	if err != nil {
		secmem.Wipe(cred.Password)
	}
	return cred, err
}
