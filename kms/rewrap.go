package kms

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"os"

	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/fsx"
)

// OldCopies says what a rewrap cannot do. Programs show it.
const OldCopies = "A copy of the KMS key file made before still yields the same key for as long as its service's key works. " +
	"Only re-keying the data ends that."

// Rewrap puts the file's key under another key of a service, under another
// service, or, where to is the place it has, under the present version of the
// service's key: what is done after the service's key was rotated. No data is
// touched, and the key and its ID stay. An empty field of to keeps what the file
// says as long as the provider stays the same.
//
// The old service must still unwrap; the new one must wrap and give the key back
// before the file is replaced, in one step. If the file was changed meanwhile,
// nothing is written ([ErrState]).
func (f *File) Rewrap(ctx context.Context, to Place) error {
	data, c := f.snapshot()
	prov, place, err := f.opts.check(c.place.moved(to, f.opts))
	if err != nil {
		return err
	}
	if c.generation >= math.MaxUint64-1 {
		return damaged("no generation is left")
	}
	k, err := f.Key(ctx)
	if err != nil {
		return fmt.Errorf("kms: rewrap: the key as it is: %w", err)
	}
	defer k.Destroy()
	next := *c
	next.generation++
	next.place, next.wrapped = place, Wrapped{}
	if err := next.checkFields(); err != nil {
		return err
	}
	sealed, err := wrap(ctx, f.opts, prov, &next, k)
	if err != nil {
		return fmt.Errorf("kms: rewrap: %w", err)
	}
	return f.replace(data, sealed, &next)
}

// moved is p where to says nothing, and to where it says something.
func (p Place) moved(to Place, o *Options) Place {
	if to.Provider != "" {
		if prov, err := o.provider(to.Provider); err != nil || prov.Name() != p.Provider {
			return to.clone() // another provider takes nothing over; an unknown one is refused by check
		}
	}
	q := p.clone()
	if to.ServerKey != "" {
		q.ServerKey = to.ServerKey
		if regionOf(to.ServerKey) != "" { // an ARN says its region
			q.Region = ""
		}
	}
	if to.Region != "" {
		q.Region = to.Region
	}
	if to.Endpoint != "" {
		q.Endpoint = to.Endpoint
	}
	if to.Env != nil {
		q.Env = to.clone().Env
	}
	return q
}

// replace writes the new file if the old one is still what it was made from.
func (f *File) replace(old, sealed []byte, next *content) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	g, err := fsx.OpenLocked(f.opts.FS, f.path, os.O_RDWR, 0, fsx.Exclusive)
	if err != nil {
		return fault.Hint(fmt.Errorf("kms: rewrap: %w", err), "Another process may be changing the file; try again.")
	}
	defer func() { _ = g.Close() }() // frees the lock; nothing was written through it
	now, err := readOpen(g, MaxFileSize)
	if err != nil {
		return err
	}
	if !bytes.Equal(now, old) {
		return fault.Hint(fmt.Errorf("kms: rewrap: %w: the file was changed meanwhile", fault.State), "Look at it, and try again.")
	}
	if err := fsx.Replace(f.opts.FS, f.path, fileMode, writeAll(sealed)); err != nil { // mode and owner stay
		return fmt.Errorf("kms: rewrap: %w", err)
	}
	f.data, f.cur = sealed, next
	return nil
}
