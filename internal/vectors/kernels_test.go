package vectors

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/internal/aes"
	"github.com/cofferdb/coffer/internal/crc32c"
)

// The same vectors through the kernels that do several things in one pass, on every tier.

// tiers runs f for every tier of this machine.
func tiers(t *testing.T, f func(t *testing.T)) {
	for _, tier := range aes.Available() {
		t.Run(tier.String(), func(t *testing.T) {
			defer aes.Force(tier)()
			f(t)
		})
	}
}

func TestAESGCMWithSum(t *testing.T) {
	tiers(t, func(t *testing.T) {
		run(t, "aes_gcm_test.json", counts{Valid: 116, Invalid: 81, LeftOut: 119}, func(t *testing.T, _ *testGroup, c *testCase) verdict {
			if len(c.IV) != aes.NonceSize {
				return leftOut
			}
			g, err := aes.NewGCM(c.Key)
			require.NoError(t, err)
			defer g.Close()
			jobs := []aes.GCMJob{{Dst: make([]byte, len(c.Msg)), Src: c.Msg, AD: c.AAD, Nonce: [aes.NonceSize]byte(c.IV)}}
			g.SealSumBatch(jobs)
			require.Equal(t, []byte(c.CT), append([]byte{}, jobs[0].Dst...))
			require.Equal(t, crc32c.Checksum(c.CT), jobs[0].CRC)
			return equal(t, c, c.Tag, jobs[0].Tag[:])
		})
	})
}

func TestAESXTSWithGMAC(t *testing.T) {
	tiers(t, func(t *testing.T) {
		run(t, "aes_xts_test.json", counts{Valid: 42, Invalid: 0, LeftOut: 81}, func(t *testing.T, _ *testGroup, c *testCase) verdict {
			if len(c.Msg)%16 != 0 || len(c.Key) == 48 {
				return leftOut
			}
			half := len(c.Key) / 2
			x, err := aes.NewXTSGMAC(c.Key[:half], c.Key[half:], make([]byte, half))
			require.NoError(t, err)
			defer x.Close()
			jobs := []aes.MACJob{{Dst: make([]byte, len(c.Msg)), Src: c.Msg}}
			copy(jobs[0].IV[:], c.IV)
			x.SealBatch(jobs)
			out := append([]byte{}, jobs[0].Dst...)
			jobs[0].Src = jobs[0].Dst
			require.True(t, x.OpenBatch(jobs))
			require.Equal(t, append([]byte{}, c.Msg...), append([]byte{}, jobs[0].Dst...))
			return equal(t, c, c.CT, out)
		})
	})
}

// The message is additional data here: nothing is encrypted.
func TestAESGMACWithCiphers(t *testing.T) {
	tiers(t, func(t *testing.T) {
		run(t, "aes_gmac_test.json", counts{Valid: 45, Invalid: 162, LeftOut: 207}, func(t *testing.T, _ *testGroup, c *testCase) verdict {
			if len(c.IV) != aes.NonceSize {
				return leftOut
			}
			other := make([]byte, len(c.Key))
			m, err := aes.NewCBCGMAC(other, c.Key)
			require.NoError(t, err)
			defer m.Close()
			jobs := []aes.MACJob{{AD: c.Msg, Nonce: [aes.NonceSize]byte(c.IV)}}
			m.SealBatch(jobs)
			v := equal(t, c, c.Tag, jobs[0].Tag[:])
			if len(c.Tag) == aes.TagSize {
				jobs[0].Tag = [aes.TagSize]byte(c.Tag)
				require.Equal(t, v == accepted, m.OpenBatch(jobs))
			}
			if len(c.Key) == 24 {
				return v
			}
			x, err := aes.NewXTSGMAC(other, append([]byte{1}, other[1:]...), c.Key)
			require.NoError(t, err)
			defer x.Close()
			x.SealBatch(jobs)
			require.Equal(t, v, equal(t, c, c.Tag, jobs[0].Tag[:]))
			return v
		})
	})
}
