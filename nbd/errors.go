package nbd

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"github.com/cofferdb/coffer/blockstore"
	"github.com/cofferdb/coffer/internal/fault"
)

// Errors of a server.
var (
	// ErrClosed: the server was shut down.
	ErrClosed = errors.New("nbd: the server is shut down")
	// ErrProtocol: a client sent what the protocol does not allow; its connection was closed.
	ErrProtocol = errors.New("nbd: not the NBD protocol")
	// ErrPastEnd: a write reaches past the end of the device.
	ErrPastEnd = fmt.Errorf("nbd: past the end of the device: %w", fault.Usage)
)

var _ error = Errno(0)

// errnoNames are what a client shows people.
var errnoNames = map[Errno]string{
	EPERM: "the device is read-only", EIO: "input/output error: the server's log says more", ENOMEM: "no memory", EINVAL: "invalid request",
	ENOSPC: "no space left, or past the end of the device", EOVERFLOW: "the request is too large", ENOTSUP: "not faster than writing",
	ESHUTDOWN: "the server is shutting down",
}

// Error implements error.
func (e Errno) Error() string {
	if s, ok := errnoNames[e]; ok {
		return s
	}
	return fmt.Sprintf("error %d", uint32(e))
}

// errnos is the one table from what an error says to what a client is told. The
// first marker found in the error's chain decides; all else is EIO.
var errnos = []struct {
	marker error
	errno  Errno
}{
	{ErrPastEnd, ENOSPC},
	{fault.OutcomeUnknown, EIO},
	{fault.Tampered, EIO},
	{fault.Damaged, EIO},
	{syscall.ENOSPC, ENOSPC},
	{syscall.EDQUOT, ENOSPC},
	{syscall.EFBIG, ENOSPC},
	{blockstore.ErrReadOnly, EPERM},
	{fs.ErrPermission, EPERM},
	{blockstore.ErrClosed, ESHUTDOWN},
	{fs.ErrClosed, ESHUTDOWN},
	{syscall.ENOMEM, ENOMEM},
	{fault.Usage, EINVAL},
}

// errnoOf says what a client is told of an error; 0 for none.
func errnoOf(err error) Errno {
	var e Errno
	switch {
	case err == nil:
		return 0
	case errors.As(err, &e):
		return e
	}
	for _, m := range errnos {
		if errors.Is(err, m.marker) {
			return m.errno
		}
	}
	return EIO
}
