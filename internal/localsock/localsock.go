package localsock

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"slices"
	"sync"
	"syscall"

	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/fsx"
)

// ErrPeer: the process at the other end belongs to another user.
var ErrPeer = errors.New("the process at the other end of the socket belongs to another user")

// Listener accepts connections of this process's user, and of root.
type Listener struct {
	*net.UnixListener
	path string
	info fs.FileInfo // of the socket that was made
	once sync.Once
	err  error
}

var _ net.Listener = (*Listener)(nil)

// Listen makes a socket. One that nobody listens on any more is replaced.
// Somebody listening is [fault.InUse]; anything else of that name [fs.ErrExist].
func Listen(path string) (*Listener, error) {
	if !supported {
		return nil, fmt.Errorf("a socket for one user alone: %w", fault.Unsupported)
	}
	if err := removeStale(path); err != nil {
		return nil, err
	}
	address, done, err := addressOf(path)
	if err != nil {
		return nil, err
	}
	defer done()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: address, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	l.SetUnlinkOnClose(false)   // Close looks first whose it is
	err = fsx.MakePrivate(path) // until then the look at the peer keeps others out
	var info fs.FileInfo
	if err == nil {
		info, err = os.Lstat(path)
	}
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return &Listener{UnixListener: l, path: path, info: info}, nil
}

// removeStale removes a socket that nobody listens on.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return fault.Hint(fmt.Errorf("%s is there and is no socket: %w", path, fs.ErrExist), "Nothing is overwritten: choose another name, or move it away.")
	}
	c, err := connect(context.Background(), path)
	switch {
	case err == nil:
		return errors.Join(fault.Hint(fmt.Errorf("%s: somebody listens there: %w", path, fault.InUse), "Choose another name, or end the other process."), c.Close())
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case !errors.Is(err, syscall.ECONNREFUSED):
		return err
	}
	if err := fsx.OS().Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Path returns where the socket is.
func (l *Listener) Path() string { return l.path }

// Addr implements [net.Listener] with the path that was given.
func (l *Listener) Addr() net.Addr { return &net.UnixAddr{Name: l.path, Net: "unix"} }

// Accept implements [net.Listener]. Connections of other users are closed.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		c, err := l.AcceptUnix()
		if err != nil {
			return nil, err
		}
		if checkPeer(c, os.Geteuid()) == nil {
			return c, nil
		}
		_ = c.Close() // nothing was sent
	}
}

// Close stops listening and removes the socket, if it is still this one.
func (l *Listener) Close() error {
	l.once.Do(func() {
		if info, err := os.Lstat(l.path); err == nil && os.SameFile(info, l.info) {
			l.err = fsx.OS().Remove(l.path)
		}
		l.err = errors.Join(l.err, l.UnixListener.Close())
	})
	return l.err
}

// Dial connects to a socket of this process's user, of root, or of one of those
// named: another one's is [ErrPeer]. Where nobody listens the error is
// [fs.ErrNotExist] or ECONNREFUSED: see [Nobody].
func Dial(ctx context.Context, path string, users ...int) (net.Conn, error) {
	if !supported {
		return nil, fmt.Errorf("a socket for one user alone: %w", fault.Unsupported)
	}
	c, err := connect(ctx, path)
	if err != nil {
		return nil, err
	}
	if err := checkPeer(c, append(users, os.Geteuid())...); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), c.Close())
	}
	return c, nil
}

// Nobody reports whether an error of Dial means that nobody listens.
func Nobody(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, fault.Unsupported)
}

func connect(ctx context.Context, path string) (*net.UnixConn, error) {
	address, done, err := addressOf(path)
	if err != nil {
		return nil, err
	}
	defer done()
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", address)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", path, err)
	}
	return c.(*net.UnixConn), nil
}

// checkPeer wants the other end to be one of these users, or root.
func checkPeer(c *net.UnixConn, users ...int) error {
	uid, err := peer(c)
	if err != nil {
		return fmt.Errorf("whose the other end of the socket is: %w", err)
	}
	if uid != 0 && !slices.Contains(users, uid) {
		return ErrPeer
	}
	return nil
}
