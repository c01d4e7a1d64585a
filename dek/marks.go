package dek

import (
	"fmt"
	"slices"
)

// Default returns the key that new volumes get, and false while there is none.
func (r *Keyring) Default() (ID, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.def, !r.def.IsZero()
}

// Journal returns the key that new journal segments get, and false while there is none.
func (r *Keyring) Journal() (ID, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.journal, !r.journal.IsZero()
}

// SetDefault makes an activated database key the default key. It matters only
// when a volume is created; nothing that exists changes. Errors:
// [ErrNotActivated], [ErrDecryptOnly], [ErrClosed].
func (r *Keyring) SetDefault(id ID) error { return r.setMark(&r.def, id) }

// SetJournal makes an activated database key the journal key, for segments begun
// from now on; the old one stays in use until the journal is switched. Errors as
// for [Keyring.SetDefault].
func (r *Keyring) SetJournal(id ID) error { return r.setMark(&r.journal, id) }

func (r *Keyring) setMark(mark *ID, id ID) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	e, err := r.find(id, Database)
	if err != nil {
		return err
	}
	if e.uses[Database].mode.get() != Active {
		return fmt.Errorf("%w: %s cannot be the default or the journal key", ErrDecryptOnly, id)
	}
	*mark = id
	return nil
}

// SetMode changes what an activated key may do, at once and also for those that
// hold leases (see [Lease.Mode]). The default and the journal key stay active:
// making one decrypt-only is refused with a [HeldError].
func (r *Keyring) SetMode(id ID, use Use, mode Mode) error {
	if err := checkUseMode(use, mode); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	e, err := r.find(id, use)
	if err != nil {
		return err
	}
	if mode == DecryptOnly && use == Database && (id == r.def || id == r.journal) {
		return &HeldError{ID: id, Reasons: r.markReasons(id)}
	}
	e.uses[use].mode.set(mode)
	r.markFirst(id, use, mode)
	return nil
}

// Entry is one activated key as [Keyring.List] shows it.
type Entry struct {
	ID          ID
	Bits        int
	Uses        []Use    // what it is activated for: Database, Element or both, in this order
	Mode        Mode     // for databases, or for elements where it is activated for these only
	ElementMode Mode     // for elements; 0 where it is not activated for them
	Default     bool     // new volumes get it
	Journal     bool     // new journal segments get it
	Holders     []string // who holds leases, sorted, each once
}

// List returns the activated keys sorted by ID. It shows IDs, never paths.
func (r *Keyring) List() []Entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]Entry, 0, len(r.entries))
	for _, id := range r.sortedIDs() {
		list = append(list, r.describe(id, r.entries[id]))
	}
	return list
}

// Holders names who holds leases of the key, for either use, sorted, each once;
// nobody where the key is not activated.
func (r *Keyring) Holders(id ID) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e := r.entries[id]; e != nil {
		return r.describe(id, e).Holders
	}
	return nil
}

// describe makes the entry of one key. Callers hold mu.
func (r *Keyring) describe(id ID, e *entry) Entry {
	d := Entry{ID: id, Bits: e.key.Bits(), ElementMode: e.uses[Element].mode.get(), Default: id == r.def, Journal: id == r.journal}
	for _, use := range []Use{Database, Element} {
		if m := e.uses[use].mode.get(); m != 0 {
			d.Uses = append(d.Uses, use)
			if d.Mode == 0 {
				d.Mode = m
			}
			d.Holders = append(d.Holders, e.holders(use)...)
		}
	}
	slices.Sort(d.Holders)
	d.Holders = slices.Compact(d.Holders)
	return d
}
