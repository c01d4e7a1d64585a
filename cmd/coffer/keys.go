package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/secmem"
	"github.com/cofferdb/coffer/keyfile"
)

// Environment variables that stand in for flags.
const (
	envKeyfile      = "COFFER_KEYFILE"
	envAdmin        = "COFFER_ADMIN"
	envPasswordFile = "COFFER_PASSWORD_FILE"
)

// keyFlags say where keys come from. The n-th administrator and password file
// belong to the n-th key file.
type keyFlags struct {
	files, admins, passwords []string
}

// register adds the flags. Verbs whose argument is the key file leave files out.
func (k *keyFlags) register(c *cobra.Command, files bool) {
	f := c.Flags()
	if files {
		f.StringArrayVar(&k.files, "keyfile", nil, "key `FILE` to activate; may be repeated ("+envKeyfile+")")
	}
	f.StringArrayVar(&k.admins, "admin", nil, "`NAME` of the administrator of the n-th key file ("+envAdmin+")")
	f.StringArrayVar(&k.passwords, "password-file", nil,
		"`FILE` with the password of the n-th administrator ("+envPasswordFile+"); else it is asked for")
}

// source is one key file and how to open it. Empty fields are asked for.
type source struct{ file, admin, passwordFile string }

// sources pairs files with administrators and passwords. args are key files
// given as arguments, in place of --keyfile.
func (p *program) sources(k *keyFlags, args ...string) ([]source, error) {
	files := k.files
	if len(args) > 0 {
		files = args
	} else if len(files) == 0 {
		if f := p.getenv(envKeyfile); f != "" {
			files = []string{f}
		}
	}
	if len(k.admins) > len(files) || len(k.passwords) > len(files) {
		if len(files) == 0 {
			return nil, usagef("--admin and --password-file belong to a key file, and none is given")
		}
		return nil, usagef("more administrators or password files than key files")
	}
	list := make([]source, len(files))
	for i, f := range files {
		s := source{f, p.getenv(envAdmin), p.getenv(envPasswordFile)}
		if i < len(k.admins) {
			s.admin = k.admins[i]
		}
		if i < len(k.passwords) {
			s.passwordFile = k.passwords[i]
		}
		list[i] = s
	}
	return list, nil
}

// admin returns the administrator's name, from the terminal if need be.
func (p *program) admin(ctx context.Context, s source) (string, error) {
	if s.admin != "" {
		return s.admin, nil
	}
	return p.askLine(ctx, fmt.Sprintf("Administrator of %s: ", s.file),
		"no administrator was given for key file "+s.file, "Give --admin NAME, or set "+envAdmin+".")
}

// credentials completes s. The caller wipes the password.
func (p *program) credentials(ctx context.Context, s source) (keyfile.Credentials, error) {
	name, err := p.admin(ctx, s)
	if err != nil {
		return keyfile.Credentials{}, err
	}
	c := keyfile.Credentials{Admin: name}
	if s.passwordFile != "" {
		c.Password, err = readPasswordFile(s.passwordFile)
	} else {
		c.Password, err = p.askPassword(ctx, password{
			prompt:  fmt.Sprintf("Password of %s for %s", name, s.file),
			missing: fmt.Sprintf("no password of %s was given for key file %s", name, s.file),
			hint:    "Give --password-file FILE, or set " + envPasswordFile + ".",
		})
	}
	return c, err
}

// openKeyfile opens the key file of s.
func (p *program) openKeyfile(ctx context.Context, s source, o *keyfile.Options) (*keyfile.File, error) {
	// What is no key file is refused before anybody types a password.
	if _, err := inspectKeyfile(s.file); err != nil {
		return nil, err
	}
	c, err := p.credentials(ctx, s)
	if err != nil {
		return nil, err
	}
	defer secmem.Wipe(c.Password)
	f, err := keyfile.Open(s.file, c, o)
	if err != nil {
		return nil, aboutAdmin(s.file, c.Admin, err)
	}
	return f, nil
}

// inspectKeyfile says what a key file holds, without a password.
func inspectKeyfile(path string) (keyfile.Info, error) {
	if err := mustBeFile("key file", path); err != nil {
		return keyfile.Info{}, err
	}
	info, err := keyfile.Inspect(path, nil)
	return info, aboutKeyfile(path, err)
}

// aboutKeyfile says which key file an error is about.
func aboutKeyfile(path string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("key file %s: %w", path, err)
}

// aboutAdmin says too who is not an administrator.
func aboutAdmin(path, name string, err error) error {
	if errors.Is(err, keyfile.ErrUnknownAdmin) {
		return fault.Hint(say(err, "key file %s has no administrator %s", path, strings.ToUpper(name)),
			"coffer keyfile show "+path+" lists them.")
	}
	return aboutKeyfile(path, err)
}

// aboutKey says which key a key file does not hold.
func aboutKey(path string, id dek.ID, err error) error {
	if errors.Is(err, keyfile.ErrUnknownKey) {
		return fault.Hint(say(err, "key file %s holds no key %s", path, id), "coffer keyfile show "+path+" lists its keys.")
	}
	return err
}

// keys is the keyring of one run, with the key files that it came from.
type keys struct {
	ring  *dek.Keyring
	files []*keyfile.File
}

// activate opens every key file and activates all their keys. None at all is no
// error here: what needs a key says so.
func (p *program) activate(ctx context.Context, k *keyFlags) (*keys, error) {
	list, err := p.sources(k)
	if err != nil {
		return nil, err
	}
	ks := &keys{ring: dek.NewKeyring()}
	for _, s := range list {
		f, err := p.openKeyfile(ctx, s, nil)
		if err != nil {
			ks.close()
			return nil, err
		}
		ks.files = append(ks.files, f)
		done, err := f.Activate(ks.ring, dek.Database, dek.Active)
		for _, id := range done.DidNotFit {
			p.warn("key %s of %s is not activated: at most %d fit", id, s.file, dek.MaxDatabaseKeys)
		}
		if err != nil {
			ks.close()
			return nil, err
		}
	}
	return ks, nil
}

// close wipes every key. A volume must be closed before.
func (k *keys) close() {
	for _, f := range k.files {
		f.Close()
	}
	_ = k.ring.Close() // refused only while something is still open; the process ends then
}

// parseID reads a key ID argument.
func parseID(text string) (dek.ID, error) {
	id, err := dek.ParseID(text)
	if err != nil {
		return id, fault.Hint(err, "Key IDs look like 9158980E-AE52-4E12-82FD-AA5A2909D029; coffer keyfile show lists them.")
	}
	return id, nil
}
