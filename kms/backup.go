package kms

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/keyfile"
)

// Backup is a standard key file that a key is copied into (rows C2, M6): for
// the day when the service is gone.
type Backup struct {
	// Path is a key file that exists, or one to be made.
	Path string
	// Admin opens it, or becomes its first administrator.
	Admin keyfile.Credentials
	// Options are for opening and making it; FS is taken from the operation.
	Options keyfile.Options
}

// Keep puts a copy of k into the key file: a new file with k as its first key, or
// an existing one, which may hold the key already.
func (b *Backup) Keep(k *dek.Key, description string) error {
	_, err := b.put(b.Options, k, description)
	return err
}

// keep is Keep within a larger operation, with what takes it back. nil is no backup.
func (b *Backup) keep(o *Options, k *dek.Key, description string) (undo func() error, err error) {
	if b == nil {
		return func() error { return nil }, nil
	}
	opts := b.Options
	opts.FS = o.FS
	undo, err = b.put(opts, k, description)
	if err != nil {
		return nil, fmt.Errorf("kms: backup into %s: %w", b.Path, err)
	}
	return undo, nil
}

func (b *Backup) put(opts keyfile.Options, k *dek.Key, description string) (undo func() error, err error) {
	f, err := keyfile.Create(b.Path, keyfile.CreateOptions{Admin: b.Admin, Key: k, KeyDescription: description,
		Iterations: opts.Iterations, Policy: opts.Policy, FS: opts.FS})
	if err == nil {
		path, fsys := f.Path(), opts.FS
		return func() error { return fsys.Remove(path) }, f.Close()
	}
	if !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	if f, err = keyfile.Open(b.Path, b.Admin, &opts); err != nil {
		return nil, err
	}
	defer f.Close()
	switch err := f.AddExisting(k, description); {
	case errors.Is(err, keyfile.ErrKeyExists):
		return func() error { return nil }, nil
	case err != nil:
		return nil, err
	}
	return func() error { return b.takeBack(opts, k.ID()) }, nil
}

func (b *Backup) takeBack(opts keyfile.Options, id dek.ID) error {
	f, err := keyfile.Open(b.Path, b.Admin, &opts)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.DeleteKey(id)
}
