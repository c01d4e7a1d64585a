package plainfile

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/cofferdb/coffer/blockstore"
	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/fsx"
)

// Decrypt makes the volume at path the plain file that it holds, under the same
// path, identical to the byte. keys must hold every key that the volume needs:
// both, if a re-key was interrupted. o may be nil. If ctx ends, the work stops
// with its error, path is still the volume, and the next call goes on.
//
// Errors: [ErrHardLinks], [ErrNotRegular], [ErrSpace], those of
// [blockstore.Open] and of reading and writing. A block that cannot be read ends
// the work: a plain file has no way to say that something is lost. In each case
// path is a whole volume, except with fault.OutcomeUnknown, when it may be the
// plain file already.
func Decrypt(ctx context.Context, path string, keys *dek.Keyring, o *DecryptOptions) (*Result, error) {
	if o == nil {
		o = &DecryptOptions{}
	}
	fsys := o.fs()
	h := hostOf(fsys)
	real, err := h.resolve(path)
	if err != nil {
		return nil, err
	}
	d := &decryptor{host: h, keys: keys, o: o, fs: fsys, path: real, beside: real + newSuffix}
	return d.run(ctx)
}

// decryptor is one call of Decrypt.
type decryptor struct {
	host   host
	keys   *dek.Keyring
	o      *DecryptOptions
	fs     fsx.FS
	path   string
	beside string // the plain file in the making
	res    Result
	info   *blockstore.Info // of the volume, before it is closed
}

func (d *decryptor) run(ctx context.Context) (*Result, error) {
	if err := d.host.ours(d.beside); err != nil {
		return nil, err
	}
	s, err := blockstore.Open(d.path, d.keys, &blockstore.Options{
		FS: d.fs, AllowPlain: d.o.AllowPlain, ExpectAnchor: d.o.ExpectAnchor, Workers: d.o.Workers, Logger: d.o.Logger,
	})
	if err != nil {
		return nil, err
	}
	err = d.copy(ctx, s)
	if err := errors.Join(err, s.Close()); err != nil {
		return nil, err
	}
	if err := d.promote(); err != nil {
		return nil, err
	}
	return &d.res, nil
}

// copy writes the plain file, durably, and compares the whole of it with the
// volume, which is locked: nobody can change it.
func (d *decryptor) copy(ctx context.Context, s *blockstore.Store) error {
	var err error
	if d.info, err = s.Info(); err != nil {
		return err
	}
	size := s.Size()
	d.res = Result{
		Path: d.path, Bytes: size, BlockSize: d.info.BlockSize, Suite: d.info.Suite,
		Key: d.info.WriteKey, Volume: d.info.UUID,
	}
	f, resumed, err := d.open(size)
	if err != nil {
		return err
	}
	d.res.Resumed = resumed
	if resumed {
		d.o.note("going on with the file that an interrupted run left: " + d.beside)
	}
	t := transfer{
		from: s.File(), to: f, size: size, unit: d.info.BlockSize, mend: resumed,
		progress: func(done int64) { d.o.progress(Build, done, size) },
	}
	d.res.Written, err = t.run(ctx)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return d.compare(ctx, s, size)
}

// open creates the plain file, or takes up the one that an interrupted run
// left, with its final size and its space reserved.
func (d *decryptor) open(size int64) (f fsx.File, resumed bool, err error) {
	built, resumed, err := exists(d.fs, d.beside)
	if err != nil {
		return nil, false, err
	}
	if err := checkSpace(d.fs, d.path, size, built); err != nil {
		return nil, false, err
	}
	f, err = d.fs.Open(d.beside, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, false, fmt.Errorf("plainfile: %w", err)
	}
	if err = f.Truncate(size); err == nil && size > 0 {
		err = f.Allocate(0, size)
	}
	if err != nil {
		return nil, false, errors.Join(fmt.Errorf("plainfile: reserve space: %w", err), f.Close())
	}
	return f, resumed, nil
}

func (d *decryptor) compare(ctx context.Context, s *blockstore.Store, size int64) error {
	f, err := d.fs.Open(d.beside, os.O_RDONLY, 0)
	if err != nil {
		return fmt.Errorf("plainfile: %w", err)
	}
	same, err := equal(ctx, s.File(), f, size, func(done int64) { d.o.progress(Compare, done, size) })
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if !same {
		return fmt.Errorf("plainfile: %s does not hold what was written to it: %w", d.beside, fault.Damaged)
	}
	return d.looks()
}

// looks notes in the result what the content is.
func (d *decryptor) looks() error {
	f, err := d.fs.Open(d.beside, os.O_RDONLY, 0)
	if err != nil {
		return fmt.Errorf("plainfile: %w", err)
	}
	header := make([]byte, 18)
	n, _ := f.ReadAt(header, 0)
	_, d.res.SQLite = sqlitePageSize(header[:n])
	return f.Close()
}

// promote puts the plain file in the volume's place. The volume was closed
// clean, so that its file alone is complete and its journal folder can go
// first. It is locked again, and must not have been opened in between.
func (d *decryptor) promote() error {
	f, err := openForLock(d.fs, d.path)
	if err != nil {
		return fmt.Errorf("plainfile: lock the volume again: %w", err)
	}
	return errors.Join(d.replace(), f.Close())
}

func (d *decryptor) replace() error {
	now, err := blockstore.Inspect(d.path, &blockstore.Options{FS: d.fs})
	if err != nil {
		return err
	}
	if now.UUID != d.info.UUID || now.Sessions != d.info.Sessions || !now.Clean {
		return fmt.Errorf("plainfile: another process opened %s at the last moment: %w", d.path, fault.InUse)
	}
	if err := removeJournal(d.fs, d.path); err != nil {
		return err
	}
	if err := d.host.copyOwnerMode(d.path, d.beside); err != nil {
		return fmt.Errorf("plainfile: keep mode and owner: %w", err)
	}
	return fsx.Promote(d.fs, d.beside, d.path)
}
