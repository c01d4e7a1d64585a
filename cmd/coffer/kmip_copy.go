package main

import (
	"context"
	"errors"
	"io/fs"
	"os"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/secmem"
	"github.com/cofferdb/coffer/keyfile"
	"github.com/cofferdb/coffer/kmip"
)

// copyFlags are those of kmip key copy.
type copyFlags struct {
	at          kmipFlags
	keys        keyFlags
	strength    strengthFlag
	description string
	iterations  int
}

func (p *program) kmipKeyCopy(ctx context.Context, o *copyFlags, server, id, path string) error {
	list, err := p.sources(&o.keys, path)
	if err != nil {
		return err
	}
	if _, err := p.kmipServer(&o.at, server); err != nil {
		return err
	}
	put, done, err := p.copyTarget(ctx, o, list[0])
	if err != nil {
		return err
	}
	defer done()
	return p.withKMIPKey(ctx, &o.at, server, id, func(c *kmip.Client, info kmip.KeyInfo) error {
		k, _, err := c.Get(ctx, info.ID)
		if err != nil {
			return err
		}
		defer k.Destroy()
		if info.State != kmip.Active {
			p.warn("key %s is %s on server %s, which its copy does not know: use it to read, and to re-key to another key, for nothing new", k.ID(), info.State, server)
		}
		if err := put(k); err != nil {
			return aboutKeyfile(path, err)
		}
		p.remindOfBackup(path)
		return p.print("%s", k.ID())
	})
}

// copyTarget opens the key file, or asks for what a new one needs, before the
// server is asked for anything.
func (p *program) copyTarget(ctx context.Context, o *copyFlags, s source) (put func(*dek.Key) error, done func(), err error) {
	if _, err := os.Lstat(s.file); err == nil {
		f, err := p.openKeyfile(ctx, s, nil)
		if err != nil {
			return nil, nil, err
		}
		return func(k *dek.Key) error { return f.AddExisting(k, o.description) }, func() { _ = f.Close() }, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, err
	}
	cred, err := p.newCredentials(ctx, s)
	if err != nil {
		return nil, nil, err
	}
	p.warnWeak(cred.Password)
	put = func(k *dek.Key) error {
		f, err := keyfile.Create(s.file, keyfile.CreateOptions{Admin: cred, Key: k, KeyDescription: o.description,
			Iterations: o.iterations, Policy: keyfile.Policy{Insist: o.strength.required}})
		if err != nil {
			return err
		}
		return f.Close()
	}
	return put, func() { secmem.Wipe(cred.Password) }, nil
}
