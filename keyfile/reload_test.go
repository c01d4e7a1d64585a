package keyfile

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/internal/fault"
)

// TestReload: keys that another process added are there, without a password; a file that was put in its place is not believed.
func TestReload(t *testing.T) {
	m := newMem()
	f := newFile(t, m, testPath)
	old := readBytes(t, m, testPath)
	other := mustOpen(t, m, testPath, alice)
	id, err := other.AddKey(256, "later")
	require.NoError(t, err)

	_, err = f.Key(id)
	require.ErrorIs(t, err, ErrUnknownKey)
	require.NoError(t, f.Reload())
	k, err := f.Key(id)
	require.NoError(t, err)
	want, err := other.Key(id)
	require.NoError(t, err)
	require.True(t, k.Equal(want))
	k.Destroy()
	want.Destroy()

	now := readBytes(t, m, testPath)
	now[len(now)/2] ^= 1
	for name, bad := range map[string][]byte{"an older state": old, "altered": refit(now)} {
		require.NoError(t, m.WriteFile(testPath, bad))
		require.ErrorIs(t, f.Reload(), fault.Tampered, name)
		k, err := f.Key(id)
		require.NoError(t, err, "what was read before stays")
		k.Destroy()
	}
	require.NoError(t, m.Remove(testPath))
	require.Error(t, f.Reload())
	require.NoError(t, f.Close())
	require.ErrorIs(t, f.Reload(), ErrClosed)
}
