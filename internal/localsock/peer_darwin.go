package localsock

import (
	"fmt"
	"net"

	"golang.org/x/sys/unix"

	"github.com/cofferdb/coffer/internal/fault"
)

const supported = true

// peer returns the user of the process at the other end.
func peer(c *net.UnixConn) (uid int, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *unix.Xucred
	var inner error
	if err := raw.Control(func(fd uintptr) { cred, inner = unix.GetsockoptXucred(int(fd), unix.SOL_LOCAL, unix.LOCAL_PEERCRED) }); err != nil {
		return 0, err
	}
	if inner != nil {
		return 0, inner
	}
	return int(cred.Uid), nil
}

func addressOf(path string) (address string, done func(), err error) {
	if len(path) > longest {
		return "", nil, fmt.Errorf("%s: a path of %d bytes, a socket's has at most %d: %w", path, len(path), longest, fault.Usage)
	}
	return path, func() {}, nil
}
