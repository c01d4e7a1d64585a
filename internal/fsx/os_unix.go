//go:build linux || darwin

package fsx

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

type unixStat = syscall.Stat_t

var errIsDir error = syscall.EISDIR

// lock uses flock: it belongs to the open file, so that two opens of one
// process exclude each other and closing one does not free the other's.
func lock(fd uintptr, mode LockMode, _ bool) error {
	how := unix.LOCK_NB | unix.LOCK_SH
	if mode == Exclusive {
		how = unix.LOCK_NB | unix.LOCK_EX
	}
	for {
		err := unix.Flock(int(fd), how)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EWOULDBLOCK):
			return ErrLocked
		}
		return err
	}
}

func unlock(fd uintptr) error { return unix.Flock(int(fd), unix.LOCK_UN) }

func hardLinks(path string) (uint64, error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	s, ok := info.Sys().(*unixStat)
	if !ok {
		return 0, ErrUnsupported
	}
	return uint64(s.Nlink), nil
}

func copyOwner(src, dst fs.FileInfo, to string) error {
	s, ok1 := src.Sys().(*unixStat)
	d, ok2 := dst.Sys().(*unixStat)
	if !ok1 || !ok2 || (s.Uid == d.Uid && s.Gid == d.Gid) {
		return nil
	}
	return os.Chown(to, int(s.Uid), int(s.Gid))
}

// ownedPrivately says whether the file is this process's user's and nobody else can have opened it.
func ownedPrivately(fi fs.FileInfo) bool {
	s, ok := fi.Sys().(*unixStat)
	return ok && int64(s.Uid) == int64(os.Geteuid()) && fi.Mode().Perm() == 0o600
}
