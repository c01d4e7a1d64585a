package fsx

import (
	"errors"
	"os"
)

// ownFiles is a file system in which others may have put a file.
type ownFiles interface {
	own(name string) (bool, error)
}

var _ ownFiles = osFS{}

// Own says whether name means a file that only this process's user can have
// made and opened: a regular file, no link, with one name, of that user, with
// mode 0600. Where a system has no owners and modes, being a regular file has
// to do. A name that means nothing is fs.ErrNotExist.
func Own(fsys FS, name string) (bool, error) {
	if o, ok := fsys.(ownFiles); ok {
		return o.own(name)
	}
	_, err := fsys.Stat(name)
	return err == nil, err
}

func (osFS) own(name string) (bool, error) {
	fi, err := os.Lstat(name)
	if err != nil || !fi.Mode().IsRegular() {
		return false, err
	}
	n, err := HardLinks(name)
	if errors.Is(err, ErrUnsupported) {
		n, err = 1, nil
	}
	return n == 1 && ownedPrivately(fi), err
}

// Alone says whether name means a regular file that has no other name, and is no
// link: what may be overwritten without touching anything else. A name that means nothing is fs.ErrNotExist.
func Alone(fsys FS, name string) (bool, error) {
	if _, ok := fsys.(osFS); !ok {
		_, err := fsys.Stat(name)
		return err == nil, err
	}
	fi, err := os.Lstat(name)
	if err != nil || !fi.Mode().IsRegular() {
		return false, err
	}
	n, err := HardLinks(name)
	if errors.Is(err, ErrUnsupported) {
		return true, nil
	}
	return n == 1, err
}

// PromoteNew is [Promote] for a name that must not exist: fs.ErrExist if it
// does, and both names are as they were.
func PromoteNew(fsys FS, prepared, name string) error {
	return promote(fsys, prepared, name, fsys.RenameNoReplace)
}

// MakePrivate takes all rights to a name from everybody but its owner: mode 0600.
// It is for sockets, which nothing else here makes.
func MakePrivate(name string) error { return os.Chmod(name, 0o600) }
