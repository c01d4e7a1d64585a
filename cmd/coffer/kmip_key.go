package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/kmip"
)

// serverKey is a key on a server, as --json prints it.
type serverKey struct {
	ServerID string     `json:"server_id"`
	ID       string     `json:"id,omitempty"` // the GUID
	Names    []string   `json:"names"`
	Bits     int        `json:"bits"`
	State    kmip.State `json:"state"`
	Unusable string     `json:"unusable,omitempty"` // why
}

func describeKey(k *kmip.KeyInfo) serverKey {
	s := serverKey{ServerID: k.ID, Names: k.Names, Bits: k.Bits, State: k.State}
	if s.Names == nil {
		s.Names = []string{}
	}
	if !k.GUID.IsZero() {
		s.ID = k.GUID.String()
	}
	if err := k.Usable(); err != nil {
		s.Unusable = oneLine(strings.TrimPrefix(err.Error(), "kmip: "))
	}
	return s
}

// newKeyFlags are those of kmip key create and register.
type newKeyFlags struct {
	at        kmipFlags
	name      string
	preActive bool
	json      bool
}

func (o *newKeyFlags) register(c *cobra.Command) {
	o.at.register(c)
	c.Flags().StringVar(&o.name, "name", "", "`NAME` of the key on the server; names need not be unique")
	c.Flags().BoolVar(&o.preActive, "pre-active", false, "do not activate it on the server: it is refused for new data until it is")
	jsonFlag(c, &o.json)
}

// printNewKey prints the server's identifier alone.
func (p *program) printNewKey(k *kmip.KeyInfo, o *newKeyFlags, server string) error {
	if k.ID == "" {
		return nil
	}
	p.note("key %s on server %s, which calls it %s, is %s. Copy it for outages: coffer kmip key copy.", k.GUID, server, k.ID, k.State)
	if o.json {
		return p.printJSON(describeKey(k))
	}
	return p.print("%s", k.ID)
}

func (p *program) kmipKeyCreateCmd() *cobra.Command {
	var o newKeyFlags
	var bits int
	c := p.verb("create SERVER [--bits N]", "Make a key on a server and print the server's identifier of it", cobra.ExactArgs(1),
		func(ctx context.Context, args []string) error {
			if err := checkBits(bits); err != nil {
				return err
			}
			return p.withKMIP(ctx, &o.at, args[0], func(c *kmip.Client) error {
				k, err := c.Create(ctx, kmip.NewKey{Name: o.name, Bits: bits, PreActive: o.preActive})
				return firstError(err, p.printNewKey(&k, &o, args[0]))
			})
		})
	c.Long = "Make a random AES key on a server, activate it there, and print the server's identifier of it. The server never gets " +
		"told what it is for; volumes know it by its GUID, which the server keeps beside it (coffer kmip key list shows both)."
	o.register(c)
	bitsFlag(c, &bits)
	return c
}

// firstError returns the error that came first.
func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *program) kmipKeyRegisterCmd() *cobra.Command {
	var o newKeyFlags
	var ks keyFlags
	c := p.verb("register SERVER KEYFILE ID", "Put a copy of a key file's key on a server", cobra.ExactArgs(3),
		func(ctx context.Context, args []string) error {
			return p.kmipKeyRegister(ctx, &o, &ks, args[0], args[1], args[2])
		})
	c.Long = "Put a copy of a key that a key file holds on a server, under the same GUID. The key file keeps the key."
	o.register(c)
	ks.register(c, false)
	return c
}

func (p *program) kmipKeyRegister(ctx context.Context, o *newKeyFlags, ks *keyFlags, server, path, idText string) error {
	id, err := parseID(idText)
	if err != nil {
		return err
	}
	if _, err := p.kmipServer(&o.at, server); err != nil {
		return err
	}
	f, err := p.openArg(ctx, ks, path, nil)
	if err != nil {
		return err
	}
	defer f.Close()
	k, err := f.Key(id)
	if err != nil {
		return aboutKey(path, id, err)
	}
	defer k.Destroy()
	return p.withKMIP(ctx, &o.at, server, func(c *kmip.Client) error {
		info, err := c.Register(ctx, k, kmip.NewKey{Name: o.name, PreActive: o.preActive})
		return firstError(err, p.printNewKey(&info, o, server))
	})
}

func (p *program) kmipKeyListCmd() *cobra.Command {
	var at kmipFlags
	var asJSON bool
	c := p.verb("list SERVER [--json]", "List the symmetric keys that this client sees on a server, with their states", cobra.ExactArgs(1),
		func(ctx context.Context, args []string) error {
			return p.withKMIP(ctx, &at, args[0], func(c *kmip.Client) error {
				keys, err := c.List(ctx)
				if err != nil {
					return err
				}
				return p.printServerKeys(keys, asJSON)
			})
		})
	at.register(c)
	jsonFlag(c, &asJSON)
	return c
}

