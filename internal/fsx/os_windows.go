package fsx

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/windows"
)

var errIsDir error = syscall.EISDIR

func allocate(uintptr, int64, int64) error { return errors.ErrUnsupported }

func (o *osFile) syncData(uintptr) error { return o.f.Sync() }

// syncDir does nothing but look: Windows cannot sync a directory, and NTFS
// writes names through its own log in their order.
func syncDir(name string) error {
	_, err := os.Stat(name)
	return err
}

func renameNoReplace(oldName, newName string) error {
	from, err := windows.UTF16PtrFromString(oldName)
	if err != nil {
		return err
	}
	to, err := windows.UTF16PtrFromString(newName)
	if err != nil {
		return err
	}
	return windows.MoveFileEx(from, to, windows.MOVEFILE_WRITE_THROUGH)
}

func anonymousFile(string) (*os.File, error) { return nil, errors.ErrUnsupported }

func freeSpace(dir string) (int64, error) {
	p, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return 0, err
	}
	var free uint64
	if err := windows.GetDiskFreeSpaceEx(p, &free, nil, nil); err != nil {
		return 0, err
	}
	return int64(min(free, 1<<62)), nil
}

func copyOwner(_, _ fs.FileInfo, _ string) error { return nil }

// lockAt is the one byte that is locked: no content lies there, since locks of
// Windows are mandatory.
func lockAt() *windows.Overlapped { return &windows.Overlapped{OffsetHigh: 1 << 30} }

func lock(fd uintptr, mode LockMode, held bool) error {
	if held {
		if err := unlock(fd); err != nil {
			return err
		}
	}
	flags := uint32(windows.LOCKFILE_FAIL_IMMEDIATELY)
	if mode == Exclusive {
		flags |= windows.LOCKFILE_EXCLUSIVE_LOCK
	}
	err := windows.LockFileEx(windows.Handle(fd), flags, 0, 1, 0, lockAt())
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return ErrLocked
	}
	return err
}

func unlock(fd uintptr) error {
	return windows.UnlockFileEx(windows.Handle(fd), 0, 1, 0, lockAt())
}

func hardLinks(path string) (uint64, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close() }()
	var info windows.ByHandleFileInformation
	if err := windows.GetFileInformationByHandle(windows.Handle(f.Fd()), &info); err != nil {
		return 0, err
	}
	return uint64(info.NumberOfLinks), nil
}

func ownedPrivately(fs.FileInfo) bool { return true }
