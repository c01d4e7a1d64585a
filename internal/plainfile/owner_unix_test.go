//go:build unix

package plainfile

import (
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

func requireSameOwner(t *testing.T, a, b os.FileInfo) {
	t.Helper()
	x, y := a.Sys().(*syscall.Stat_t), b.Sys().(*syscall.Stat_t)
	require.Equal(t, x.Uid, y.Uid)
	require.Equal(t, x.Gid, y.Gid)
}
