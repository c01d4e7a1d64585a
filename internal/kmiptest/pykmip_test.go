package kmiptest

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestPortTaken: a server whose port somebody else took is started at another one.
func TestPortTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	taken := l.Addr().(*net.TCPAddr).Port
	ports := []int{taken, freePort(t)}
	p := startAt(t, func() int {
		n := ports[0]
		ports = ports[1:]
		return n
	})
	require.Empty(t, ports, "the second port was asked for")
	require.NotEqual(t, taken, p.Port)
}
