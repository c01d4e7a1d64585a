package kmip

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/fips"
	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/kmiptest"
)

// TestLiveRestart: keys survive the server's restart, and a client that may reconnect goes on.
func TestLiveRestart(t *testing.T) {
	t.Parallel()
	p := startPyKMIP(t)
	s := p.as("anna")
	s.Reconnect = 5
	again, err := Dial(t.Context(), s, nil)
	require.NoError(t, err)
	defer again.Close()
	s.Reconnect = 0
	once, err := Dial(t.Context(), s, nil)
	require.NoError(t, err)
	defer once.Close()
	k, err := again.Create(t.Context(), NewKey{})
	require.NoError(t, err)
	p.Restart(t)
	found, err := again.Find(t.Context(), k.GUID.String())
	require.NoError(t, err)
	require.Equal(t, k, found)
	_, err = once.Find(t.Context(), k.GUID.String())
	require.ErrorIs(t, err, ErrUnreachable)
	_, err = once.Find(t.Context(), k.GUID.String())
	require.ErrorIs(t, err, ErrClosed)
}

// TestLiveLegacy: a server with an RSA certificate offers suites that Go does not, unless it is told to.
func TestLiveLegacy(t *testing.T) {
	t.Parallel()
	p := startPyKMIP(t, kmiptest.Leaf{Name: "server", Usage: serverAuth, RSA: true})
	s := p.as("anna")
	_, err := Dial(t.Context(), s, nil)
	require.ErrorIs(t, err, ErrTLS)
	require.ErrorContains(t, err, "cipher")
	require.Contains(t, fault.HintOf(err), "--legacy-ciphers")
	s.LegacyCiphers = true
	c, err := Dial(t.Context(), s, nil)
	if fips.Enabled() {
		require.ErrorIs(t, err, ErrUnsupported)
		return
	}
	require.NoError(t, err)
	defer c.Close()
	_, err = c.Create(t.Context(), NewKey{})
	require.NoError(t, err)
}

// TestLiveCredential sends a user and password, which no log shows.
func TestLiveCredential(t *testing.T) {
	t.Parallel()
	p := startPyKMIP(t)
	for _, v := range spoken {
		s := p.as("anna")
		s.Version, s.LogMessages, s.User = v, true, "anna"
		s.PasswordFile = filepath.Join(t.TempDir(), "pw")
		require.NoError(t, os.WriteFile(s.PasswordFile, []byte("correct horse battery\n"), 0o600))
		var l logs
		c, err := Dial(t.Context(), s, l.options())
		require.NoError(t, err)
		_, err = c.Create(t.Context(), NewKey{})
		require.NoError(t, err)
		require.Contains(t, l.text(), "UsernameAndPassword")
		requireNoSecret(t, l.text(), []byte("correct horse battery"))
		require.NoError(t, c.Close())
	}
}
