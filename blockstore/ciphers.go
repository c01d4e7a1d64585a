package blockstore

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/seal"
)

// cipherSet holds the leases of the keys in the label's slots and the ciphers
// derived from them. Ciphers are made when first used and die with the lease.
type cipherSet struct {
	keys   *dek.Keyring
	volume UUID
	holder string
	lacks  []dek.ID // keys that a salvage does without where it has to; nil otherwise

	mu      sync.RWMutex // guards the maps
	leases  map[uint8]*dek.Lease
	ciphers map[cipherKey]seal.Cipher
}

type cipherKey struct {
	slot  uint8
	epoch uint32
}

func (c *cipherSet) init(keys *dek.Keyring, volume UUID, holder string) {
	c.keys, c.volume, c.holder = keys, volume, holder
	c.leases, c.ciphers = make(map[uint8]*dek.Lease), make(map[cipherKey]seal.Cipher)
}

// lease takes the key of a slot from the keyring. A slot under suite none has none.
func (c *cipherSet) lease(i uint8, slot *keySlot) error {
	if slot.suite == seal.SuiteNone {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.leases[i] != nil {
		return nil
	}
	if c.keys == nil {
		return fault.Hint(fmt.Errorf("blockstore: the volume needs key %v and no keyring was given: %w", slot.key, fault.NotActivated),
			"activate the key from its key file")
	}
	l, err := c.keys.Lease(slot.key, dek.Database, c.holder)
	if err != nil {
		return fmt.Errorf("blockstore: the volume needs key %v: %w", slot.key, err)
	}
	c.leases[i] = l
	return nil
}

// take leases the key of a slot and checks that it is the one the volume was
// written under. One that may be lacking is left out where that fails: then
// nothing under it can be opened.
func (c *cipherSet) take(i uint8, slot *keySlot, volume UUID) error {
	err := c.lease(i, slot)
	if key := c.key(i); err == nil && key != nil && key.CheckValue(volume[:]) != slot.check {
		err = fmt.Errorf("blockstore: the key activated as %v is not the one the volume was written under: %w", slot.key, fault.WrongKey)
	}
	if err != nil && slices.Contains(c.lacks, slot.key) && (errors.Is(err, fault.NotActivated) || errors.Is(err, fault.WrongKey)) {
		c.drop(i)
		return nil
	}
	return err
}

// errLeftOut: the key of a block is one that a salvage does without.
type errLeftOut struct{ id dek.ID }

func (e errLeftOut) Error() string { return fmt.Sprintf("key %v is left out", e.id) }
func (e errLeftOut) Unwrap() error { return fault.NotActivated }

// key returns the leased key of a slot, nil under suite none.
func (c *cipherSet) key(i uint8) *dek.Key {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if l := c.leases[i]; l != nil {
		return l.Key()
	}
	return nil
}

// decryptOnly reports whether the keyring forbids sealing under a slot's key.
func (c *cipherSet) decryptOnly(i uint8) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	l := c.leases[i]
	return l != nil && l.Mode() == dek.DecryptOnly
}

// get returns the cipher of a slot and epoch of label l.
func (c *cipherSet) get(l *label, slot uint8, number uint32) (seal.Cipher, error) {
	k := cipherKey{slot, number}
	c.mu.RLock()
	cipher := c.ciphers[k]
	c.mu.RUnlock()
	if cipher != nil {
		return cipher, nil
	}
	if slot >= maxSlots || l.slots[slot].state != slotLive {
		return nil, fmt.Errorf("blockstore: a record names key slot %d, which is not in use: %w", slot, fault.Tampered)
	}
	ks := &l.slots[slot]
	e := ks.epoch(number)
	if e == nil {
		return nil, fmt.Errorf("blockstore: a record names epoch %d of key slot %d, which the label does not list: %w", number, slot, fault.Tampered)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if cipher = c.ciphers[k]; cipher != nil {
		return cipher, nil
	}
	scope := seal.Scope{Volume: c.volume, Key: ks.key, Domain: seal.DomainVolume, Epoch: number, Salt: e.salt}
	var key *dek.Key
	if lease := c.leases[slot]; lease != nil {
		key = lease.Key()
	} else if ks.suite != seal.SuiteNone {
		return nil, fmt.Errorf("blockstore: cipher of key slot %d: %w", slot, errLeftOut{ks.key})
	}
	cipher, err := seal.New(ks.suite, key, scope)
	if err != nil {
		return nil, fmt.Errorf("blockstore: cipher of key slot %d: %w", slot, err)
	}
	c.ciphers[k] = cipher
	return cipher, nil
}

// drop gives a slot's lease back and forgets its subkeys.
func (c *cipherSet) drop(slot uint8) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for k, cipher := range c.ciphers {
		if k.slot == slot {
			cipher.Close()
			delete(c.ciphers, k)
		}
	}
	if l := c.leases[slot]; l != nil {
		l.Release()
		delete(c.leases, slot)
	}
}

func (c *cipherSet) close() {
	for i := range uint8(maxSlots) {
		c.drop(i)
	}
}

// newSlot makes the slot of a key and suite with its first epoch.
func newSlot(suite Suite, key *dek.Key, volume UUID, reserve uint64) keySlot {
	k := keySlot{state: slotLive, suite: suite}
	if key != nil {
		k.bits, k.key, k.check = key.Bits(), key.ID(), key.CheckValue(volume[:])
	}
	k.epochs = []epoch{newEpoch(suite, 0, reserve)}
	return k
}
