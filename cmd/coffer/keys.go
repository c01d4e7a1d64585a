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
	envKMSKeyfile   = "COFFER_KMS_KEYFILE"
	envAdmin        = "COFFER_ADMIN"
	envPasswordFile = "COFFER_PASSWORD_FILE"
	envCredential   = "COFFER_CREDENTIAL"
)

// keyFlags say where keys come from. The n-th administrator with a password
// file, or credential, belongs to the n-th key file, those of --offline-keyfile
// counted after those of --keyfile.
type keyFlags struct {
	files, admins, passwords, credentials []string
	kms, offline                          []string
	kmip                                  kmipSources
}

// register adds the flags. Verbs whose argument is the key file leave the sources out.
func (k *keyFlags) register(c *cobra.Command, sources bool) {
	f := c.Flags()
	if sources {
		f.StringArrayVar(&k.files, "keyfile", nil, "key `FILE` to activate; may be repeated ("+envKeyfile+")")
		f.StringArrayVar(&k.kms, "kms-keyfile", nil, "KMS key `FILE` whose key its service unwraps; may be repeated ("+envKMSKeyfile+")")
		k.kmip.register(f)
		f.StringArrayVar(&k.offline, "offline-keyfile", nil,
			"key `FILE` that stands in while a key service is out of reach; may be repeated")
	}
	f.StringArrayVar(&k.admins, "admin", nil, "`NAME` of the administrator of the n-th key file ("+envAdmin+")")
	f.StringArrayVar(&k.passwords, "password-file", nil,
		"`FILE` with the password of the n-th administrator ("+envPasswordFile+"); else it is asked for")
	f.StringArrayVar(&k.credentials, "credential", nil,
		"`FILE` with name and password for the n-th key file, from coffer keyfile unattended ("+envCredential+")")
}

// source is one key file and how to open it. Empty fields are asked for.
type source struct{ file, admin, passwordFile, credential string }

// keySources are where the keys of one run come from.
type keySources struct {
	files   []source // activated, in this order, before the others
	offline []source // opened only when a service is out of reach
	remotes []remote // services
}

func (s *keySources) count() int { return len(s.files) + len(s.remotes) }

// keySources reads the flags, and the environment where no flag names a source:
// what a flag names is then the only source, so that no key that is left in the
// environment becomes the default key.
func (p *program) keySources(k *keyFlags) (*keySources, error) {
	named := *k
	if len(k.files)+len(k.kms)+len(k.kmip.servers) == 0 {
		named.files = nonEmpty(p.getenv(envKeyfile))
		named.kms = nonEmpty(p.getenv(envKMSKeyfile))
		named.kmip.fromEnvironment(p)
	}
	remotes, err := p.remotes(&named)
	if err != nil {
		return nil, err
	}
	if len(k.offline) > 0 && len(remotes) == 0 {
		return nil, usagef("--offline-keyfile stands in for a key service, and none is given")
	}
	list, err := p.sources(&named, append(named.files, named.offline...)...)
	if err != nil {
		return nil, err
	}
	n := len(named.files)
	return &keySources{files: list[:n:n], offline: list[n:], remotes: remotes}, nil
}

func nonEmpty(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}

// sources pairs key files with administrators, passwords and credentials.
func (p *program) sources(k *keyFlags, files ...string) ([]source, error) {
	if most := max(len(k.admins), len(k.passwords), len(k.credentials)); most > len(files) {
		if len(files) == 0 {
			return nil, usagef("--admin, --password-file and --credential belong to a key file, and none is given")
		}
		return nil, usagef("more administrators, password files or credentials than key files")
	}
	list := make([]source, len(files))
	for i, f := range files {
		s := source{file: f}
		if i < len(k.admins) {
			s.admin = k.admins[i]
		}
		if i < len(k.passwords) {
			s.passwordFile = k.passwords[i]
		}
		if i < len(k.credentials) {
			s.credential = k.credentials[i]
		}
		if s.credential != "" && (s.admin != "" || s.passwordFile != "") {
			return nil, usagef("key file %s: --credential has both name and password; leave --admin and --password-file away", f)
		}
		list[i] = p.fromEnvironment(s)
	}
	return list, nil
}

// fromEnvironment fills in what no flag said.
func (p *program) fromEnvironment(s source) source {
	if s.credential != "" {
		return s
	}
	if s.admin == "" && s.passwordFile == "" {
		if s.credential = p.getenv(envCredential); s.credential != "" {
			return s
		}
	}
	if s.admin == "" {
		s.admin = p.getenv(envAdmin)
	}
	if s.passwordFile == "" {
		s.passwordFile = p.getenv(envPasswordFile)
	}
	return s
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
	if s.credential != "" {
		return p.readCredential(s.credential)
	}
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

// parseID reads a key ID argument.
func parseID(text string) (dek.ID, error) {
	id, err := dek.ParseID(text)
	if err != nil {
		return id, fault.Hint(err, "Key IDs look like 9158980E-AE52-4E12-82FD-AA5A2909D029; coffer keyfile show lists them.")
	}
	return id, nil
}

func parseIDs(texts []string) (ids []dek.ID, err error) {
	for _, text := range texts {
		id, err := parseID(text)
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, nil
}
