//go:build !linux && !darwin

package localsock

import (
	"net"

	"github.com/cofferdb/coffer/internal/fault"
)

const supported = false

func peer(*net.UnixConn) (uid int, err error) { return 0, fault.Unsupported }

func addressOf(path string) (address string, done func(), err error) { return path, func() {}, nil }
