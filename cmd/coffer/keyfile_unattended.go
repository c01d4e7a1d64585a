package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/fsx"
	"github.com/cofferdb/coffer/internal/secmem"
	"github.com/cofferdb/coffer/keyfile"
)

// credentialMagic begins a credential file: three lines, this one, name, password.
const credentialMagic = "coffer credential 1"

func (p *program) keyfileUnattendedCmd() *cobra.Command {
	var ks keyFlags
	var out string
	c := p.verb("unattended FILE --out CREDENTIAL", "Add an administrator for starts without a person", cobra.ExactArgs(1),
		func(ctx context.Context, args []string) error { return p.keyfileUnattended(ctx, args[0], out, &ks) })
	c.Long = `Add an administrator with a generated name and password to a key file, and write
both into CREDENTIAL, which only its owner may read. With --keyfile FILE
--credential CREDENTIAL a program or a service opens the key file without asking.

Whoever has FILE and CREDENTIAL has the keys. Keep them apart: CREDENTIAL where
only the service reads it (a secret store, a root-only folder, a device that is
mounted at start), and never in the same backup as FILE or as the volumes.
coffer keyfile delete-admin takes the administrator away again.`
	ks.register(c, false)
	c.Flags().StringVar(&out, "out", "", "`CREDENTIAL` file to make")
	_ = c.MarkFlagRequired("out") // fails only for an unknown flag
	return c
}

func (p *program) keyfileUnattended(ctx context.Context, path, out string, ks *keyFlags) error {
	if err := mustNotExist(out); err != nil {
		return err
	}
	return p.withKeyfile(ctx, ks, path, nil, func(f *keyfile.File) error {
		cred := generatedCredentials()
		defer secmem.Wipe(cred.Password)
		// The credential first: one that opens nothing is worth nothing to anybody,
		// an administrator whose password nobody has stays in the key file.
		if err := writeCredential(out, cred); err != nil {
			return err
		}
		if err := f.AddAdmin(cred); err != nil {
			if !errors.Is(err, fault.OutcomeUnknown) {
				err = errors.Join(err, fsx.OS().Remove(out))
			}
			return aboutKeyfile(path, err)
		}
		p.note("who has %s and %s has the keys: keep them apart, and in different backups", path, out)
		return p.print("%s", strings.ToUpper(cred.Admin))
	})
}

// generatedCredentials are random: 40 bits of name, so that two do not meet, and
// 256 bits of password.
func generatedCredentials() keyfile.Credentials {
	name := rand.Text()[:8]
	var pw []byte
	for range 2 {
		pw = append(pw, rand.Text()...) // 26 characters, 130 bits
	}
	pw = append(pw, "-a1"...) // every class of characters that the check of passwords looks for
	return keyfile.Credentials{Admin: "UNATTENDED-" + name, Password: pw}
}

func writeCredential(path string, c keyfile.Credentials) error {
	text := fmt.Appendf(nil, "%s\n%s\n%s\n", credentialMagic, c.Admin, c.Password)
	defer secmem.Wipe(text)
	return fsx.Create(fsx.OS(), path, 0o600, func(f fsx.File) error {
		_, err := f.WriteAt(text, 0)
		return err
	})
}

// readCredential reads a credential file. The caller wipes the password.
func (p *program) readCredential(path string) (keyfile.Credentials, error) {
	if err := mustBeFile("credential file", path); err != nil {
		return keyfile.Credentials{}, err
	}
	if fi, err := os.Stat(path); err == nil && runtime.GOOS != "windows" && fi.Mode().Perm()&0o077 != 0 {
		p.warn("credential file %s can be read by others than its owner: chmod 600 %s", path, path)
	}
	text, err := readPasswordFile(path)
	if err != nil {
		return keyfile.Credentials{}, fmt.Errorf("credential file %s: %w", path, err)
	}
	lines := bytes.Split(text, []byte("\n"))
	if len(lines) != 3 || string(lines[0]) != credentialMagic {
		secmem.Wipe(text)
		return keyfile.Credentials{}, fault.Hint(fmt.Errorf("%w: %s is no credential file", fault.NotFormat, path),
			"coffer keyfile unattended makes one.")
	}
	return keyfile.Credentials{Admin: string(lines[1]), Password: lines[2]}, nil
}
