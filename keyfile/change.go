package keyfile

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"time"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/fsx"
)

// fileMode is what a key file is created with.
const fileMode fs.FileMode = 0o600

// change does one change: lock the file, read and authenticate it again, edit
// what is there now, replace it in one step. edit gets a copy that it may
// change; when it fails, nothing is written.
func (f *File) change(what string, edit func(c *content) error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.kek == nil {
		return ErrClosed
	}
	g, err := lock(f.opts.FS, f.path, f.opts.LockWait)
	if err != nil {
		return fmt.Errorf("keyfile: %s: %w", what, err)
	}
	defer func() { _ = g.Close() }() // frees the lock; nothing was written through it
	data, err := readOpen(g)
	if err != nil {
		return fmt.Errorf("keyfile: %s: %w", what, err)
	}
	fresh, err := f.accept(data)
	if err != nil {
		return fmt.Errorf("keyfile: %s: %w", what, err)
	}
	next := fresh.clone()
	if err := edit(next); err != nil {
		return fmt.Errorf("keyfile: %s: %w", what, err)
	}
	next.generation++
	if err := f.write(next); err != nil {
		return fmt.Errorf("keyfile: %s: %w", what, err)
	}
	f.cur = next
	return nil
}

// write replaces the file. Callers hold its lock.
func (f *File) write(next *content) error {
	if next.generation == math.MaxUint64 {
		return damaged("no generation is left")
	}
	data, err := next.seal(f.kek)
	if err != nil {
		return err
	}
	return fsx.Replace(f.opts.FS, f.path, fileMode, writeAll(data)) // an existing file's mode and owner stay
}

func writeAll(data []byte) func(fsx.File) error {
	return func(g fsx.File) error {
		_, err := g.WriteAt(data, 0)
		return err
	}
}

// accept checks that data is this file's present or later state, and that the
// administrator who opened it still is one. Callers hold mu.
func (f *File) accept(data []byte) (*content, error) {
	c, err := decode(data)
	if err != nil {
		return nil, err
	}
	if c.guid != f.cur.guid {
		return nil, fmt.Errorf("%w: another key file was put in this one's place", fault.State)
	}
	if err := checkMAC(f.kek, c.guid, data); err != nil {
		return nil, err
	}
	if c.generation < f.cur.generation {
		return nil, fault.Hint(fmt.Errorf("%w: an older file (generation %d, %d was seen) was put in its place",
			fault.Tampered, c.generation, f.cur.generation), "If a backup copy was put back on purpose, open the file again.")
	}
	if c.findAdmin(f.admin) < 0 {
		return nil, fmt.Errorf("%w: %s was deleted meanwhile", ErrUnknownAdmin, f.admin)
	}
	return c, nil
}

// lock waits for the exclusive lock of the file that path names.
func lock(fsys fsx.FS, path string, wait time.Duration) (fsx.File, error) {
	deadline := time.Now().Add(wait)
	for {
		g, err := fsx.OpenLocked(fsys, path, os.O_RDWR, 0, fsx.Exclusive)
		if !errors.Is(err, fault.InUse) {
			return g, err
		}
		if !time.Now().Before(deadline) {
			return nil, fault.Hint(err, "Another process is changing the key file; try again.")
		}
		time.Sleep(time.Millisecond + rand.N(4*time.Millisecond)) // jitter, no secret
	}
}

func unknownKey(id dek.ID) error { return fmt.Errorf("%w: %s", ErrUnknownKey, id) }
