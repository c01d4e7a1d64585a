package blockstore

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/fsx"
	"github.com/cofferdb/coffer/internal/seal"
)

// Create makes a volume and opens it read-write. It never overwrites a file:
// one that exists is refused with [ErrState]. The journal is under the
// keyring's journal key, or the volume's own where there is none; under suite
// none it is plain.
func Create(path string, keys *dek.Keyring, o CreateOptions) (*Store, error) {
	opts, err := o.Options.withDefaults()
	if err != nil {
		return nil, err
	}
	setDefault(&o.BlockSize, DefaultBlockSize)
	setDefault(&o.Suite, AESGCM)
	setDefault(&o.Perm, 0o600)
	if err := o.Suite.Allowed(true); err != nil {
		return nil, fmt.Errorf("blockstore: create: %w", err)
	}
	l, err := newLabel(keys, o, opts.Tune.SealReserve, opts.Tune.Now())
	if err != nil {
		return nil, err
	}
	if o.Suite == None {
		if !o.AllowPlain {
			return nil, ErrPlain
		}
	}
	if err := writeNewVolume(opts.FS, path, keys, l, o.Perm); err != nil {
		return nil, err
	}
	s, err := Open(path, keys, &o.Options)
	if err != nil {
		if errors.Is(err, fault.InUse) {
			return nil, err // somebody opened it already: it is theirs
		}
		return nil, errors.Join(err, opts.FS.Remove(path))
	}
	return s, nil
}

// newLabel makes the label of an empty, clean volume.
func newLabel(keys *dek.Keyring, o CreateOptions, reserve uint64, now time.Time) (*label, error) {
	lay, err := newLayout(int64(o.BlockSize))
	if err != nil {
		return nil, err
	}
	if err := lay.checkSize(o.Size); err != nil {
		return nil, err
	}
	l := &label{volume: NewUUID(), blockSize: o.BlockSize, size: o.Size, clean: true, created: seconds(now),
		height: heightFor(lay.blocks(o.Size)), stream: NewUUID()}
	l.begin(NewUUID(), 0)
	if o.Suite == seal.SuiteNone {
		l.slots[0] = newSlot(o.Suite, nil, l.volume, 0)
		l.journalKeys = []dek.ID{{}}
		return l, nil
	}
	id := o.Key
	if keys == nil {
		return nil, fmt.Errorf("blockstore: an encrypted volume needs a keyring: %w", fault.NotActivated)
	}
	if id.IsZero() {
		var ok bool
		if id, ok = keys.Default(); !ok {
			return nil, fault.Hint(fmt.Errorf("blockstore: no key given and the keyring has no default key: %w", fault.NotActivated), "name a key, or activate one")
		}
	}
	err = withKey(keys, id, func(key *dek.Key) error {
		if err := o.Suite.Valid(key.Bits()); err != nil {
			return err
		}
		l.slots[0] = newSlot(o.Suite, key, l.volume, 0)
		return nil
	})
	if err != nil {
		return nil, err
	}
	l.journalKey = id
	if j, ok := keys.Journal(); ok {
		l.journalKey = j
	}
	l.journalKeys = []dek.ID{l.journalKey}
	return l, nil
}

// withKey runs fn with a key of the keyring that may be used for new data.
func withKey(keys *dek.Keyring, id dek.ID, fn func(*dek.Key) error) error {
	if keys == nil {
		return fmt.Errorf("blockstore: key %v: no keyring was given: %w", id, fault.NotActivated)
	}
	lease, err := keys.Lease(id, dek.Database, "a call under way")
	if err != nil {
		return fmt.Errorf("blockstore: key %v: %w", id, err)
	}
	defer lease.Release()
	if lease.Mode() != dek.Active {
		return fmt.Errorf("blockstore: key %v is activated for decryption only: %w", id, fault.State)
	}
	return fn(lease.Key())
}

func writeNewVolume(fsys fsx.FS, path string, keys *dek.Keyring, l *label, perm fs.FileMode) error {
	l.generation = 1
	raw := l.encode()
	sign := func(key *dek.Key) error { return signLabel(raw, key, l.volume) }
	var err error
	if id := l.write().key; id.IsZero() {
		err = sign(nil)
	} else {
		err = withKey(keys, id, sign)
	}
	if err != nil {
		return err
	}
	err = fsx.Create(fsys, path, perm, func(f fsx.File) error {
		for _, off := range labelOffsets {
			if _, err := f.WriteAt(raw, off); err != nil {
				return err
			}
		}
		return f.Truncate(dataStart)
	})
	if errors.Is(err, fs.ErrExist) {
		return fault.Hint(fmt.Errorf("blockstore: create %s: %w", path, errors.Join(err, fault.State)), "choose another name; nothing is overwritten")
	}
	if err != nil {
		return fmt.Errorf("blockstore: create %s: %w", path, err)
	}
	return nil
}
