package pebblefs

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/dek"
)

// testRing returns a keyring with n keys of 256 bits.
func testRing(t testing.TB, n int) (*dek.Keyring, []dek.ID) {
	t.Helper()
	ring := dek.NewKeyring()
	var ids []dek.ID
	for range n {
		k, err := dek.Generate(256)
		require.NoError(t, err)
		require.NoError(t, ring.Activate(k, dek.Database, dek.Active))
		ids = append(ids, k.ID())
		k.Destroy()
	}
	return ring, ids
}
