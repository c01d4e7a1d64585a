package main

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/secmem"
	"github.com/cofferdb/coffer/keyfile"
)

func (p *program) keyfileShowCmd() *cobra.Command {
	var asJSON bool
	c := p.verb("show FILE [--json]", "Show what a key file holds; needs no password", cobra.ExactArgs(1),
		func(_ context.Context, args []string) error { return p.keyfileShow(args[0], asJSON) })
	jsonFlag(c, &asJSON)
	return c
}

func (p *program) keyfileShow(path string, asJSON bool) error {
	info, err := inspectKeyfile(path)
	if err != nil && !errors.Is(err, fault.Damaged) {
		return err
	}
	// What can be read of a damaged file is shown, and the verb fails.
	if asJSON {
		return errors.Join(p.printJSON(info), err)
	}
	return errors.Join(p.printKeyfile(path, info), err)
}

func (p *program) printKeyfile(path string, info keyfile.Info) error {
	t := p.table()
	t.row("key file", path)
	if info.Description != "" {
		t.row("description", info.Description)
	}
	t.row("GUID", info.GUID)
	t.row("generation", info.Generation)
	for _, a := range info.Admins {
		t.row("administrator", a.Name)
	}
	if err := t.flush(); err != nil {
		return err
	}
	t = p.table()
	t.row("KEY", "BITS", "CREATED", "MARKS", "DESCRIPTION")
	for _, k := range info.Keys {
		t.row(k.ID, k.Bits, k.Created.UTC().Format("2006-01-02 15:04"), marks(k), k.Description)
	}
	return t.flush()
}

func marks(k keyfile.KeyInfo) string {
	var m []string
	if k.Default {
		m = append(m, "default")
	}
	if k.Journal {
		m = append(m, "journal")
	}
	return strings.Join(m, ",")
}

func (p *program) keyfileVerifyCmd() *cobra.Command {
	var ks keyFlags
	var asJSON bool
	c := p.verb("verify FILE [--json]", "Unwrap every key and check the whole file", cobra.ExactArgs(1),
		func(ctx context.Context, args []string) error { return p.keyfileVerify(ctx, args[0], &ks, asJSON) })
	ks.register(c, false)
	jsonFlag(c, &asJSON)
	return c
}

func (p *program) keyfileVerify(ctx context.Context, path string, ks *keyFlags, asJSON bool) error {
	list, err := p.sources(ks, path)
	if err != nil {
		return err
	}
	if _, err := inspectKeyfile(path); err != nil {
		return err
	}
	cred, err := p.credentials(ctx, list[0])
	if err != nil {
		return err
	}
	defer secmem.Wipe(cred.Password)
	report, err := keyfile.Verify(path, cred, nil)
	if err != nil {
		return aboutAdmin(path, cred.Admin, err)
	}
	if asJSON {
		return p.printJSON(verifiedKeyfile{path, report})
	}
	for _, w := range report.Warnings {
		p.warn("%s", w)
	}
	return p.print("%s: %s, %s, all correct", path, count(report.Unwrapped, "key"), count(len(report.Admins), "administrator"))
}

// verifiedKeyfile is what keyfile verify --json prints.
type verifiedKeyfile struct {
	Path string `json:"path"`
	keyfile.Report
}

// backedUp is what keyfile backup --json prints.
type backedUp struct {
	Path string `json:"path"` // of the copy
	Keys int    `json:"keys"`
}

func (p *program) keyfileBackupCmd() *cobra.Command {
	var ks keyFlags
	var asJSON bool
	c := p.verb("backup FILE COPY [--json]", "Make a checked copy of a key file", cobra.ExactArgs(2),
		func(ctx context.Context, args []string) error {
			return p.keyfileBackup(ctx, args[0], args[1], &ks, asJSON)
		})
	ks.register(c, false)
	jsonFlag(c, &asJSON)
	return c
}

func (p *program) keyfileBackup(ctx context.Context, path, to string, ks *keyFlags, asJSON bool) error {
	if err := mustNotExist(to); err != nil {
		return err
	}
	f, err := p.openArg(ctx, ks, path, nil)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Backup(to); err != nil {
		return err
	}
	p.note("keep %s and its password apart from the original. Changes made from now on are not in it.", to)
	if asJSON {
		return p.printJSON(backedUp{to, len(f.Keys())})
	}
	return p.print("%s: %s", to, count(len(f.Keys()), "key"))
}

// openArg opens the key file that is a verb's argument.
func (p *program) openArg(ctx context.Context, ks *keyFlags, path string, o *keyfile.Options) (*keyfile.File, error) {
	list, err := p.sources(ks, path)
	if err != nil {
		return nil, err
	}
	return p.openKeyfile(ctx, list[0], o)
}
