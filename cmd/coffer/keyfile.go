package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/secmem"
	"github.com/cofferdb/coffer/keyfile"
)

func (p *program) keyfileCmd() *cobra.Command {
	return p.group("keyfile", "Make and keep key files",
		p.keyfileCreateCmd(), p.keyfileAddKeyCmd(), p.keyfileShowCmd(), p.keyfileVerifyCmd(), p.keyfileBackupCmd(),
		p.keyfileCopyKeyCmd(), p.keyfileDeleteKeyCmd(), p.keyfileSetDefaultCmd(), p.keyfileSetJournalCmd(),
		p.keyfileAddAdminCmd(), p.keyfileDeleteAdminCmd(), p.keyfileChangePasswordCmd(), p.keyfileUnattendedCmd(),
	)
}

// createFlags are those of keyfile create.
type createFlags struct {
	keys           keyFlags
	bits           int
	description    string
	keyDescription string
	iterations     int
	strength       strengthFlag
}

func (p *program) keyfileCreateCmd() *cobra.Command {
	var o createFlags
	c := p.verb("create FILE --admin NAME", "Make a key file with one key and print the key's ID", cobra.ExactArgs(1),
		func(ctx context.Context, args []string) error { return p.keyfileCreate(ctx, args[0], &o) })
	o.keys.register(c, false)
	o.strength.register(c)
	bitsFlag(c, &o.bits)
	c.Flags().StringVar(&o.description, "description", "", "what the key file is for")
	c.Flags().StringVar(&o.keyDescription, "key-description", "", "what its first key is for")
	c.Flags().IntVar(&o.iterations, "iterations", 0, "work factor of the password; 0 is the default")
	return c
}

func (p *program) keyfileCreate(ctx context.Context, path string, o *createFlags) error {
	if err := checkBits(o.bits); err != nil {
		return err
	}
	if err := mustNotExist(path); err != nil {
		return err
	}
	list, err := p.sources(&o.keys, path)
	if err != nil {
		return err
	}
	cred, err := p.newCredentials(ctx, list[0])
	if err != nil {
		return err
	}
	defer secmem.Wipe(cred.Password)
	p.warnWeak(cred.Password)
	f, err := keyfile.Create(path, keyfile.CreateOptions{
		Admin: cred, Bits: o.bits, Description: o.description, KeyDescription: o.keyDescription, Iterations: o.iterations,
		Policy: keyfile.Policy{Insist: o.strength.required},
	})
	if err != nil {
		return err
	}
	defer f.Close()
	p.remindOfBackup(path)
	return p.print("%s", f.Default())
}

// remindOfBackup follows every new key.
func (p *program) remindOfBackup(keyfile string) {
	p.note("make a backup copy now: coffer keyfile backup %s COPY. Data under a key whose only copy is lost is lost for ever.", keyfile)
}

// newCredentials is credentials for an administrator that does not exist yet: a
// password that is asked for is asked for twice.
func (p *program) newCredentials(ctx context.Context, s source) (keyfile.Credentials, error) {
	if s.passwordFile != "" {
		return p.credentials(ctx, s)
	}
	name, err := p.admin(ctx, s)
	if err != nil {
		return keyfile.Credentials{}, err
	}
	pw, err := p.askNewPassword(ctx, password{
		prompt:  fmt.Sprintf("New password of %s for %s", name, s.file),
		missing: fmt.Sprintf("no password of %s was given for key file %s", name, s.file),
		hint:    "Give --password-file FILE, or set " + envPasswordFile + ".",
	})
	return keyfile.Credentials{Admin: name, Password: pw}, err
}

// mustNotExist refuses a target that is there already, before anything is asked.
func mustNotExist(path string) error {
	switch _, err := os.Lstat(path); {
	case err == nil:
		return fault.Hint(statef("%s exists already", path), "Nothing is overwritten. Choose another name, or move it away.")
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	return nil
}

func bitsFlag(c *cobra.Command, to *int) {
	c.Flags().IntVar(to, "bits", 256, "length of the key: 128, 192 or 256")
}

func checkBits(bits int) error {
	switch bits {
	case 128, 192, 256:
		return nil
	}
	return usagef("a key has 128, 192 or 256 bits, not %d", bits)
}

// strengthFlag makes weak new passwords a refusal instead of a warning.
type strengthFlag struct{ required bool }

func (s *strengthFlag) register(c *cobra.Command) {
	c.Flags().BoolVar(&s.required, "require-strong", false, "refuse a weak new password instead of warning")
}

// options makes a key file refuse where the flag does.
func (s *strengthFlag) options() *keyfile.Options {
	return &keyfile.Options{Policy: keyfile.Policy{Insist: s.required}}
}

// warnWeak says what a new password lacks.
func (p *program) warnWeak(pw []byte) {
	for _, w := range keyfile.CheckPassword(pw) {
		p.warn("weak password: %s", w)
	}
}
