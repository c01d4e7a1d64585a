package pebblefs

import (
	"errors"
	"fmt"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
)

// holder is what refusals to deactivate a key say.
const holder = "Pebble files"

// A keyRef is a key that this FS uses: one lease, however many files are open under it.
type keyRef struct {
	lease *dek.Lease
	refs  int // open files, and the FS itself for the key of new files
}

// acquire returns the key of that ID for one more user. The error is dek.NotActivatedError where it is
// not there.
func (f *FS) acquire(id dek.ID) (*keyRef, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.acquireLocked(id)
}

func (f *FS) acquireLocked(id dek.ID) (*keyRef, error) {
	if f.closed {
		return nil, ErrClosed
	}
	if k := f.keys[id]; k != nil {
		k.refs++
		return k, nil
	}
	lease, err := f.ring.Lease(id, dek.Database, holder)
	if err != nil {
		return nil, fmt.Errorf("pebblefs: %w", err)
	}
	k := &keyRef{lease: lease, refs: 1}
	f.keys[id] = k
	return k, nil
}

// release ends one use. The lease ends with the last.
func (f *FS) release(k *keyRef) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.releaseLocked(k)
}

func (f *FS) releaseLocked(k *keyRef) {
	if k.refs--; k.refs == 0 {
		delete(f.keys, k.lease.ID())
		k.lease.Release()
	}
}

// acquireWrite returns the key of new files.
func (f *FS) acquireWrite() (*keyRef, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	k, err := f.acquireLocked(f.write)
	if err != nil {
		return nil, err
	}
	if k.lease.Mode() != dek.Active {
		f.releaseLocked(k)
		return nil, fault.Hint(fmt.Errorf("pebblefs: key %s of new files is decrypt-only: %w", f.write, fault.State),
			"Choose another key for new files with SetKey.")
	}
	return k, nil
}

// Key returns the ID of the key of new files.
func (f *FS) Key() dek.ID {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.write
}

// SetKey changes the key of files that are made from now on, recycled logs included. Files that exist,
// and those being written, stay under theirs until [FS.Rekey]. Errors: ErrNotActivated; ErrState for a key that
// may only decrypt; ErrClosed.
func (f *FS) SetKey(id dek.ID) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	k, err := f.acquireLocked(id)
	if err != nil {
		return err
	}
	if k.lease.Mode() != dek.Active {
		f.releaseLocked(k)
		return fmt.Errorf("pebblefs: key %s: %w", id, dek.ErrDecryptOnly)
	}
	if old := f.keys[f.write]; old != nil {
		f.releaseLocked(old)
	}
	f.write = id
	return nil
}

// Close ends the use of the key of new files. It is refused with ErrState while files are open; closing
// again does nothing. The keyring, and the file system below, stay the caller's to close.
func (f *FS) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil
	}
	open := len(f.writers) + len(f.randoms)
	for _, rs := range f.readers {
		open += len(rs)
	}
	if open > 0 {
		return fmt.Errorf("pebblefs: close: %d files are open: %w", open, fault.State)
	}
	f.closed = true
	f.kept.clear()
	var err error
	if f.names != nil {
		f.names.close()
	}
	for _, k := range f.keys {
		if k.lease.ID() != f.write || k.refs != 1 {
			err = errors.Join(err, fmt.Errorf("pebblefs: close: key %s is still used %d times: %w", k.lease.ID(), k.refs, fault.State))
		}
		k.lease.Release()
	}
	clear(f.keys)
	return err
}
