package fsx

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/cofferdb/coffer/internal/fault"
)

// modeKeeper is a file system that can give one file another's mode and owner.
type modeKeeper interface {
	copyOwnerMode(from, to string) error
}

var _, _ modeKeeper = osFS{}, (*Mem)(nil)

// Replace makes name hold what write writes, whole or not at all: a temporary
// file beside it is written, synced and renamed over name, and the directory is
// synced. Where name exists the new file gets its mode and owner, before
// anything is written; else it gets perm. A symbolic link is replaced, not
// followed. write must not close the file.
//
// On failure name is as it was and the temporary file is removed; only when
// the last step, syncing the directory, fails does name mean the new file
// already, and the error carries fault.OutcomeUnknown. Temporary files that
// killed processes left beside name are removed on the way.
func Replace(fsys FS, name string, perm fs.FileMode, write func(File) error) error {
	_, err := fsys.Stat(name)
	exists := err == nil
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("fsx: replace: %w", err)
	}
	return writeBeside(fsys, name, perm, exists, write, fsys.Rename)
}

// Create is Replace for a name that must not exist yet: fs.ErrExist if it does,
// also when it came to be while write was at work.
func Create(fsys FS, name string, perm fs.FileMode, write func(File) error) error {
	switch _, err := fsys.Stat(name); {
	case err == nil:
		return &fs.PathError{Op: "create", Path: name, Err: fs.ErrExist}
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("fsx: create: %w", err)
	}
	return writeBeside(fsys, name, perm, false, write, fsys.RenameNoReplace)
}

// Promote gives a file that was prepared under another name, in the same file
// system, its final name, replacing what is there: it is synced (once more, if
// the caller did), renamed, and both directories are synced. On failure before
// the rename both names are as they were; afterwards see Replace.
func Promote(fsys FS, prepared, name string) error {
	return promote(fsys, prepared, name, fsys.Rename)
}

func promote(fsys FS, prepared, name string, rename func(from, to string) error) error {
	f, err := fsys.Open(prepared, openToSync(), 0)
	if err != nil {
		return fmt.Errorf("fsx: promote: %w", err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("fsx: promote: sync %s: %w", prepared, err)
	}
	if err := rename(prepared, name); err != nil {
		return fmt.Errorf("fsx: promote: %w", err)
	}
	if err := syncRenamed(fsys, filepath.Dir(name)); err != nil {
		return err
	}
	if from := filepath.Dir(prepared); from != filepath.Dir(name) {
		return syncRenamed(fsys, from)
	}
	return nil
}

// renamesOpen: the temporary file can be renamed, and removed, while it is
// open. It then stays locked until it has its name; where it cannot, nothing
// that looks left over may be removed, since its writer may be about to rename it.
const renamesOpen = runtime.GOOS != "windows"

// openToSync are the flags of an open that is to be synced or locked only: a
// read-only file can be, but on Windows.
func openToSync() int {
	if renamesOpen {
		return os.O_RDONLY
	}
	return os.O_RDWR
}

func writeBeside(fsys FS, name string, perm fs.FileMode, keepMode bool,
	write func(File) error, rename func(from, to string) error) error {
	tmp, f, err := openTemp(fsys, name, perm)
	if err != nil {
		return fmt.Errorf("fsx: temporary file beside %s: %w", name, err)
	}
	defer func() { _ = f.Close() }() // it is synced by then, or of no use
	if err := fill(fsys, name, tmp, f, keepMode, write); err != nil {
		return discard(fsys, tmp, f, err)
	}
	if err := rename(tmp, name); err != nil {
		return discard(fsys, tmp, f, fmt.Errorf("fsx: %w", err))
	}
	return syncRenamed(fsys, filepath.Dir(name))
}

// fill makes the content of the temporary file whole and durable.
func fill(fsys FS, name, tmp string, f File, keepMode bool, write func(File) error) error {
	if k, ok := fsys.(modeKeeper); ok && keepMode {
		if err := k.copyOwnerMode(name, tmp); err != nil {
			return fmt.Errorf("fsx: keep mode and owner of %s: %w", name, err)
		}
	}
	if err := write(f); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("fsx: sync %s: %w", tmp, err)
	}
	if renamesOpen {
		return nil
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("fsx: close %s: %w", tmp, err)
	}
	return nil
}

// discard removes the temporary file, as well as it can: where that fails too,
// the next Replace of the same name takes it away.
func discard(fsys FS, tmp string, f File, cause error) error {
	if !renamesOpen {
		_ = f.Close()
	}
	_ = fsys.Remove(tmp)
	return cause
}

// openTemp creates a locked file beside name. Its name is a small number, so
// that what a killed process left is found again: such a file exists and
// nobody holds its lock.
func openTemp(fsys FS, name string, perm fs.FileMode) (string, File, error) {
	const tries = 1000
	dir, base := filepath.Split(name)
	for i := range tries {
		tmp := fmt.Sprintf("%s.%s.tmp%d", dir, base, i)
		f, err := createTemp(fsys, tmp, perm)
		if errors.Is(err, fs.ErrExist) && removeStale(fsys, tmp) {
			f, err = createTemp(fsys, tmp, perm)
		}
		if err == nil {
			return tmp, f, nil
		}
		if !errors.Is(err, fs.ErrExist) && !errors.Is(err, fault.InUse) {
			return "", nil, err
		}
	}
	return "", nil, fs.ErrExist
}

// createTemp makes the file and locks it. Between the two somebody else may
// have taken it for a stale one: that is fault.InUse.
func createTemp(fsys FS, tmp string, perm fs.FileMode) (File, error) {
	f, err := fsys.Open(tmp, os.O_RDWR|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return nil, err
	}
	if err := f.Lock(Exclusive); err != nil && !errors.Is(err, fault.Unsupported) {
		_ = f.Close()
		return nil, err
	}
	if same, err := fsys.SameFile(tmp, f); err != nil || !same {
		_ = f.Close()
		return nil, errors.Join(ErrMoved, err)
	}
	return f, nil
}

func removeStale(fsys FS, tmp string) bool {
	if !renamesOpen {
		return false
	}
	f, err := fsys.Open(tmp, openToSync(), 0)
	if err != nil {
		return errors.Is(err, fs.ErrNotExist)
	}
	defer func() { _ = f.Close() }()
	if f.Lock(Exclusive) != nil {
		return false
	}
	same, err := fsys.SameFile(tmp, f)
	return err == nil && same && fsys.Remove(tmp) == nil
}

func syncRenamed(fsys FS, dir string) error {
	if err := fsys.SyncDir(dir); err != nil {
		return fmt.Errorf("fsx: renamed, but the directory could not be synced: %w: %w", fault.OutcomeUnknown, err)
	}
	return nil
}
