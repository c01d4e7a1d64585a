package plainfile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
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
// Errors: [ErrHardLinks], [ErrNotRegular], [ErrInTheWay], [ErrSpace], those of
// [blockstore.Open] and of reading and writing. A block that cannot be read ends
// the work: a plain file has no way to say that something is lost. What was
// built is removed then; only when ctx ends is it kept, and it is plain text.
// In each case path is a whole volume, except with fault.OutcomeUnknown, when it may be the
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
	d := &decryptor{workplace: newWorkplace(fsys, h, real), keys: keys, o: o}
	return d.run(ctx)
}

// decryptor is one call of Decrypt.
type decryptor struct {
	workplace
	keys *dek.Keyring
	o    *DecryptOptions
	res  Result
	info *blockstore.Info // of the volume, before it is closed
}

func (d *decryptor) run(ctx context.Context) (*Result, error) {
	left, err := d.read() // what is in the way is refused before the volume is touched
	if err != nil {
		return nil, err
	}
	s, err := d.openVolume()
	if err != nil {
		return nil, err
	}
	began, err := d.begun(s, left)
	if err == nil {
		err = d.copy(ctx, s)
	}
	if err = errors.Join(err, s.Close()); err == nil {
		err = d.promote()
	}
	if err == nil {
		return &d.res, d.end()
	}
	if began {
		err = d.failed(ctx, err)
	}
	return nil, err
}

// failed removes what was built, which is plain text, unless the work is to go on.
func (d *decryptor) failed(ctx context.Context, err error) error {
	_, there, _ := exists(d.fs, d.beside)
	switch {
	case !there && errors.Is(err, fault.OutcomeUnknown): // it may have its name, or not, after a crash
	case there && ctx.Err() != nil:
		d.o.note("the plain text so far lies in " + d.beside + ", readable by its owner only, until the work goes on")
	default:
		if left := d.abandon(); left != nil {
			return errors.Join(err, fmt.Errorf("plainfile: remove the plain text in %s: %w", d.beside, left))
		}
	}
	return err
}

// openVolume opens the volume: read-only, where its file may not be written
// and it needs no recovery.
func (d *decryptor) openVolume() (*blockstore.Store, error) {
	opts := blockstore.Options{
		FS: d.fs, AllowPlain: d.o.AllowPlain, ExpectAnchor: d.o.ExpectAnchor, Workers: d.o.Workers, Logger: d.o.Logger,
	}
	s, err := blockstore.Open(d.path, d.keys, &opts)
	if errors.Is(err, fs.ErrPermission) {
		opts.ReadOnly = true
		r, again := blockstore.Open(d.path, d.keys, &opts)
		if again != nil {
			return nil, err
		}
		s = r
	} else if err != nil {
		return nil, err
	}
	d.info, err = s.Info()
	if err == nil && opts.ReadOnly && !d.info.Clean {
		err = fault.Hint(fmt.Errorf("plainfile: %s was not closed cleanly: %w", d.path, fs.ErrPermission),
			"Recovery writes to the volume: make it writable (chmod u+w).")
	}
	if err == nil && d.o.Accept != nil {
		err = d.o.Accept(d.info)
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// begun makes the job durable, and throws away what an interrupted run left if
// that is not of this volume as it is.
func (d *decryptor) begun(s *blockstore.Store, left *job) (bool, error) {
	now := job{jobDecrypt, s.UUID()}
	if left != nil && *left != now { // what the label says is authentic only now
		if err := d.free(left); err != nil {
			return false, err
		}
		left = nil
	}
	if left == nil {
		err := d.begin(now)
		return err == nil, err
	}
	kind, err := d.host.left(d.beside, d.path)
	if err != nil {
		return false, err
	}
	if kind != leftFinished {
		d.res.Resumed = kind == leftHalf
		return true, nil
	}
	d.o.note("what an interrupted run left is not used: starting again")
	return true, d.clear(now)
}

// copy writes the plain file, durably, and compares the whole of it with the
// volume, which is locked: nobody can change it.
func (d *decryptor) copy(ctx context.Context, s *blockstore.Store) error {
	size := s.Size()
	d.res = Result{
		Path: d.path, Bytes: size, Resumed: d.res.Resumed, BlockSize: d.info.BlockSize, Suite: d.info.Suite,
		Key: d.info.WriteKey, Volume: d.info.UUID,
	}
	f, err := d.open(size)
	if err != nil {
		return err
	}
	if d.res.Resumed {
		d.o.note("going on with the file that an interrupted run left: " + d.beside)
	}
	t := transfer{
		from: s.File(), to: f, size: size, unit: d.info.BlockSize, mend: d.res.Resumed,
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
func (d *decryptor) open(size int64) (fsx.File, error) {
	built, _, err := exists(d.fs, d.beside)
	if err != nil {
		return nil, err
	}
	if err := checkSpace(d.fs, d.path, size, built); err != nil {
		return nil, err
	}
	flag := os.O_RDWR | os.O_CREATE | os.O_EXCL
	if d.res.Resumed {
		flag = os.O_RDWR
	}
	f, err := d.fs.Open(d.beside, flag, 0o600)
	if err != nil {
		return nil, fmt.Errorf("plainfile: %w", err)
	}
	if err = d.same(f); err == nil {
		err = f.Truncate(size)
	}
	if err == nil && size > 0 {
		err = f.Allocate(0, size)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("plainfile: reserve space: %w", err), f.Close())
	}
	return f, nil
}

// same makes sure that what was opened is the file that was looked at: its name
// may have been given to another one in between.
func (d *decryptor) same(f fsx.File) error {
	kind, err := d.host.left(d.beside, d.path)
	if err != nil {
		return err
	}
	same, err := d.fs.SameFile(d.beside, f)
	if err == nil && (!same || kind == leftNothing) {
		err = fmt.Errorf("%w: %s", ErrInTheWay, d.beside)
	}
	return err
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
