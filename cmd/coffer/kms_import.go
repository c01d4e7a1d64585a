package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/kms"
)

// kmsImportFlags are those of kms import.
type kmsImportFlags struct {
	place       placeFlags
	service     serviceFlags
	keys        keyFlags
	description string
}

func (p *program) kmsImportCmd() *cobra.Command {
	var o kmsImportFlags
	c := p.verb("import FILE [ID] --provider NAME --server-key ID", "Put a copy of a key that exists under a key of a key service", cobra.RangeArgs(1, 2),
		func(ctx context.Context, args []string) error { return p.kmsImport(ctx, args, &o) })
	c.Long = `Have a key service wrap a key that exists, and write FILE, a KMS key file. The key
comes from a key file (--keyfile), a KMIP server (--kmip) or another KMS key file
(--kms-keyfile), keeps its ID, and stays where it is: volumes under it open with
FILE from now on, no data is touched. ID may be left away where the sources have
one key alone.

To move a volume away from a key for good make a new one, coffer kms create, and
coffer rekey --to-key: whoever has a copy of an old key keeps it.`
	o.place.register(c)
	o.service.register(c)
	o.keys.register(c, true)
	c.Flags().StringVar(&o.description, "description", "", "what the key is for")
	_ = c.MarkFlagRequired("provider")   // these fail only for an unknown flag
	_ = c.MarkFlagRequired("server-key") //
	return c
}

func (p *program) kmsImport(ctx context.Context, args []string, o *kmsImportFlags) (err error) {
	var id dek.ID
	if len(args) > 1 {
		if id, err = parseID(args[1]); err != nil {
			return err
		}
	}
	path := args[0]
	if err := mustNotExist(path); err != nil {
		return err
	}
	place, err := o.place.parse()
	if err != nil {
		return err
	}
	p.warnLocal(place.Provider)
	ks, err := p.activate(ctx, &o.keys)
	if err != nil {
		return err
	}
	defer ks.close()
	if id, err = ks.only(id); err != nil {
		return err
	}
	lease, err := ks.ring.Lease(id, dek.Database, "kms import")
	if err != nil {
		return err
	}
	defer lease.Release()
	f, err := kms.Create(ctx, path, kms.CreateOptions{Options: *p.kmsOptions(&o.service), Place: place, Key: lease.Key(), Description: o.description})
	if err != nil {
		return err
	}
	return p.print("%s", f.ID())
}

// only is the key that was named, or the only one there is.
func (k *keys) only(id dek.ID) (dek.ID, error) {
	if !id.IsZero() {
		return id, k.has(id)
	}
	ids := k.ring.ListEncryptionKeys(dek.Database)
	switch len(ids) {
	case 0:
		return id, explainKeys(fault.NotActivated, k.sources)
	case 1:
		return ids[0], nil
	}
	texts := make([]string, len(ids))
	for i := range ids {
		texts[i] = ids[i].String()
	}
	return id, fault.Hint(usagef("the sources have %d keys: %s", len(ids), strings.Join(texts, ", ")), "Name one of them: the ID after FILE.")
}
