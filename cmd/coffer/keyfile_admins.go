package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cofferdb/coffer/internal/secmem"
	"github.com/cofferdb/coffer/keyfile"
)

// newPasswordFlags are those of verbs that set a password.
type newPasswordFlags struct {
	keys     keyFlags
	file     string
	strength strengthFlag
}

func (o *newPasswordFlags) register(c *cobra.Command) {
	o.keys.register(c, false)
	o.strength.register(c)
	c.Flags().StringVar(&o.file, "new-password-file", "", "`FILE` with the new password; else it is asked for, twice")
}

func (p *program) keyfileAddAdminCmd() *cobra.Command {
	var o newPasswordFlags
	c := p.verb("add-admin FILE NEW", "Add an administrator", cobra.ExactArgs(2),
		func(ctx context.Context, args []string) error { return p.keyfileAddAdmin(ctx, args[0], args[1], &o) })
	o.register(c)
	return c
}

func (p *program) keyfileAddAdmin(ctx context.Context, path, name string, o *newPasswordFlags) error {
	return p.withKeyfile(ctx, &o.keys, path, o.strength.options(), func(f *keyfile.File) error {
		if hasAdmin(f, name) {
			return say(keyfile.ErrAdminExists, "key file %s has an administrator %s already", path, strings.ToUpper(name))
		}
		cred, err := p.newPassword(ctx, o.file, name)
		if err != nil {
			return err
		}
		defer secmem.Wipe(cred.Password)
		p.warnWeak(cred.Password)
		if err := f.AddAdmin(cred); err != nil {
			return err
		}
		p.note("copies of %s that were made earlier do not have %s", path, strings.ToUpper(name))
		return nil
	})
}

func hasAdmin(f *keyfile.File, name string) bool {
	return slices.ContainsFunc(f.Info().Admins, func(a keyfile.AdminInfo) bool { return strings.EqualFold(a.Name, name) })
}

func (p *program) keyfileDeleteAdminCmd() *cobra.Command {
	var ks keyFlags
	var yes bool
	c := p.verb("delete-admin FILE NAME", "Delete an administrator; the last one never", cobra.ExactArgs(2),
		func(ctx context.Context, args []string) error {
			return p.keyfileDeleteAdmin(ctx, &ks, args[0], args[1], yes)
		})
	ks.register(c, false)
	yesFlag(c, &yes)
	return c
}

func (p *program) keyfileDeleteAdmin(ctx context.Context, ks *keyFlags, path, name string, yes bool) error {
	name = strings.ToUpper(name)
	return p.withKeyfile(ctx, ks, path, nil, func(f *keyfile.File) error {
		if err := f.CanDeleteAdmin(name); err != nil {
			return aboutAdmin(path, name, err)
		}
		p.warn("%s", keyfile.OldCopies)
		if err := p.confirm(ctx, yes, fmt.Sprintf("Delete administrator %s from %s?", name, path)); err != nil {
			return err
		}
		_, err := f.DeleteAdmin(name)
		return err
	})
}

func (p *program) keyfileChangePasswordCmd() *cobra.Command {
	var o newPasswordFlags
	c := p.verb("change-password FILE NAME", "Change an administrator's password", cobra.ExactArgs(2),
		func(ctx context.Context, args []string) error {
			return p.keyfileChangePassword(ctx, args[0], args[1], &o)
		})
	c.Long = "Change an administrator's password. Any administrator may change any password; --admin and " +
		"--password-file say who does. Without --admin it is NAME."
	o.register(c)
	return c
}

func (p *program) keyfileChangePassword(ctx context.Context, path, name string, o *newPasswordFlags) error {
	if len(o.keys.admins) == 0 && p.getenv(envAdmin) == "" {
		o.keys.admins = []string{name}
	}
	return p.withKeyfile(ctx, &o.keys, path, o.strength.options(), func(f *keyfile.File) error {
		if !hasAdmin(f, name) {
			return aboutAdmin(path, name, keyfile.ErrUnknownAdmin)
		}
		cred, err := p.newPassword(ctx, o.file, name)
		if err != nil {
			return err
		}
		defer secmem.Wipe(cred.Password)
		p.warnWeak(cred.Password)
		if err := f.ChangePassword(cred.Admin, cred.Password); err != nil {
			return err
		}
		p.warn("%s", keyfile.OldCopies)
		return nil
	})
}
