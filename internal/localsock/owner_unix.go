//go:build unix

package localsock

import (
	"os"
	"syscall"
)

// Owner returns the user that a file belongs to; ok is false where that is not known.
func Owner(path string) (uid int, ok bool) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return int(st.Uid), true
}

// longest is how long a path may be, in bytes, that goes into an address as it is.
const longest = 100
