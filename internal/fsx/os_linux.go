package fsx

import (
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// retry runs a system call again for as long as a signal interrupts it.
func retry(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// allocate is fallocate with mode 0. EOPNOTSUPP and ENOSYS are errors.ErrUnsupported.
func allocate(fd uintptr, off, n int64) error {
	return retry(func() error { return unix.Fallocate(int(fd), 0, off, n) })
}

func (o *osFile) syncData(fd uintptr) error {
	return retry(func() error { return unix.Fdatasync(int(fd)) })
}

// syncDir takes EINVAL for a file system whose directories need no sync, as
// PostgreSQL does.
func syncDir(name string) error {
	fd, err := unix.Open(name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	err = retry(func() error { return unix.Fsync(fd) })
	if errors.Is(err, unix.EINVAL) {
		return nil
	}
	return err
}

func renameNoReplace(oldName, newName string) error {
	err := retry(func() error {
		return unix.Renameat2(unix.AT_FDCWD, oldName, unix.AT_FDCWD, newName, unix.RENAME_NOREPLACE)
	})
	if !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOSYS) {
		return err
	}
	return moveByLink(oldName, newName)
}

// moveByLink is for file systems without renameat2's flags: still atomic towards
// other writers, but a power cut may leave both names.
func moveByLink(oldName, newName string) error {
	if err := unix.Link(oldName, newName); err != nil {
		return err
	}
	return unix.Unlink(oldName)
}

// anonymousFile makes a file that never has a name.
func anonymousFile(dir string) (*os.File, error) {
	var fd int
	err := retry(func() (err error) {
		fd, err = unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_EXCL|unix.O_CLOEXEC, 0o600)
		return err
	})
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), filepath.Join(dir, "(anonymous)")), nil
}

func freeSpace(dir string) (int64, error) {
	var s unix.Statfs_t
	if err := retry(func() error { return unix.Statfs(dir, &s) }); err != nil {
		return 0, err
	}
	return int64(s.Bavail) * s.Bsize, nil
}
