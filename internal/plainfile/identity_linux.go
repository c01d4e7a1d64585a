package plainfile

import (
	"fmt"
	"io/fs"
	"syscall"
)

// statIdentity adds the time of the last change of the inode, which a program
// that sets the modification time back cannot set.
func statIdentity(fi fs.FileInfo) string {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	return fmt.Sprintf("%d:%d:%d.%d", st.Dev, st.Ino, st.Ctim.Sec, st.Ctim.Nsec)
}
