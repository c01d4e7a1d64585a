package kms

import (
	"context"
	"crypto/hmac"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/fsx"
	"github.com/cofferdb/coffer/internal/secmem"
)

// File is a KMS key file. It holds no secret and needs no closing.
type File struct {
	path string // links resolved
	opts *Options

	mu   sync.Mutex // guards what follows; not held while a service is asked
	data []byte     // the file as last read or written; never changed in place
	cur  *content   // likewise, what data says
}

// File is a source of its one key.
var _ dek.Source = (*File)(nil)

// Info is what a KMS key file says. It is authentic once [File.Key] succeeded.
type Info struct {
	KeyID       dek.ID    `json:"key"`
	Bits        int       `json:"bits"`
	Created     time.Time `json:"created"`    // the key was; to the second, UTC
	Wrapped     time.Time `json:"wrapped"`    // by the service's present key
	Generation  uint64    `json:"generation"` // 1 when created, one more with each rewrap
	Description string    `json:"description"`
	Place
	WrappedBy string `json:"wrapped_by"` // the very key, version and all, where the service says
	Algorithm string `json:"algorithm"`
}

// Open reads a KMS key file and checks what can be checked without its service:
// [ErrNotKeyFile], [ErrVersion], [ErrDamaged], in this order. It asks nobody.
func Open(path string, o *Options) (*File, error) {
	opts, err := o.complete()
	if err != nil {
		return nil, err
	}
	path = fsx.Resolve(opts.FS, path)
	data, err := readFile(opts.FS, path, MaxFileSize)
	if err != nil {
		return nil, err
	}
	c, err := decode(data)
	if err != nil {
		return nil, fault.Hint(err, "Put a backup copy of the KMS key file in its place.")
	}
	return &File{path: path, opts: opts, data: data, cur: c}, nil
}

// Inspect describes a KMS key file. Nothing it says is authentic.
func Inspect(path string, o *Options) (Info, error) {
	f, err := Open(path, o)
	if err != nil {
		return Info{}, err
	}
	return f.Info(), nil
}

// Path returns where the file is, symbolic links resolved.
func (f *File) Path() string { return f.path }

// ID returns the ID of the file's key.
func (f *File) ID() dek.ID { _, c := f.snapshot(); return c.id }

// Info describes the file as last read or written.
func (f *File) Info() Info {
	_, c := f.snapshot()
	return Info{KeyID: c.id, Bits: int(c.bits), Created: date(c.created), Wrapped: date(c.rewrapped), Generation: c.generation,
		Description: c.description, Place: c.place.clone(), WrappedBy: c.wrapped.By, Algorithm: c.wrapped.Algorithm}
}

func date(seconds uint64) time.Time { return time.Unix(int64(seconds), 0).UTC() }

func (f *File) snapshot() ([]byte, *content) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.data, f.cur
}

// Keys returns the file's key, from its service: a [dek.Source].
func (f *File) Keys(ctx context.Context) ([]*dek.Key, error) {
	k, err := f.Key(ctx)
	if err != nil {
		return nil, err
	}
	return []*dek.Key{k}, nil
}

// Key asks the service to unwrap the file's key and authenticates the file under
// it; the caller destroys it. Errors: an [*Error] of the service; [ErrWrongKey]
// where the service gave another key back; [ErrTampered] where it gave this one
// and the file was altered; [ErrUsage] where the file names a place that its
// provider does not take.
func (f *File) Key(ctx context.Context) (*dek.Key, error) {
	data, c := f.snapshot()
	w, err := f.opts.connect(ctx, c.place)
	if err != nil {
		return nil, err
	}
	return unwrap(ctx, f.opts, w, c, data)
}

// connect prepares to use a place, and gets its credentials.
func (o *Options) connect(ctx context.Context, p Place) (Wrapper, error) {
	prov, p, err := o.check(p)
	if err != nil {
		return nil, err
	}
	w, err := prov.Connect(ctx, p, o)
	if err != nil {
		return nil, err
	}
	if _, err := attempt(ctx, o, StepCredentials, w.Credentials); err != nil {
		return nil, err
	}
	return w, nil
}

// unwrap gets the key of c, and authenticates data, which c was read from.
func unwrap(ctx context.Context, o *Options, w Wrapper, c *content, data []byte) (*dek.Key, error) {
	raw, err := attempt(ctx, o, StepUnwrap, func(ctx context.Context) ([]byte, error) { return w.Unwrap(ctx, c.id, c.wrapped) })
	defer secmem.Wipe(raw)
	if err != nil {
		return nil, err
	}
	if len(raw) != int(c.bits)/8 {
		return nil, otherKey("%d bits came back, the file says %d", len(raw)*8, c.bits)
	}
	k, err := dek.Import(c.id, raw)
	if err != nil {
		return nil, err
	}
	if err := authenticate(k, c, data); err != nil {
		k.Destroy()
		return nil, err
	}
	return k, nil
}

// authenticate checks the file's MAC. Where it is wrong, the check value tells
// another key from an altered file – unless that is what was altered.
func authenticate(k *dek.Key, c *content, data []byte) error {
	body := data[:len(data)-trailerSize]
	mac, err := fileMAC(k, c.id, body)
	if err != nil {
		return err
	}
	if hmac.Equal(mac[:], data[len(body):len(body)+macSize]) {
		return nil
	}
	check := k.CheckValue(c.id[:])
	if !hmac.Equal(check[:], c.check[:]) {
		return otherKey("the check value is another key's")
	}
	return fault.Hint(fmt.Errorf("kms: %w: the file's MAC is wrong", fault.Tampered), "Put a backup copy of the KMS key file in its place.")
}

// otherKey: the key is not the file's, or the file was altered so that it seems so.
func otherKey(format string, args ...any) error {
	return fault.Hint(fmt.Errorf("kms: another key came back than the file was made with, or the file was altered: %w: %s",
		fault.Both(fault.WrongKey, fault.Tampered), fmt.Sprintf(format, args...)), hints[ErrWrongKey])
}

// readFile reads a whole file of at most so many bytes, through a handle of its
// own, so that a replacement at the same time gives the old file or the new one.
func readFile(fsys fsx.FS, path string, most int) (data []byte, err error) {
	g, err := fsys.Open(path, os.O_RDONLY, 0)
	if err != nil {
		return nil, fmt.Errorf("kms: %w", err)
	}
	defer func() { err = errors.Join(err, g.Close()) }()
	return readOpen(g, most)
}

// readOpen reads at most one byte more than the file may have.
func readOpen(g fsx.File, most int) ([]byte, error) {
	data, err := io.ReadAll(io.NewSectionReader(g, 0, int64(most)+1))
	if err != nil {
		return nil, fmt.Errorf("kms: read: %w", err)
	}
	return data, nil
}
