package localsock

import (
	"context"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/internal/fault"
)

func folder(t *testing.T) string {
	t.Helper()
	if !supported {
		t.Skip("unix sockets with peers: not on this system")
	}
	return t.TempDir()
}

// answer accepts one connection and sends a byte.
func answer(t *testing.T, l *Listener) {
	t.Helper()
	c, err := l.Accept()
	require.NoError(t, err)
	_, err = c.Write([]byte{7})
	require.NoError(t, err)
	require.NoError(t, c.Close())
}

func TestListenDial(t *testing.T) {
	path := filepath.Join(folder(t), "s")
	l, err := Listen(path)
	require.NoError(t, err)
	info, err := os.Lstat(path)
	require.NoError(t, err)
	require.Equal(t, fs.ModeSocket|0o600, info.Mode())
	require.Equal(t, path, l.Addr().String())

	_, err = Listen(path)
	require.ErrorIs(t, err, fault.InUse)

	c, err := Dial(context.Background(), path)
	require.NoError(t, err)
	looked, err := l.Accept() // the second Listen connected, to look
	require.NoError(t, err)
	require.NoError(t, looked.Close())
	answer(t, l)
	var b [1]byte
	_, err = c.Read(b[:])
	require.NoError(t, err)
	require.Equal(t, byte(7), b[0])
	require.NoError(t, c.Close())

	require.NoError(t, l.Close())
	require.NoError(t, l.Close())
	_, err = os.Lstat(path)
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, err = Dial(context.Background(), path)
	require.True(t, Nobody(err), "%v", err)
}

// TestStale: a socket that a killed process left is replaced, and Close removes no other than its own.
func TestStale(t *testing.T) {
	path := filepath.Join(folder(t), "s")
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	require.NoError(t, err)
	dead.SetUnlinkOnClose(false)
	require.NoError(t, dead.Close())
	_, err = Dial(context.Background(), path)
	require.True(t, Nobody(err), "%v", err)

	first, err := Listen(path)
	require.NoError(t, err)
	require.NoError(t, os.Remove(path))
	second, err := Listen(path)
	require.NoError(t, err)
	require.NoError(t, first.Close())
	_, err = os.Lstat(path)
	require.NoError(t, err, "the second one's socket stays")
	require.NoError(t, second.Close())

	require.NoError(t, os.WriteFile(path, []byte("mine"), 0o600))
	_, err = Listen(path)
	require.ErrorIs(t, err, fs.ErrExist)
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "mine", string(got))
}

func TestLongPath(t *testing.T) {
	dir := folder(t)
	if runtime.GOOS != "linux" {
		t.Skip("only Linux reaches sockets through open folders")
	}
	for range 3 {
		dir = filepath.Join(dir, strings.Repeat("long", 20))
		require.NoError(t, os.Mkdir(dir, 0o700))
	}
	l, err := Listen(filepath.Join(dir, "s"))
	require.NoError(t, err)
	c, err := Dial(context.Background(), l.Path())
	require.NoError(t, err)
	answer(t, l)
	require.NoError(t, c.Close())
	require.NoError(t, l.Close())
	_, err = os.Lstat(l.Path())
	require.ErrorIs(t, err, fs.ErrNotExist)
}

// TestPeer: who is neither this user nor root nor named is refused, on both sides.
func TestPeer(t *testing.T) {
	path := filepath.Join(folder(t), "s")
	l, err := Listen(path)
	require.NoError(t, err)
	defer l.Close()
	c, err := connect(context.Background(), path)
	require.NoError(t, err)
	defer c.Close()
	uid, err := peer(c)
	require.NoError(t, err)
	require.Equal(t, os.Geteuid(), uid)
	require.NoError(t, checkPeer(c, uid))
	if uid == 0 {
		require.NoError(t, checkPeer(c, 4242), "root may")
		return
	}
	require.ErrorIs(t, checkPeer(c, uid+1), ErrPeer)
	require.NoError(t, checkPeer(c, uid+1, uid))
}
