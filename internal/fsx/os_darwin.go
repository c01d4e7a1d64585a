package fsx

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

func allocate(uintptr, int64, int64) error { return errors.ErrUnsupported }

// syncData is os.File.Sync, which asks for F_FULLFSYNC: darwin's fsync leaves
// the data in the drive's cache.
func (o *osFile) syncData(uintptr) error { return o.f.Sync() }

func syncDir(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	return d.Sync()
}

func renameNoReplace(oldName, newName string) error {
	return unix.RenamexNp(oldName, newName, unix.RENAME_EXCL)
}

func anonymousFile(string) (*os.File, error) { return nil, errors.ErrUnsupported }

func freeSpace(dir string) (int64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, err
	}
	return int64(s.Bavail) * int64(s.Bsize), nil
}
