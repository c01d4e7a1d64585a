package plainfile

import (
	"errors"
	"fmt"
	"os"

	"github.com/cofferdb/coffer/blockstore"
	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/fsx"
)

// Left is what an interrupted [Encrypt] or [Decrypt] left beside a file.
type Left struct {
	Operation string          // "encrypt" or "decrypt"
	Volume    blockstore.UUID // that is built, zero before there is one, or that is read
	Job       string          // the file that says so
	File      string          // the file in the making; "" if there is none
}

// Look says what an interrupted run left beside path that can go on; nil if
// nothing. A nil fsys is the operating system's. It writes nothing and takes no
// lock: the run may still be at work. Errors: [ErrInTheWay], those of reading.
func Look(path string, fsys fsx.FS) (*Left, error) {
	w := lookAt(path, fsys)
	j, err := w.noted()
	if err != nil || j == nil || !w.fits(*j) {
		return nil, err
	}
	l := &Left{Operation: j.op, Volume: j.volume, Job: w.jobFile()}
	kind, err := w.host.left(w.beside, w.path)
	if err == nil && kind != leftNothing {
		l.File = w.beside
	}
	return l, err
}

// Settle ends the work of a run, "encrypt" or "decrypt", that was killed after
// the new file had its name: it removes the job's file, which was all that was
// left to do, and returns the volume's UUID. It returns false, and changes
// nothing, if that is not what happened. A nil fsys is the operating system's.
// Errors: fault.InUse, [ErrInTheWay], those of reading and removing.
func Settle(path, operation string, fsys fsx.FS) (blockstore.UUID, bool, error) {
	w := lookAt(path, fsys)
	j, err := w.settled(operation)
	if err != nil || j == nil {
		return blockstore.UUID{}, false, err
	}
	f, err := openForLock(w.fs, w.path)
	if err != nil {
		return blockstore.UUID{}, false, fmt.Errorf("plainfile: open %s: %w", w.path, err)
	}
	j, err = w.settled(operation) // nobody else can begin anything now
	if err == nil && j != nil {
		err = syncDirOf(w.fs, w.path) // the rename counts first
		if err == nil {
			err = w.end()
		}
	}
	if err = errors.Join(err, f.Close()); err != nil || j == nil {
		return blockstore.UUID{}, false, err
	}
	return j.volume, true, nil
}

func lookAt(path string, fsys fsx.FS) workplace {
	o := Options{FS: fsys}
	return newWorkplace(o.fs(), hostOf(o.fs()), fsx.Resolve(o.fs(), path))
}

// settled returns the job of an operation that is complete, nil if there is none.
func (w *workplace) settled(operation string) (*job, error) {
	j, err := w.noted()
	if err != nil || j == nil || j.op != operation {
		return nil, err
	}
	info, err := blockstore.Inspect(w.path, &blockstore.Options{FS: w.fs})
	switch {
	case errors.Is(err, fault.NotFormat) && j.op == jobDecrypt:
		done, err := w.replacedVolume()
		if err != nil || !done {
			return nil, err
		}
		return j, nil
	case errors.Is(err, fault.NotFormat):
		return nil, nil
	case err != nil:
		return nil, err
	case j.op == jobEncrypt && info.UUID == j.volume && info.Encrypted && info.Conversion == nil:
		return j, nil
	}
	return nil, nil
}

// replacedVolume says whether a plain file took the place of the volume: what
// was beside that has gone, and its journal went before it.
func (w *workplace) replacedVolume() (bool, error) {
	if _, there, err := exists(w.fs, w.beside); err != nil || there {
		return false, err
	}
	_, there, err := exists(w.fs, w.path+journalSuffix)
	if err != nil || !there {
		return err == nil, err
	}
	names, err := w.fs.ReadDir(w.path + journalSuffix)
	if err != nil {
		return false, fmt.Errorf("plainfile: %w", err)
	}
	return len(names) == 0, nil
}

// fits says whether the work that a job is of can go on: the file is what that
// work begins with. A volume whose label cannot be read may be the job's.
func (w *workplace) fits(j job) bool {
	info, err := blockstore.Inspect(w.path, &blockstore.Options{FS: w.fs})
	plain := errors.Is(err, fault.NotFormat)
	switch {
	case j.op == jobEncrypt:
		return plain
	case err == nil:
		return info.UUID == j.volume
	}
	return !plain
}

// mine refuses what lies beside the file, if it cannot be what an encryption of
// job j was building. Before the job has a UUID that is a volume, or what has
// no label yet, with the mode it was created with.
func (w *workplace) mine(j job, kind leftover) error {
	info, err := blockstore.Inspect(w.beside, &blockstore.Options{FS: w.fs})
	if j.volume.IsZero() {
		begun := kind != leftFinished
		if begun && errors.Is(err, fault.NotFormat) {
			begun, err = w.noLabelYet()
			if err != nil {
				return err
			}
		}
		if !begun {
			return fault.Hint(fmt.Errorf("%w: %s is not what the interrupted run was building", ErrInTheWay, w.beside), inTheWayHint)
		}
		return nil
	}
	if errors.Is(err, fault.NotFormat) || err == nil && info.UUID != j.volume {
		return fault.Hint(fmt.Errorf("%w: %s is not volume %v, which the interrupted run was building",
			ErrInTheWay, w.beside, j.volume), inTheWayHint)
	}
	return nil
}

// noLabelYet says whether the file in the making begins with zeros, or is empty.
func (w *workplace) noLabelYet() (bool, error) {
	f, err := w.fs.Open(w.beside, os.O_RDONLY, 0)
	if err != nil {
		return false, fmt.Errorf("plainfile: %w", err)
	}
	b := make([]byte, minBlockSize)
	n, err := f.ReadAt(b, 0)
	if err := errors.Join(ignoreEOF(err), f.Close()); err != nil {
		return false, fmt.Errorf("plainfile: %w", err)
	}
	return allZero(b[:n]), nil
}
