package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/keyfile"
)

// remote is a key service as a source of keys: a KMS key file, a KMIP server.
type remote struct {
	name   string               // for messages: "KMS key file app.kms"
	ids    []dek.ID             // the keys it yields where they are known before it is asked; nil: all it has
	source dek.Source           // asks the service
	away   func(err error) bool // says that the service could not be asked, as opposed to one that said no
}

// remotes are the services that the flags name, in the order in which their keys
// are activated. Nobody is asked yet.
func (p *program) remotes(k *keyFlags) ([]remote, error) {
	list, err := p.kmsRemotes(k.kms)
	if err != nil {
		return nil, err
	}
	servers, err := p.kmipRemotes(&k.kmip)
	return append(list, servers...), err
}

// keys is the keyring of one run, with where it came from.
type keys struct {
	ring    *dek.Keyring
	files   []*keyfile.File
	offline []*keyfile.File // those that had to stand in
	sources int             // how many were given
	guessed bool            // the default key is one of an offline key file, and nobody knows whether it was meant
}

// activate opens every key file, asks every service, and activates all their
// keys. None at all is no error here: what needs a key says so.
func (p *program) activate(ctx context.Context, k *keyFlags) (*keys, error) {
	from, err := p.keySources(k)
	if err != nil {
		return nil, err
	}
	ks := &keys{ring: dek.NewKeyring(), sources: from.count()}
	if err := p.fill(ctx, ks, from); err != nil {
		ks.close()
		return nil, err
	}
	return ks, nil
}

func (p *program) fill(ctx context.Context, ks *keys, from *keySources) error {
	for _, s := range from.files {
		f, err := p.openKeyfile(ctx, s, nil)
		if err != nil {
			return err
		}
		ks.files = append(ks.files, f)
		if err := p.activateFrom(ctx, ks, s.file, f.Source()); err != nil {
			return err
		}
	}
	for _, r := range from.remotes {
		err := p.activateFrom(ctx, ks, r.name, r.source)
		if err != nil && r.away(err) && len(from.offline) > 0 {
			err = p.standIn(ctx, ks, r, err, from.offline)
		}
		if err != nil {
			return aboutSource(r.name, err)
		}
	}
	return nil
}

// aboutSource says which source an error is about.
func aboutSource(name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", name, err)
}

// activateFrom activates what a source yields, and says what does not fit.
func (p *program) activateFrom(ctx context.Context, ks *keys, name string, src dek.Source) error {
	done, err := ks.ring.ActivateFrom(ctx, src, dek.Database, dek.Active)
	for _, id := range done.DidNotFit {
		p.warn("key %s of %s is not activated: at most %d fit", id, name, dek.MaxDatabaseKeys)
	}
	return err
}

// standIn takes the keys of a service that is away from the offline key files.
func (p *program) standIn(ctx context.Context, ks *keys, r remote, away error, list []source) error {
	p.warn("%s: %s", r.name, oneLine(away.Error()))
	for _, s := range list[len(ks.offline):] {
		f, err := p.openKeyfile(ctx, s, nil)
		if err != nil {
			return err
		}
		ks.offline = append(ks.offline, f)
	}
	if r.ids == nil {
		_, had := ks.ring.Default()
		ks.guessed = ks.guessed || !had
		for _, f := range ks.offline {
			p.warn("taking the keys of %s in its place", f.Path())
			if err := p.activateFrom(ctx, ks, f.Path(), f.Source()); err != nil {
				return err
			}
		}
		return nil
	}
	for _, id := range r.ids {
		if err := p.standInKey(ctx, ks, id); err != nil {
			both := errors.Join(away, err)
			if hint := fault.HintOf(err); hint != "" { // it is about what the operator asked for
				return fault.Hint(both, hint)
			}
			return both
		}
	}
	return nil
}

// standInKey activates one key from the first offline key file that has it.
func (p *program) standInKey(ctx context.Context, ks *keys, id dek.ID) error {
	for _, f := range ks.offline {
		k, err := f.Key(id)
		switch {
		case errors.Is(err, keyfile.ErrUnknownKey):
			continue
		case err != nil:
			return aboutKeyfile(f.Path(), err)
		}
		p.warn("taking key %s from %s in its place", id, f.Path())
		return p.activateFrom(ctx, ks, f.Path(), one{k})
	}
	return fault.Hint(fmt.Errorf("no offline key file holds key %s: %w", id, fault.NotActivated),
		"Copy keys while the service is there: coffer kms copy FILE KEYFILE, coffer kmip key copy SERVER ID KEYFILE. "+
			"A copy is under the key's GUID, which coffer keyfile show lists; many servers' own identifiers look like one and are another.")
}

// one is a source of a key that is there.
type one struct{ key *dek.Key }

func (o one) Keys(context.Context) ([]*dek.Key, error) { return []*dek.Key{o.key}, nil }

// close wipes every key. A volume must be closed before.
func (k *keys) close() {
	for _, f := range append(k.files, k.offline...) {
		f.Close()
	}
	_ = k.ring.Close() // refused only while something is still open; the process ends then
}
