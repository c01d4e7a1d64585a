//go:build unix

package plainfile

import (
	"io/fs"
	"os"
	"syscall"
)

// owned says whether this process made the file: it belongs to its user or,
// where that is root, to the owner of the file that is replaced, who got it in
// the last step.
func owned(fi, source fs.FileInfo) bool {
	mine, ok := fi.Sys().(*syscall.Stat_t)
	theirs, ok2 := source.Sys().(*syscall.Stat_t)
	if !ok || !ok2 {
		return false
	}
	me := os.Geteuid()
	return int64(mine.Uid) == int64(me) || me == 0 && mine.Uid == theirs.Uid
}

// private says whether nobody but the owner can ever have opened the file.
func private(fi fs.FileInfo) bool { return fi.Mode().Perm() == 0o600 }
