package dek

import (
	"fmt"
	"sync/atomic"

	"github.com/cofferdb/coffer/internal/fault"
)

// Lease keeps a key activated while it is in use. Every user of a key holds one
// for as long as the key, or anything derived from it, is in memory. It is
// released once; it is safe for concurrent use.
type Lease struct {
	ring     *Keyring
	key      *Key
	use      Use
	holder   string
	mode     *modeCell
	released atomic.Bool
}

// Lease gives the use of an activated key to holder, a short name for people
// that refusals repeat, such as "volume 9158980E-…": it names a thing, and is
// never a secret. Errors: a [NotActivatedError]; [ErrUsage]; [ErrClosed].
func (r *Keyring) Lease(id ID, use Use, holder string) (*Lease, error) {
	if err := checkUse(use); err != nil {
		return nil, err
	}
	if holder == "" {
		return nil, fmt.Errorf("dek: lease: %w: a holder needs a name", fault.Usage)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	e, err := r.find(id, use)
	if err != nil {
		return nil, err
	}
	l := &Lease{ring: r, key: e.key, use: use, holder: holder, mode: e.uses[use].mode}
	if e.uses[use].leases == nil {
		e.uses[use].leases = make(map[*Lease]struct{})
	}
	e.uses[use].leases[l] = struct{}{}
	return l, nil
}

// Key returns the key, which belongs to the keyring ([Key.Destroy] does nothing
// to it) and is valid until [Lease.Release]. It is nil after that.
func (l *Lease) Key() *Key {
	if l.released.Load() {
		return nil
	}
	return l.key
}

// ID returns the key's ID, also after release.
func (l *Lease) ID() ID { return l.key.id }

// Mode returns what the key may do at this moment ([Keyring.SetMode] changes it
// under a lease), and 0 after release. It takes no lock, so that it can be asked
// before each use.
func (l *Lease) Mode() Mode {
	if l.released.Load() {
		return 0
	}
	return l.mode.get()
}

// Release ends the use. Nothing derived from the key may be kept. It may be
// called again, and on nil.
func (l *Lease) Release() {
	if l == nil {
		return
	}
	l.ring.mu.Lock()
	defer l.ring.mu.Unlock()
	if l.released.Swap(true) {
		return
	}
	delete(l.ring.entries[l.key.id].uses[l.use].leases, l)
}
