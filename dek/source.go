package dek

import (
	"context"
	"errors"
	"fmt"

	"github.com/cofferdb/coffer/internal/fault"
)

// Source yields keys to activate: a key file that was opened, a KMIP server, a
// KMS key file, or something of the program's own. [Keyring.ActivateFrom] takes one.
//
// A Source may also implement [ModeSource] and [MarkSource].
type Source interface {
	// Keys fetches the keys, those that matter most first, because what does not
	// fit into the keyring is left out from the end. The keys belong to the
	// caller, who destroys them. It may wait on a network: it returns when ctx
	// ends, with ctx's error. With an error there are no keys.
	Keys(ctx context.Context) ([]*Key, error)
}

// ModeSource is a Source that knows keys which may only decrypt, such as keys
// that a key server has deactivated.
type ModeSource interface {
	Source
	// Mode returns what a key that Keys has returned may do: [Active], or
	// [DecryptOnly], which no caller of ActivateFrom can raise.
	Mode(id ID) Mode
}

// MarkSource is a Source that knows which of its keys is the default and which
// the journal key.
type MarkSource interface {
	Source
	// Marks returns the IDs as of the last call of Keys; a zero ID is no mark.
	Marks() (def, journal ID)
}

// ActivateFrom fetches the keys of src and activates them as [Keyring.ActivateAll]
// does, then destroys what it fetched. mode is what the keys may do at most: a
// [ModeSource] may make single keys decrypt-only. Where the keyring had no
// default key, the marks of a [MarkSource] become the keyring's. A source that
// has no key at all is an error, [ErrNotActivated].
func (r *Keyring) ActivateFrom(ctx context.Context, src Source, use Use, mode Mode) (Activated, error) {
	if err := checkUseMode(use, mode); err != nil {
		return Activated{}, err
	}
	keys, err := src.Keys(ctx)
	defer func() {
		for _, k := range keys {
			k.Destroy()
		}
	}()
	switch {
	case err != nil:
		return Activated{}, err
	case len(keys) == 0:
		return Activated{}, errNoKeys
	}
	modes, err := modesOf(src, keys, mode)
	if err != nil {
		return Activated{}, err
	}
	a, err := r.activateAll(keys, use, modes)
	if err != nil || !a.First {
		return a, err
	}
	if m, ok := src.(MarkSource); ok {
		r.takeMarks(m.Marks())
	}
	return a, nil
}

var errNoKeys = fault.Hint(fmt.Errorf("dek: activate: %w: the source has no keys", fault.NotActivated),
	"Make a key there first.")

// modesOf returns each key's mode: mode, or less where the source says so.
func modesOf(src Source, keys []*Key, mode Mode) ([]Mode, error) {
	limits, limited := src.(ModeSource)
	modes := make([]Mode, len(keys))
	for i, k := range keys {
		modes[i] = mode
		if k == nil {
			return nil, errors.New("dek: activate: the source returned a nil key")
		}
		if !limited {
			continue
		}
		switch m := limits.Mode(k.id); {
		case !m.Valid():
			return nil, fmt.Errorf("dek: activate %s: the source gave the key no mode: %s", k.id, m)
		case m == DecryptOnly:
			modes[i] = DecryptOnly
		}
	}
	return modes, nil
}

// takeMarks makes a source's marks the keyring's. A key that did not fit, or may
// only decrypt, cannot carry one: the ring's first active key keeps it then.
func (r *Keyring) takeMarks(def, journal ID) {
	if !def.IsZero() {
		_ = r.SetDefault(def)
	}
	if !journal.IsZero() {
		_ = r.SetJournal(journal)
	}
}
