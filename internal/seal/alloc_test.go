package seal

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/internal/aes"
)

func TestNoAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes sync.Pool drop items at random")
	}
	for _, v := range variants() {
		for _, inPlace := range []bool{false, true} {
			t.Run(v.String(), func(t *testing.T) {
				c := newCipher(t, v, testScope(v))
				batch, _ := plainBatch(16, 8192, inPlace)
				few := 0.0
				if v.suite == SuiteCBC && aes.Best() == aes.Portable {
					few = 1 // Go's modes carry the IV as state: one for each run of blocks
				}
				require.LessOrEqual(t, testing.AllocsPerRun(100, func() { _ = c.Seal(batch) }), few, "Seal")
				opened := make([]Block, len(batch))
				copy(opened, batch)
				turn(opened, false)
				require.LessOrEqual(t, testing.AllocsPerRun(100, func() {
					if c.Open(opened) != nil {
						t.Error("not opened")
					}
				}), few, "Open")
			})
		}
	}
}

func TestFrameNoAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes sync.Pool drop items at random")
	}
	for _, bits := range frameBits {
		c := newTestFrame(t, bits)
		plain, ad := random(1, 8192), random(2, 40)
		parts := [][]byte{ad, plain} // a caller's own list escapes, as its parts do
		dst, back := make([]byte, 0, 8192), make([]byte, 0, 8192)
		require.Zero(t, testing.AllocsPerRun(100, func() {
			out, nonce, tag, err := c.Seal(dst, plain, ad)
			if err != nil {
				t.Error(err)
			}
			if _, err := c.Open(back, out, ad, nonce, tag); err != nil {
				t.Error(err)
			}
			c.Chain(parts...)
		}), bits)
	}
}
