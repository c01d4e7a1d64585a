package element

import (
	"fmt"
	"slices"
	"sync"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
)

// holder is what refusals to deactivate a key say.
const holder = "data elements"

// Options of a Cipher. The zero value is the usual one.
type Options struct {
	// AllowUnauthenticated lets the Cipher encrypt and decrypt under suite
	// [CBCUnauthenticated]. Without it such values are refused: since the suite stands in the
	// ciphertext, somebody who edits it could choose it.
	AllowUnauthenticated bool
}

// A Cipher encrypts and decrypts data elements under the keys of a keyring. It may
// be used by many goroutines at once.
//
// From its first use of a key on it holds a lease, so that the key cannot be
// deactivated, until [Cipher.Forget] or [Cipher.Close]. Subkeys are derived once
// and kept in locked memory as long (in FIPS mode, and without kernels, on Go's heap).
type Cipher struct {
	ring *dek.Keyring
	o    Options

	mu     sync.RWMutex // guards what follows; held shared while keys are in use
	keys   []*keyState  // at most dek.MaxElementKeys
	closed bool
}

// New returns a Cipher over the keys that are, or will be, activated in ring for [dek.Element].
func New(ring *dek.Keyring) (*Cipher, error) { return NewWithOptions(ring, Options{}) }

// NewWithOptions is [New] with options.
func NewWithOptions(ring *dek.Keyring, o Options) (*Cipher, error) {
	if ring == nil {
		return nil, usagef("a keyring is missing")
	}
	if err := GCM.Allowed(); err != nil { // FIPS mode was asked for and failed
		return nil, err
	}
	return &Cipher{ring: ring, o: o}, nil
}

// Close waits for calls under way, wipes subkeys and gives leases back. Streams have
// leases of their own. It may be called again.
func (c *Cipher) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, k := range c.keys {
		k.close()
	}
	c.keys, c.closed = nil, true
}

// Forget waits for calls under way, wipes the subkeys of one key and gives its lease
// back, so that the keyring can deactivate it. A key that was not used is no error; one
// that is used again is leased again.
func (c *Cipher) Forget(key dek.ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, k := range c.keys {
		if k.id == key {
			k.close()
			c.keys = slices.Delete(c.keys, i, i+1)
			return
		}
	}
}

// use returns the state of a key with c.mu held shared; without an error the
// caller unlocks it.
func (c *Cipher) use(key dek.ID) (*keyState, error) {
	for {
		c.mu.RLock()
		for _, k := range c.keys {
			if k.id == key {
				return k, nil
			}
		}
		c.mu.RUnlock()
		if err := c.load(key); err != nil {
			return nil, err
		}
	}
}

// load leases a key.
func (c *Cipher) load(key dek.ID) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return ErrClosed
	}
	if err := checkKey(key); err != nil {
		return err
	}
	if slices.ContainsFunc(c.keys, func(k *keyState) bool { return k.id == key }) {
		return nil
	}
	lease, err := c.ring.Lease(key, dek.Element, holder)
	if err != nil {
		return fmt.Errorf("element: %w", err)
	}
	c.keys = append(c.keys, newKeyState(lease))
	return nil
}

// admit refuses suites that do not exist or that nobody has allowed.
func (c *Cipher) admit(suite Suite) error {
	if !suite.Valid() {
		return usagef("no such suite: %v", suite)
	}
	if suite == CBCUnauthenticated && !c.o.AllowUnauthenticated {
		return fault.Hint(fmt.Errorf("suite %v: %w", suite, ErrUnauthenticated),
			"Allow unauthenticated values by name (Options.AllowUnauthenticated) if whoever can write them is trusted.")
	}
	return nil
}