func (p *program) printServerKeys(keys []kmip.KeyInfo, asJSON bool) error {
	list := []serverKey{}
	for i := range keys {
		list = append(list, describeKey(&keys[i]))
	}
	if asJSON {
		return p.printJSON(list)
	}
	t := p.table()
	t.row("KEY", "SERVER'S ID", "BITS", "STATE", "NAMES", "")
	for _, k := range list {
		id := k.ID
		if id == "" {
			id = "-"
		}
		t.row(id, k.ServerID, k.Bits, k.State, strings.Join(k.Names, ","), k.Unusable)
	}
	return t.flush()
}

func (p *program) kmipKeyAdoptCmd() *cobra.Command {
	var at kmipFlags
	c := p.verb("adopt SERVER ID", "Give a key that Coffer did not make a GUID, and print it", cobra.ExactArgs(2),
		func(ctx context.Context, args []string) error {
			return p.withKMIP(ctx, &at, args[0], func(c *kmip.Client) error {
				k, err := c.Adopt(ctx, args[1])
				if err != nil {
					return err
				}
				return p.print("%s", k.GUID)
			})
		})
	c.Long = "Give a key that another program made a GUID, which the server keeps beside it, and print the GUID. A key that has one keeps it. " +
		"Servers that take no attribute for an existing key refuse; such a key cannot be used."
	at.register(c)
	return c
}

func (p *program) kmipKeyActivateCmd() *cobra.Command {
	var at kmipFlags
	c := p.verb("activate SERVER ID", "Activate a pre-active key on the server", cobra.ExactArgs(2),
		func(ctx context.Context, args []string) error {
			return p.withKMIPKey(ctx, &at, args[0], args[1], func(c *kmip.Client, k kmip.KeyInfo) error { return c.Activate(ctx, k.ID) })
		})
	at.register(c)
	return c
}

func (p *program) kmipKeyRevokeCmd() *cobra.Command {
	var at kmipFlags
	var reason string
	var yes bool
	c := p.verb("revoke SERVER ID", "Deactivate a key on the server: it still decrypts, and encrypts nothing new", cobra.ExactArgs(2),
		func(ctx context.Context, args []string) error {
			why, err := kmip.ParseReason(reason)
			if err != nil {
				return err
			}
			return p.withKMIPKey(ctx, &at, args[0], args[1], func(c *kmip.Client, k kmip.KeyInfo) error {
				if err := p.confirm(ctx, yes, fmt.Sprintf("Revoke key %s (%s)? It cannot be taken back.", k.GUID, k.ID)); err != nil {
					return err
				}
				return c.Revoke(ctx, k.ID, why)
			})
		})
	at.register(c)
	yesFlag(c, &yes)
	c.Flags().StringVar(&reason, "reason", kmip.Cessation.String(), "`WHY`: cessation, superseded, or compromise")
	return c
}

func (p *program) kmipKeyDestroyCmd() *cobra.Command {
	var at kmipFlags
	var yes bool
	var volumes []string
	c := p.verb("destroy SERVER ID", "Destroy a key on the server; data under its only copy is lost", cobra.ExactArgs(2),
		func(ctx context.Context, args []string) error {
			return p.withKMIPKey(ctx, &at, args[0], args[1], func(c *kmip.Client, k kmip.KeyInfo) error {
				return p.kmipKeyDestroy(ctx, c, k, volumes, yes)
			})
		})
	c.Long = "Destroy a key on the server. An active key must be revoked first: coffer kmip key revoke."
	at.register(c)
	yesFlag(c, &yes)
	c.Flags().StringArrayVar(&volumes, "volume", nil, "refuse if this `VOLUME` needs the key; may be repeated")
	return c
}

func (p *program) kmipKeyDestroy(ctx context.Context, c *kmip.Client, k kmip.KeyInfo, volumes []string, yes bool) error {
	for _, v := range volumes {
		switch settled, err := p.notNeededBy(ctx, v, k.GUID); {
		case err != nil:
			return err
		case !settled:
			p.note("that volume %s does not need %s is what its files say; coffer verify with its keys proves them", v, k.GUID)
		}
	}
	if k.State == kmip.Active {
		return fault.Hint(statef("key %s (%s) is active", k.GUID, k.ID), "Revoke it first: coffer kmip key revoke.")
	}
	p.warn("what is encrypted under %s is lost for ever if this is its only copy", k.GUID)
	if err := p.confirm(ctx, yes, fmt.Sprintf("Destroy key %s (%s)?", k.GUID, k.ID)); err != nil {
		return err
	}
	return c.Destroy(ctx, k.ID)
}

func (p *program) kmipKeyCopyCmd() *cobra.Command {
	var o copyFlags
	c := p.verb("copy SERVER ID KEYFILE", "Copy a server's key into a key file, for outages", cobra.ExactArgs(3),
		func(ctx context.Context, args []string) error {
			return p.kmipKeyCopy(ctx, &o, args[0], args[1], args[2])
		})
	c.Long = "Copy a key from a server into a key file, which is made if it does not exist: for backup, and for when the server is away. " +
		"The server's states do not reach the copy."
	o.at.register(c)
	o.keys.register(c, false)
	o.strength.register(c)
	c.Flags().StringVar(&o.description, "description", "", "what the key is for")
	c.Flags().IntVar(&o.iterations, "iterations", 0, "work factor of the password of a new key file; 0 is the default")
	return c
}
