//go:build !linux && !darwin && !windows

package fsx

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

var errIsDir error = syscall.EISDIR

func allocate(uintptr, int64, int64) error { return errors.ErrUnsupported }

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
	if err := os.Link(oldName, newName); err != nil {
		return err
	}
	return os.Remove(oldName)
}

func anonymousFile(string) (*os.File, error) { return nil, ErrUnsupported }
func freeSpace(string) (int64, error)        { return 0, ErrUnsupported }

func copyOwner(_, _ fs.FileInfo, _ string) error { return nil }

func lock(uintptr, LockMode, bool) error { return ErrUnsupported }
func unlock(uintptr) error               { return nil }

func hardLinks(string) (uint64, error) { return 0, ErrUnsupported }

func ownedPrivately(fs.FileInfo) bool { return true }
