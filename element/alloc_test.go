package element

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/fips"
	"github.com/cofferdb/coffer/internal/aes"
)

func TestNoAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes sync.Pool drop items at random")
	}
	c, ids := newCipher(t, 256)
	for _, suite := range allowed() {
		few := 0.0
		if fips.LibraryOnly() || suite != GCM && aes.Best() == aes.Portable {
			few = 3 // Go's CBC and CTR are objects that hold the IV, and what its GCM is given lies on the heap
		}
		for _, n := range []int{16, 1024} {
			plain, context := pattern(n), contextOf(suite)
			sealed, opened := make([]byte, 0, 2048), make([]byte, 0, 2048)
			require.LessOrEqual(t, testing.AllocsPerRun(100, func() {
				if _, err := c.AppendEncryptWith(sealed, suite, plain, ids[0], context); err != nil {
					t.Error(err)
				}
			}), few, "%v", suite)
			ct, err := c.AppendEncryptWith(sealed, suite, plain, ids[0], context)
			require.NoError(t, err)
			require.LessOrEqual(t, testing.AllocsPerRun(100, func() {
				if _, err := c.AppendDecrypt(opened, ct, context); err != nil {
					t.Error(err)
				}
			}), few, "%v", suite)
			require.LessOrEqual(t, testing.AllocsPerRun(100, func() { _, _ = c.EncryptWith(suite, plain, ids[0], context) }), few+1, "%v", suite)
			require.LessOrEqual(t, testing.AllocsPerRun(100, func() { _, _ = c.Decrypt(ct, context) }), few+1, "%v", suite)
		}
	}
}
