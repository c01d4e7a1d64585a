package dek

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/cofferdb/coffer/internal/fault"
)

// Keyring is the table of activated keys. It knows keys by ID, never where they
// came from. The first key that can encrypt and is activated for databases
// becomes both the default and the journal key, and from then on there is
// always one of each. Create it with [NewKeyring]; close it with [Keyring.Close].
type Keyring struct {
	mu      sync.Mutex // guards everything below, and entries and leases
	entries map[ID]*entry
	used    [3]int // slots taken, by Use
	def     ID     // zero: none yet
	journal ID     // zero: none yet
	closed  bool
}

// entry is one activated key. It exists while the key has at least one use.
type entry struct {
	key  *Key
	uses [3]useState // by Use
}

type useState struct {
	mode   *modeCell // nil: not activated for this use
	leases map[*Lease]struct{}
}

// A modeCell holds the mode of one activation. Writers hold the keyring's mu;
// leases, for which it outlives a deactivation, read it without.
type modeCell struct{ v atomic.Uint32 }

func newModeCell(m Mode) *modeCell {
	c := &modeCell{}
	c.set(m)
	return c
}

// get returns the mode, and 0 where there is no cell.
func (c *modeCell) get() Mode {
	if c == nil {
		return 0
	}
	return Mode(c.v.Load())
}

func (c *modeCell) set(m Mode) { c.v.Store(uint32(m)) }

// NewKeyring returns an empty keyring.
func NewKeyring() *Keyring { return &Keyring{entries: make(map[ID]*entry)} }

// Activate makes k usable. The keyring keeps a copy of its own; k stays the
// caller's to destroy. A key that is activated for this use already is left as
// it is, mode and all, without error.
//
// Errors: [ErrKeyringFull]; [ErrWrongKey] when other bytes are activated under
// the same ID; [ErrUsage]; [ErrDestroyed]; [ErrClosed].
func (r *Keyring) Activate(k *Key, use Use, mode Mode) error {
	if err := checkUseMode(use, mode); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.check(k); err != nil {
		return err
	}
	return r.activate(k, use, mode)
}

// Activated is what [Keyring.ActivateAll] did.
type Activated struct {
	// IDs are the keys that are activated now, in the order given, those that
	// were activated before included.
	IDs []ID
	// DidNotFit are the keys left out because every slot was taken.
	DidNotFit []ID
	// First tells that the keyring's first database key was among them: it
	// became default and journal key.
	First bool
}

// ActivateAll activates keys in the order given, as many as fit: running out of
// slots is reported in DidNotFit and is an error, [ErrKeyringFull], only when not
// one of several fits. Every other error is found before anything is activated.
func (r *Keyring) ActivateAll(keys []*Key, use Use, mode Mode) (Activated, error) {
	if err := checkUseMode(use, mode); err != nil {
		return Activated{}, err
	}
	return r.activateAll(keys, use, slices.Repeat([]Mode{mode}, len(keys)))
}

// activateAll is ActivateAll with a mode for each key, use and modes checked.
func (r *Keyring) activateAll(keys []*Key, use Use, modes []Mode) (Activated, error) {
	var a Activated
	r.mu.Lock()
	defer r.mu.Unlock()
	seen := make(map[ID]*Key, len(keys))
	for _, k := range keys {
		if err := r.check(k); err != nil {
			return a, err
		}
		if s := seen[k.id]; s != nil && !s.Equal(k) {
			return a, otherBytes(k.id)
		}
		seen[k.id] = k
	}
	hadDefault := !r.def.IsZero()
	for i, k := range keys {
		switch err := r.activate(k, use, modes[i]); {
		case err == nil:
			a.IDs = append(a.IDs, k.id)
		case errors.Is(err, ErrKeyringFull):
			a.DidNotFit = append(a.DidNotFit, k.id)
		default:
			return a, err
		}
	}
	a.First = !hadDefault && !r.def.IsZero()
	if len(a.IDs) == 0 && len(a.DidNotFit) > 0 {
		return a, fullError(use)
	}
	return a, nil
}

func fullError(use Use) error {
	return fault.Hint(fmt.Errorf("%w (%d keys for %s use)", ErrKeyringFull, use.Capacity(), use),
		"Deactivate a key that is not needed, then try again.")
}

