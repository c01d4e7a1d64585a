package plainfile

import (
	"context"
	"errors"
	"fmt"

	"github.com/cofferdb/coffer/blockstore"
	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/fsx"
)

// Encrypt makes the plain file at path a volume, under the same path, readable
// with the keys in keys. o may be nil. If ctx ends, the work stops with its
// error, path is as it was, and the next call goes on from there, as it does
// after a crash.
//
// Errors: [ErrVolume], [ErrHardLinks], [ErrNotRegular], [ErrSQLiteBusy],
// [ErrChanging], [ErrLeftJournal], [ErrInTheWay], [ErrSpace]; fault.InUse when another process is at work on it;
// fault.NotActivated; those of reading and writing. In each case path is as it
// was, except with fault.OutcomeUnknown, when it may be the whole volume already.
func Encrypt(ctx context.Context, path string, keys *dek.Keyring, o *EncryptOptions) (*Result, error) {
	if o == nil {
		o = &EncryptOptions{}
	}
	if o.Suite == blockstore.None {
		return nil, fmt.Errorf("plainfile: suite none does not encrypt: %w", fault.Usage)
	}
	src, err := openSource(path, &o.Options)
	if err != nil {
		return nil, err
	}
	e := &encryptor{workplace: newWorkplace(src.fs, src.host, src.path), src: src, keys: keys, o: o}
	res, err := e.run(ctx)
	return res, errors.Join(err, src.close())
}

// encryptor is one call of Encrypt.
type encryptor struct {
	workplace
	src  *source
	keys *dek.Keyring
	o    *EncryptOptions
	job  *job  // nil until there is one
	redo int64 // bytes between two checkpoints
	res  Result
}

func (e *encryptor) run(ctx context.Context) (*Result, error) {
	if err := e.refuse(); err != nil {
		return nil, err
	}
	if e.job == nil {
		if err := e.note(job{op: jobEncrypt}); err != nil {
			return nil, err
		}
	}
	res, err := e.work(ctx)
	if err == nil {
		return res, e.end()
	}
	if _, there, _ := exists(e.fs, e.beside); !there && !errors.Is(err, fault.OutcomeUnknown) {
		return nil, errors.Join(err, e.abandon())
	}
	return nil, err
}

// note makes the job durable, or changes it.
func (e *encryptor) note(j job) error {
	e.job = &j
	return e.begin(j)
}

// startAgain throws away what was built.
func (e *encryptor) startAgain() error {
	e.job = &job{op: jobEncrypt}
	return e.clear(*e.job)
}

func (e *encryptor) work(ctx context.Context) (*Result, error) {
	e.res.Path, e.res.SQLite = e.path, e.src.page != 0
	for n := range maxPasses {
		before, err := e.src.mark()
		if err != nil {
			return nil, err
		}
		same, err := e.pass(ctx, before, n == 0)
		if err != nil {
			return nil, err
		}
		if same {
			same, err = e.promote(before)
		}
		if err != nil {
			return nil, err
		}
		if same {
			return &e.res, nil
		}
		e.res.Restarts++
		e.o.Options.note("the file changed while it was being encrypted: going over it again")
	}
	return nil, fault.Hint(fmt.Errorf("%w: %s, %d passes", ErrChanging, e.path, maxPasses),
		"Close the programs that write to it.")
}

// refuse finds what stands against the work before anything is written.
func (e *encryptor) refuse() error {
	switch _, err := blockstore.Inspect(e.path, &blockstore.Options{FS: e.fs}); {
	case err == nil:
		return fmt.Errorf("%w: %s is a volume", ErrVolume, e.path)
	case !errors.Is(err, fault.NotFormat):
		return fmt.Errorf("plainfile: %s is a volume, or was one: %w", e.path, err)
	}
	var err error
	if e.job, err = e.read(); err != nil {
		return err
	}
	names, err := e.fs.ReadDir(e.path + journalSuffix)
	if err == nil && len(names) > 0 {
		return fault.Hint(fmt.Errorf("%w: %s", ErrLeftJournal, e.path+journalSuffix),
			"It belongs to a volume that had this path. Move it away, or put that volume back.")
	}
	m, err := e.src.mark()
	if err != nil {
		return err
	}
	e.redo = buildRedo(m.size)
	built, _, err := exists(e.fs, e.beside)
	if err != nil {
		return err
	}
	return checkSpace(e.fs, e.path, volumeBytes(m.size, e.blockSize()), built)
}

