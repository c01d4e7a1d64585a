package kms

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/fsx"
)

// fileMode is what a KMS key file is created with.
const fileMode fs.FileMode = 0o600

// CreateOptions say what a new KMS key file holds. Place is required.
type CreateOptions struct {
	Options
	// Place is the service's key.
	Place Place
	// Bits is the length of the key: 128, 192 or 256; 0 is 256, or the length of Key.
	Bits int
	// Key, where not nil, is put into the file (a copy of it) instead of a new
	// random one: for keys that exist, such as those of another service.
	Key *dek.Key
	// Description is printable UTF-8, at most [MaxDescription] bytes.
	Description string
	// Backup, where not nil, is a key file that gets a copy of the key.
	Backup *Backup
}

// Create makes a KMS key file with one key, which the service of Place wraps. The
// service is asked to give the key back before anything is written, so that a
// missing permission shows now and not when data is under the key. The backup, if
// asked for, is made next, the file last, whole, with mode 0600; one that exists
// is never overwritten ([ErrFileExists]).
func Create(ctx context.Context, path string, c CreateOptions) (*File, error) {
	o, err := c.Options.complete()
	if err != nil {
		return nil, err
	}
	if err := mustNotExist(o.FS, path); err != nil {
		return nil, err
	}
	prov, place, err := o.check(c.Place)
	if err != nil {
		return nil, err
	}
	k, err := c.key()
	if err != nil {
		return nil, err
	}
	defer k.Destroy()
	next := &content{generation: 1, id: k.ID(), created: seconds(o.now()), bits: uint16(k.Bits()), place: place, description: c.Description}
	if err := next.checkFields(); err != nil { // before anybody is asked
		return nil, err
	}
	data, err := wrap(ctx, o, prov, next, k)
	if err != nil {
		return nil, err
	}
	undo, err := c.Backup.keep(o, k, c.Description)
	if err != nil {
		return nil, err
	}
	if err := notOverwritten(fsx.Create(o.FS, path, fileMode, writeAll(data))); err != nil {
		if !errors.Is(err, fault.OutcomeUnknown) { // then the file may be there, and its backup with it
			err = errors.Join(err, undo())
		}
		return nil, fmt.Errorf("kms: create: %w", err)
	}
	return &File{path: fsx.Resolve(o.FS, path), opts: o, data: data, cur: next}, nil
}

// key is a copy of the key given, or a new one.
func (c *CreateOptions) key() (*dek.Key, error) {
	switch {
	case c.Key == nil && c.Bits == 0:
		return dek.Generate(256)
	case c.Key == nil:
		return dek.Generate(c.Bits)
	case c.Bits != 0 && c.Bits != c.Key.Bits():
		return nil, usage("the key given has %d bits, not %d", c.Key.Bits(), c.Bits)
	}
	return c.Key.Clone()
}

func mustNotExist(fsys fsx.FS, path string) error {
	switch _, err := fsys.Stat(path); {
	case err == nil:
		return notOverwritten(fmt.Errorf("kms: %s: %w", path, fs.ErrExist))
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("kms: %w", err)
	}
	return nil
}

// wrap has the service of next.place wrap k, and give it back; then it completes
// next and returns the bytes of the file.
func wrap(ctx context.Context, o *Options, prov Provider, next *content, k *dek.Key) ([]byte, error) {
	w, err := prov.Connect(ctx, next.place, o)
	if err != nil {
		return nil, err
	}
	if _, err := attempt(ctx, o, StepCredentials, w.Credentials); err != nil {
		return nil, err
	}
	next.wrapped, err = attempt(ctx, o, StepWrap, func(ctx context.Context) (Wrapped, error) { return w.Wrap(ctx, k) })
	if err != nil {
		return nil, scrub(err, k.ExposeSecret())
	}
	if n := len(next.wrapped.Blob); n == 0 || n > MaxWrapped {
		return nil, fail(&Error{Provider: prov.Name(), Step: StepWrap, Kind: ErrAnswer, Message: fmt.Sprintf("a wrapped key of %d bytes", n)})
	}
	if err := next.checkFields(); err != nil { // what the service said is kept too
		return nil, fail(&Error{Provider: prov.Name(), Step: StepWrap, Kind: ErrAnswer, Message: err.Error()})
	}
	next.rewrapped = seconds(o.now())
	data, err := next.seal(k)
	if err != nil {
		return nil, err
	}
	back, err := unwrap(ctx, o, w, next, data)
	if err != nil {
		return nil, fmt.Errorf("kms: the service wrapped the key and does not give it back: %w", scrub(err, k.ExposeSecret()))
	}
	back.Destroy()
	return data, nil
}

func seconds(t time.Time) uint64 { return uint64(min(max(t.Unix(), 0), maxCreated)) }

func writeAll(data []byte) func(fsx.File) error {
	return func(g fsx.File) error {
		_, err := g.WriteAt(data, 0)
		return err
	}
}
