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
	// ours refuses a name that exists and is not a regular file itself.
	ours(path string) error
	// identity is what tells one state of a file from another beside size and
	// modification time.
	identity(fi fs.FileInfo) string
	// copyOwnerMode gives one file another's mode and owner.
	copyOwnerMode(from, to string) error
}

var _, _ host = osHost{}, memHost{}

func hostOf(fsys fsx.FS) host {
	if _, ok := fsys.(*fsx.Mem); ok {
		return memHost{}
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

func (osHost) ours(path string) error {
	switch fi, err := os.Lstat(path); {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("plainfile: %w", err)
	case !fi.Mode().IsRegular():
		return fault.Hint(fmt.Errorf("plainfile: %s is in the way and not a regular file: %w", path, fault.State),
			"This name is where the new file is built. Move what is there.")
	}
	return nil
}

func (osHost) identity(fi fs.FileInfo) string { return statIdentity(fi) }

func (osHost) copyOwnerMode(from, to string) error { return fsx.CopyOwnerMode(from, to) }

// memHost is for the file system in memory, which has none of this.
type memHost struct{}

func (memHost) resolve(path string) (string, error) { return path, nil }
func (memHost) ours(string) error                   { return nil }
func (memHost) identity(fs.FileInfo) string         { return "" }
func (memHost) copyOwnerMode(_, _ string) error     { return nil }
