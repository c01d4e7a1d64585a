package plainfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/fsx"
)

// host is what only the operating system's files have: links and owners. On
// the file system in memory it does nothing.
type host interface {
	// resolve follows symbolic links and refuses what is no regular file, or
	// has several hard links.
	resolve(path string) (string, error)
	// left says what an interrupted run left at path, and refuses what it
	// cannot have left: no regular file, one with other names, or a stranger's.
	// of is the file that is replaced.
	left(path, of string) (leftover, error)
	// identity is what tells one state of a file from another beside size and
	// modification time.
	identity(fi fs.FileInfo) string
	// copyOwnerMode gives one file another's mode and owner.
	copyOwnerMode(from, to string) error
}

// leftover is what an interrupted run left at a name.
type leftover uint8

const (
	leftNothing  leftover = iota + 1
	leftHalf              // as it was created: nobody else could open it
	leftFinished          // with another mode: killed just before the rename
)

var _, _ host = osHost{}, memHost{}

func hostOf(fsys fsx.FS) host {
	if _, ok := fsys.(*fsx.Mem); ok {
		return memHost{fsys}
	}
	return osHost{}
}

type osHost struct{}

func (osHost) resolve(path string) (string, error) {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", fmt.Errorf("plainfile: %w", err)
	}
	fi, err := os.Stat(real)
	if err != nil {
		return "", fmt.Errorf("plainfile: %w", err)
	}
	if !fi.Mode().IsRegular() {
		return "", fmt.Errorf("%w: %s", ErrNotRegular, real)
	}
	switch n, err := fsx.HardLinks(real); {
	case errors.Is(err, fault.Unsupported):
	case err != nil:
		return "", fmt.Errorf("plainfile: %w", err)
	case n > 1:
		return "", fault.Hint(fmt.Errorf("%w: %s has %d", ErrHardLinks, real, n),
			"The other names would keep the old content. Remove them, or copy the file, first.")
	}
	return real, nil
}

func (osHost) left(path, of string) (leftover, error) {
	refuse := func(why string) (leftover, error) {
		return 0, fault.Hint(fmt.Errorf("%w: %s %s", ErrInTheWay, path, why), inTheWayHint)
	}
	fi, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return leftNothing, nil
	case err != nil:
		return 0, fmt.Errorf("plainfile: %w", err)
	case !fi.Mode().IsRegular():
		return refuse("is not a regular file")
	}
	source, err := os.Stat(of)
	if err != nil {
		return 0, fmt.Errorf("plainfile: %w", err)
	}
	if !owned(fi, source) {
		return refuse("belongs to somebody else")
	}
	switch n, err := fsx.HardLinks(path); {
	case errors.Is(err, fault.Unsupported):
	case err != nil:
		return 0, fmt.Errorf("plainfile: %w", err)
	case n > 1:
		return refuse("has other names")
	}
	if !private(fi) {
		return leftFinished, nil
	}
	return leftHalf, nil
}

func (osHost) identity(fi fs.FileInfo) string { return statIdentity(fi) }

func (osHost) copyOwnerMode(from, to string) error { return fsx.CopyOwnerMode(from, to) }

// memHost is for the file system in memory, which has none of this.
type memHost struct{ fs fsx.FS }

func (memHost) resolve(path string) (string, error) { return path, nil }
func (memHost) identity(fs.FileInfo) string         { return "" }
func (memHost) copyOwnerMode(_, _ string) error     { return nil }

func (h memHost) left(path, _ string) (leftover, error) {
	_, there, err := exists(h.fs, path)
	if err != nil || !there {
		return leftNothing, err
	}
	return leftHalf, nil
}