// check refuses keys that can never be activated here. Callers hold mu.
func (r *Keyring) check(k *Key) error {
	raw := k.ExposeSecret()
	switch {
	case r.closed:
		return ErrClosed
	case raw == nil:
		return ErrDestroyed
	case k.id.IsZero():
		return fmt.Errorf("dek: activate: %w: the ID is zero", fault.Usage)
	}
	if e := r.entries[k.id]; e != nil && !e.key.Equal(k) {
		return otherBytes(k.id)
	}
	return nil
}

func otherBytes(id ID) error {
	return fmt.Errorf("dek: activate %s: %w: other bytes under the same ID", id, fault.WrongKey)
}

// activate is called for keys that passed check. Callers hold mu.
func (r *Keyring) activate(k *Key, use Use, mode Mode) error {
	e := r.entries[k.id]
	switch {
	case e != nil && e.uses[use].mode != nil:
		return nil
	case r.used[use] >= use.Capacity():
		return fullError(use)
	case e == nil:
		own, err := k.Clone()
		if err != nil {
			return err
		}
		own.lent = true
		e = &entry{key: own}
		r.entries[k.id] = e
	}
	e.uses[use].mode = newModeCell(mode)
	r.used[use]++
	r.markFirst(k.id, use, mode)
	return nil
}

// markFirst keeps the rule that the first database key that can encrypt becomes
// default and journal key. Callers hold mu.
func (r *Keyring) markFirst(id ID, use Use, mode Mode) {
	if use == Database && mode == Active && r.def.IsZero() {
		r.def, r.journal = id, id
	}
}

// Deactivate takes the key out of the keyring for this use; the last use gone,
// its bytes are wiped. It is refused with a [HeldError] while the key is the
// default or the journal key (database use) or a lease is held, naming each
// reason; [ErrNotActivated] when it is not there.
func (r *Keyring) Deactivate(id ID, use Use) error {
	if err := checkUse(use); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	e, err := r.find(id, use)
	if err != nil {
		return err
	}
	if reasons := r.reasons(id, e, use); len(reasons) > 0 {
		return &HeldError{ID: id, Reasons: reasons}
	}
	e.uses[use] = useState{}
	r.used[use]--
	if e.uses[Database].mode == nil && e.uses[Element].mode == nil {
		e.key.wipe()
		delete(r.entries, id)
	}
	return nil
}

// find returns the entry of a key activated for use. Callers hold mu.
func (r *Keyring) find(id ID, use Use) (*entry, error) {
	if r.closed {
		return nil, ErrClosed
	}
	if e := r.entries[id]; e != nil && e.uses[use].mode != nil {
		return e, nil
	}
	return nil, notActivated(id, use)
}

// reasons lists why the key cannot go, marks first. Callers hold mu.
func (r *Keyring) reasons(id ID, e *entry, use Use) []string {
	var why []string
	if use == Database {
		why = r.markReasons(id)
	}
	for _, h := range e.holders(use) {
		why = append(why, "in use by "+h)
	}
	return why
}

// markReasons names the marks the key carries. Callers hold mu.
func (r *Keyring) markReasons(id ID) []string {
	var why []string
	if id == r.def {
		why = append(why, "default key")
	}
	if id == r.journal {
		why = append(why, "journal key")
	}
	return why
}

// holders lists who holds leases for use, sorted, each once.
func (e *entry) holders(use Use) []string {
	var hs []string
	for l := range e.uses[use].leases {
		hs = append(hs, l.holder)
	}
	slices.Sort(hs)
	return slices.Compact(hs)
}

// Close wipes every key and leaves the keyring unusable ([ErrClosed]). It is
// refused while any key is leased, with a [HeldError] for each such key, and
// nothing is wiped then. Closing again does nothing.
func (r *Keyring) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var held []error
	for _, id := range r.sortedIDs() {
		e := r.entries[id]
		var why []string
		for _, h := range slices.Concat(e.holders(Database), e.holders(Element)) {
			why = append(why, "in use by "+h)
		}
		if len(why) > 0 {
			held = append(held, &HeldError{ID: id, Reasons: why})
		}
	}
	if len(held) > 0 {
		return fmt.Errorf("dek: close keyring: %w", errors.Join(held...))
	}
	for _, e := range r.entries {
		e.key.wipe()
	}
	r.entries, r.def, r.journal, r.closed = nil, ID{}, ID{}, true
	r.used = [3]int{}
	return nil
}

func (r *Keyring) sortedIDs() []ID {
	ids := make([]ID, 0, len(r.entries))
	for id := range r.entries {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, ID.Compare)
	return ids
}
