//go:build linux || darwin

package fsx

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestOwnRefuses what somebody else could have made, or opened, or reach under another name.
func TestOwnRefuses(t *testing.T) {
	for what, plant := range map[string]func(name string) error{
		"readable by others": func(name string) error { return os.Chmod(name, 0o604) },
		"two names":          func(name string) error { return os.Link(name, name+"2") },
		"a link": func(name string) error {
			if err := os.Rename(name, name+"2"); err != nil {
				return err
			}
			return os.Symlink(name+"2", name)
		},
		"a folder": func(name string) error {
			if err := os.Remove(name); err != nil {
				return err
			}
			return os.Mkdir(name, 0o600)
		},
	} {
		name := filepath.Join(t.TempDir(), "a")
		require.NoError(t, os.WriteFile(name, nil, 0o600))
		require.NoError(t, plant(name))
		own, err := Own(OS(), name)
		require.NoError(t, err, what)
		require.False(t, own, what)
	}
}
