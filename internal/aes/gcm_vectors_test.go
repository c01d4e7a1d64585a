package aes

import (
	"hash/crc32"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCAVPGCM(t *testing.T) {
	tiers(t, func(t *testing.T, _ Tier) {
		refused := 0
		n := cavp(t, "gcm_*.rsp", func(_ string, get func(string) []byte) {
			g, err := NewGCM(get("Key"))
			require.NoError(t, err)
			defer g.Close()
			ct := get("CT")
			jobs := []GCMJob{{Src: ct, Dst: make([]byte, len(ct)), AD: get("AAD"),
				Nonce: [NonceSize]byte(get("IV")), Tag: [TagSize]byte(get("Tag"))}}
			if !g.OpenBatch(jobs) {
				refused++
				return
			}
			require.Equal(t, get("PT"), jobs[0].Dst)
			jobs[0].Src, jobs[0].Dst = jobs[0].Dst, make([]byte, len(ct))
			for _, seal := range []func([]GCMJob){g.SealBatch, g.SealSumBatch} {
				clear(jobs[0].Dst)
				jobs[0].Tag = [TagSize]byte{}
				seal(jobs)
				require.Equal(t, ct, jobs[0].Dst)
				require.Equal(t, get("Tag"), jobs[0].Tag[:])
			}
			require.Equal(t, crc32.Checksum(ct, castagnoli), jobs[0].CRC)
		})
		t.Logf("%d cases run, %d refused", n, refused)
		require.Equal(t, 375, n)
		require.Equal(t, 105, refused) // lines FAIL in the files
	})
}

// GMAC is GCM without plaintext.
func TestCAVPGMAC(t *testing.T) {
	tiers(t, func(t *testing.T, _ Tier) {
		n, refused := 0, 0
		cavp(t, "gcm_decrypt_*.rsp", func(_ string, get func(string) []byte) {
			if len(get("CT")) > 0 {
				return
			}
			n++
			m, err := NewGMAC(get("Key"))
			require.NoError(t, err)
			defer m.Close()
			aad := get("AAD")
			jobs := []GMACJob{
				{Data: aad, Nonce: [NonceSize]byte(get("IV")), Tag: [TagSize]byte(get("Tag"))},
				{AD: aad, Nonce: [NonceSize]byte(get("IV")), Tag: [TagSize]byte(get("Tag"))},
			}
			if m.VerifyBatch(jobs) {
				require.Empty(t, get("PT")) // which false cases do not have
			} else {
				refused++
			}
			require.Equal(t, jobs[0].OK, jobs[1].OK)
		})
		t.Logf("%d cases run, %d refused", n, refused)
		require.Equal(t, 45, n)
		require.Equal(t, 22, refused) // lines FAIL in the files
	})
}
