package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/element"
	"github.com/cofferdb/coffer/element/retable"
	"github.com/cofferdb/coffer/internal/fault"
)

// elementKeys activates keys for elements as they are met. A keyring takes four
// at a time; of more, the one that was used longest ago goes.
type elementKeys struct {
	all    *keys // of every source, activated as for volumes
	cipher *element.Cipher
	active []dek.ID // for elements, in the order of their last use
}

var _ retable.Cipher = (*elementKeys)(nil)

func (p *program) elementKeys(ctx context.Context, k *keyFlags, unauthenticated bool) (*elementKeys, error) {
	all, err := p.activate(ctx, k)
	if err != nil {
		return nil, err
	}
	c, err := element.NewWithOptions(all.ring, element.Options{AllowUnauthenticated: unauthenticated})
	if err != nil {
		all.close()
		return nil, err
	}
	return &elementKeys{all: all, cipher: c}, nil
}

func (e *elementKeys) close() {
	e.cipher.Close()
	e.all.close()
}

// need activates a key for elements.
func (e *elementKeys) need(id dek.ID) error {
	if i := slices.Index(e.active, id); i >= 0 {
		e.active = append(slices.Delete(e.active, i, i+1), id)
		return nil
	}
	from, err := e.all.ring.Lease(id, dek.Database, "a data element")
	if err != nil {
		return explainKeys(fmt.Errorf("key %s is not activated: %w", id, fault.NotActivated), e.all.sources)
	}
	defer from.Release()
	if len(e.active) == dek.MaxElementKeys {
		e.cipher.Forget(e.active[0])
		if err := e.all.ring.Deactivate(e.active[0], dek.Element); err != nil {
			return err
		}
		e.active = slices.Delete(e.active, 0, 1)
	}
	if err := e.all.ring.Activate(from.Key(), dek.Element, from.Mode()); err != nil {
		return err
	}
	e.active = append(e.active, id)
	return nil
}

// needOf activates the key that a ciphertext names. What names none is refused
// by the cipher.
func (e *elementKeys) needOf(ciphertext []byte) error {
	h, err := element.Parse(ciphertext)
	if err != nil {
		return err
	}
	return e.need(h.Key)
}

// EncryptWith implements [retable.Cipher].
func (e *elementKeys) EncryptWith(suite element.Suite, plaintext []byte, key dek.ID, context []byte) ([]byte, error) {
	if err := e.need(key); err != nil {
		return nil, err
	}
	b, err := e.cipher.EncryptWith(suite, plaintext, key, context)
	return b, explainElement(err)
}

// Decrypt implements [retable.Cipher].
func (e *elementKeys) Decrypt(ciphertext, context []byte) ([]byte, error) {
	if err := e.needOf(ciphertext); err != nil {
		return nil, err
	}
	p, err := e.cipher.Decrypt(ciphertext, context)
	return p, explainElement(err)
}

// Rekey implements [retable.Cipher].
func (e *elementKeys) Rekey(ciphertext []byte, to dek.ID, context []byte) ([]byte, error) {
	if err := e.needOf(ciphertext); err != nil {
		return nil, err
	}
	if err := e.need(to); err != nil {
		return nil, err
	}
	b, err := e.cipher.Rekey(ciphertext, to, context)
	return b, explainElement(err)
}
