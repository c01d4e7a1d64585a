package keyfile

import (
	"fmt"
	"slices"
	"time"

	"github.com/cofferdb/coffer/dek"
)

// AddKey adds a new random key of bits length (128, 192 or 256; 0 is 256) and
// returns its ID. Errors: [ErrFull] for a 257th key; [ErrUsage].
func (f *File) AddKey(bits int, description string) (dek.ID, error) {
	k, err := dek.Generate(defaultBits(bits))
	if err != nil {
		return dek.ID{}, err
	}
	defer k.Destroy()
	return k.ID(), f.addKey(k, description, f.opts.now())
}

// AddExisting adds a copy of a key that was made elsewhere. Errors: those of
// AddKey; [ErrKeyExists] when the file holds it, [ErrWrongKey] when it holds
// other bytes under the same ID.
func (f *File) AddExisting(k *dek.Key, description string) error {
	return f.addKey(k, description, f.opts.now())
}

// CopyKey adds one key of this file to another one, with its description and
// date and without its marks. Errors: [ErrUnknownKey]; those of AddExisting.
func (f *File) CopyKey(id dek.ID, to *File) error {
	k, err := f.Key(id)
	if err != nil {
		return err
	}
	defer k.Destroy()
	c := f.snapshot()
	i := c.findKey(id)
	if i < 0 { // deleted since, through this File
		return unknownKey(id)
	}
	return to.addKey(k, c.keys[i].description, time.Unix(int64(c.keys[i].created), 0))
}

func (f *File) addKey(k *dek.Key, description string, created time.Time) error {
	if k.ExposeSecret() == nil {
		return dek.ErrDestroyed
	}
	if err := checkText(description); err != nil {
		return err
	}
	return f.change("add key", func(c *content) error {
		if i := c.findKey(k.ID()); i >= 0 {
			return f.sameKey(&c.keys[i], k)
		}
		if len(c.keys) >= MaxKeys {
			return fmt.Errorf("%w: it holds %d keys", ErrFull, MaxKeys)
		}
		r, err := f.wrapKey(k, description, created)
		if err != nil {
			return err
		}
		c.keys = append(c.keys, r)
		return nil
	})
}

// sameKey tells what is wrong with adding a key whose ID is there already.
// Callers hold mu.
func (f *File) sameKey(r *keyRecord, k *dek.Key) error {
	have, err := r.unwrap(f.kek)
	if err != nil {
		return err
	}
	defer have.Destroy()
	if !have.Equal(k) {
		return fmt.Errorf("%w: the file holds other bytes under the ID %s", ErrWrongKey, r.id)
	}
	return fmt.Errorf("%w: %s", ErrKeyExists, r.id)
}

// wrapKey makes a record without marks. Callers hold mu, or own f alone.
func (f *File) wrapKey(k *dek.Key, description string, created time.Time) (keyRecord, error) {
	wrapped, err := dek.Wrap(f.kek.Bytes(), k.ExposeSecret())
	if err != nil {
		return keyRecord{}, err
	}
	seconds := min(max(created.Unix(), 0), maxCreated)
	return keyRecord{id: k.ID(), created: uint64(seconds), bits: uint16(k.Bits()), wrapped: wrapped, description: description}, nil
}

// DeleteKey removes a key. Data under its last copy is lost for ever, and no
// copy of the file forgets it. Refused with a dek.HeldError (which matches
// [ErrState]) for the default and the journal key, so that a file is never
// without keys, and where [Options].NeededBy names something. [ErrUnknownKey] if it is not there.
func (f *File) DeleteKey(id dek.ID) error {
	return f.change("delete key", func(c *content) error {
		i, err := f.deletable(c, id)
		if err != nil {
			return err
		}
		c.keys = slices.Delete(c.keys, i, i+1)
		return nil
	})
}

// CanDeleteKey returns the error with which DeleteKey would refuse, and nil
// where it would not: for programs that ask before they delete.
func (f *File) CanDeleteKey(id dek.ID) error {
	_, err := f.deletable(f.snapshot(), id)
	return err
}

func (f *File) deletable(c *content, id dek.ID) (int, error) {
	i := c.findKey(id)
	if i < 0 {
		return i, unknownKey(id)
	}
	var why []string
	if c.keys[i].flags&flagDefault != 0 {
		why = append(why, "default key of the key file")
	}
	if c.keys[i].flags&flagJournal != 0 {
		why = append(why, "journal key of the key file")
	}
	if f.opts.NeededBy != nil {
		for _, who := range f.opts.NeededBy(id) {
			why = append(why, "needed by "+who)
		}
	}
	if len(why) > 0 {
		return i, &dek.HeldError{ID: id, Reasons: why}
	}
	return i, nil
}

// SetDefault marks the key that becomes a keyring's default key. [ErrUnknownKey]
// if it is not there.
func (f *File) SetDefault(id dek.ID) error { return f.setMark("set default key", flagDefault, id) }

// SetJournal marks the key that becomes a keyring's journal key.
// [ErrUnknownKey] if it is not there.
func (f *File) SetJournal(id dek.ID) error { return f.setMark("set journal key", flagJournal, id) }

func (f *File) setMark(what string, flag uint16, id dek.ID) error {
	return f.change(what, func(c *content) error {
		i := c.findKey(id)
		if i < 0 {
			return unknownKey(id)
		}
		for j := range c.keys {
			c.keys[j].flags &^= flag
		}
		c.keys[i].flags |= flag
		return nil
	})
}

// SetDescription changes the file's description: printable UTF-8, at most
// [MaxDescription] bytes.
func (f *File) SetDescription(text string) error {
	if err := checkText(text); err != nil {
		return err
	}
	return f.change("set description", func(c *content) error {
		c.description = text
		return nil
	})
}
