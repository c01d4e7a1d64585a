package main

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/cofferdb/coffer/kms"
)

func (p *program) kmsRewrapCmd() *cobra.Command {
	var place placeFlags
	var service serviceFlags
	var asJSON bool
	c := p.verb("rewrap FILE [--json]", "Wrap the key of a KMS key file anew: after rotation, or under another key or provider", cobra.ExactArgs(1),
		func(ctx context.Context, args []string) error {
			return p.kmsRewrap(ctx, args[0], &place, &service, asJSON)
		})
	c.Long = `Have the service unwrap the key of FILE, and the same or another service wrap it
anew. Without flags that is the service's key as it is now: what to do after it was
rotated (of an Azure key whose URL has a version, name the new version's URL with
--server-key). The key and its ID stay, no data is touched, and FILE is replaced in one step.

Copies of FILE made before still yield the key while the old service's key works.`
	place.register(c)
	service.register(c)
	jsonFlag(c, &asJSON)
	return c
}

func (p *program) kmsRewrap(ctx context.Context, path string, place *placeFlags, service *serviceFlags, asJSON bool) error {
	to, err := place.parse()
	if err != nil {
		return err
	}
	f, err := openKMS(path, p.kmsOptions(service))
	if err != nil {
		return err
	}
	if err := f.Rewrap(ctx, to); err != nil {
		return aboutSource("KMS key file "+path, err)
	}
	info := f.Info()
	p.warnLocal(info.Provider)
	p.note("%s", kms.OldCopies)
	if asJSON {
		return p.printJSON(info)
	}
	by := info.WrappedBy
	if by == "" {
		by = info.ServerKey
	}
	return p.print("%s: key %s, wrapped by %s", path, info.KeyID, by)
}

// environment lists entries in the order of their names.
func environment(env map[string]string) []string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(env)) {
		list = append(list, name+"="+env[name])
	}
	return list
}

func (p *program) kmsTestCmd() *cobra.Command {
	var service serviceFlags
	var asJSON bool
	c := p.verb("test FILE [--json]", "Say step by step what works of using a KMS key file", cobra.ExactArgs(1),
		func(ctx context.Context, args []string) error { return p.kmsTest(ctx, args[0], &service, asJSON) })
	c.Long = `Do what using FILE needs, one step after the other, and say of each whether it
works: the file, name resolution, connection, TLS with the certificate's subject and
expiry, credentials, unwrapping, wrapping. Nothing is written.`
	service.register(c)
	jsonFlag(c, &asJSON)
	return c
}

func (p *program) kmsTest(ctx context.Context, path string, service *serviceFlags, asJSON bool) error {
	if err := mustBeFile("KMS key file", path); err != nil {
		return err
	}
	checks := kms.Probe(ctx, path, p.kmsOptions(service))
	last := checks[len(checks)-1]
	if asJSON {
		if err := p.printJSON(checks); err != nil {
			return err
		}
	} else if err := p.printChecks(checks); err != nil {
		return err
	}
	if last.Err != nil {
		return fmt.Errorf("%s: %w", last.Step, last.Err)
	}
	return nil
}

func (p *program) printChecks(checks []kms.Check) error {
	t := p.table()
	for _, c := range checks {
		state := "ok"
		if !c.OK {
			state = "FAILED"
		}
		t.row(c.Step, state, oneLine(c.Detail))
	}
	return t.flush()
}