func (e *encryptor) blockSize() int {
	if e.o.BlockSize != 0 {
		return e.o.BlockSize
	}
	return e.src.blockSize()
}

// pass builds or mends the volume, closes it, and compares the whole of it with
// the file. It returns whether they are equal and the file did not change.
func (e *encryptor) pass(ctx context.Context, before mark, first bool) (bool, error) {
	s, fresh, err := e.volume(before.size)
	if err != nil {
		return false, err
	}
	if first && !fresh {
		e.res.Resumed = true
		e.o.Options.note("going on with the volume that an interrupted run left: " + e.beside)
	}
	err = e.fill(ctx, s, before.size, !fresh)
	closeErr := s.Close()
	switch {
	case errors.Is(err, errShort):
		return false, closeErr
	case errors.Is(err, errRebuild):
		e.o.Options.note("the half-built volume of an interrupted run is damaged: starting again")
		return false, e.startAgain()
	case err != nil || closeErr != nil:
		return false, errors.Join(err, closeErr)
	}
	return e.compare(ctx, before)
}

// fill copies the file into the volume, durably.
func (e *encryptor) fill(ctx context.Context, s *blockstore.Store, size int64, mend bool) error {
	if err := e.describe(s); err != nil {
		return err
	}
	if s.Size() != size {
		if err := s.Update(func(tx *blockstore.Tx) error { return tx.Resize(size) }); err != nil {
			return err
		}
	}
	t := transfer{
		from: e.src.file, to: s.File(), size: size, unit: s.BlockSize(), mend: mend, zeros: true,
		progress: func(done int64) { e.o.progress(Build, done, size) },
	}
	written, err := t.run(ctx)
	e.res.Written += written
	e.res.Bytes = size
	return err
}

func (e *encryptor) describe(s *blockstore.Store) error {
	info, err := s.Info()
	if err != nil {
		return err
	}
	e.res.BlockSize, e.res.Suite, e.res.Key, e.res.Volume = info.BlockSize, info.Suite, info.WriteKey, info.UUID
	return nil
}

// compare opens the volume anew, so that what is compared is what is in its file.
func (e *encryptor) compare(ctx context.Context, before mark) (bool, error) {
	opts := e.options()
	opts.ReadOnly = true
	s, err := blockstore.Open(e.beside, e.keys, &opts)
	if err != nil {
		return false, fmt.Errorf("plainfile: open the new volume: %w", err)
	}
	same, err := equal(ctx, e.src.file, s.File(), before.size,
		func(done int64) { e.o.progress(Compare, done, before.size) })
	if err := errors.Join(err, s.Close()); err != nil {
		return false, err
	}
	after, err := e.src.mark()
	return same && before.same(after), err
}

// promote puts the volume in the file's place. False: the file changed at the
// last moment. Mode and owner come last: a volume that has them is not opened again.
func (e *encryptor) promote(before mark) (bool, error) {
	if err := removeJournal(e.fs, e.beside); err != nil {
		return false, err
	}
	now, err := e.src.mark()
	if err != nil || !before.same(now) {
		return false, err
	}
	if e.src.page != 0 {
		if err := checkSQLiteFiles(e.fs, e.path); err != nil {
			return false, err
		}
	}
	if err := e.host.copyOwnerMode(e.path, e.beside); err != nil {
		return false, fmt.Errorf("plainfile: keep mode and owner: %w", err)
	}
	return true, fsx.Promote(e.fs, e.beside, e.path)
}

func (e *encryptor) options() blockstore.Options {
	return blockstore.Options{FS: e.fs, Workers: e.o.Workers, Logger: e.o.Logger,
		CheckpointBytes: e.redo, SegmentBytes: e.redo / 4}
}
