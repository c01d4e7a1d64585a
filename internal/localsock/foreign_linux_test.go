package localsock

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

const foreignEnv = "COFFER_TEST_FOREIGN"

// TestMain is also the other user's process: it listens at a path until its standard
// input ends, or connects to one and says what it was told.
func TestMain(m *testing.M) {
	path := os.Getenv(foreignEnv)
	if path == "" {
		os.Exit(m.Run())
	}
	if l, err := net.Listen("unix", path); err == nil {
		_ = os.Chmod(path, 0o777)
		fmt.Println("listening")
		_, _ = io.Copy(io.Discard, os.Stdin)
		_ = l.Close()
		return
	}
	c, err := net.Dial("unix", path)
	if err != nil {
		fmt.Println("refused")
		return
	}
	b, err := io.ReadAll(c)
	fmt.Printf("told %d bytes, %v\n", len(b), err == nil)
}

// foreign starts this program as another user; wait ends it.
func foreign(t *testing.T, path string) (said string, wait func()) {
	t.Helper()
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), foreignEnv+"="+path)
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	in, err := c.StdinPipe()
	require.NoError(t, err)
	out, err := c.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, c.Start())
	said, err = bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	return said, func() { _ = in.Close(); require.NoError(t, c.Wait()) }
}

// TestForeigners: another user's server is not believed, and another user's client not served.
func TestForeigners(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can be another user, too")
	}
	dir, err := os.MkdirTemp("", "peer")
	require.NoError(t, err)
	defer os.RemoveAll(dir)
	require.NoError(t, os.Chmod(dir, 0o777))
	exe, err := os.ReadFile(os.Args[0])
	require.NoError(t, err)
	program := filepath.Join(dir, "program") // where the test was built others may not look
	require.NoError(t, os.WriteFile(program, exe, 0o755))
	os.Args[0], program = program, os.Args[0]
	defer func() { os.Args[0] = program }()

	planted := filepath.Join(dir, "planted")
	said, wait := foreign(t, planted)
	require.Equal(t, "listening\n", said)
	_, err = Dial(context.Background(), planted)
	require.ErrorIs(t, err, ErrPeer)
	require.False(t, Nobody(err))
	c, err := Dial(context.Background(), planted, 65534)
	require.NoError(t, err, "one who is named is believed")
	require.NoError(t, c.Close())
	wait()

	mine := filepath.Join(dir, "mine")
	l, err := Listen(mine)
	require.NoError(t, err)
	said, wait = foreign(t, mine)
	wait()
	require.Equal(t, "refused\n", said, "by the mode")
	require.NoError(t, os.Chmod(mine, 0o777))
	accepted := make(chan net.Conn, 1)
	go func() {
		c, _ := l.Accept()
		accepted <- c
	}()
	said, wait = foreign(t, mine)
	wait()
	require.Equal(t, "told 0 bytes, true\n", said, "by the look at the peer")
	require.NoError(t, l.Close())
	require.Nil(t, <-accepted)
}
