package aes

import (
	"bytes"
	"crypto/cipher"
	"testing"

	"github.com/stretchr/testify/require"
)

// edge returns the first or last n bytes of memory.
func edge(memory []byte, n int, end bool) []byte {
	if end {
		return memory[len(memory)-n:]
	}
	return memory[:n:n]
}

// TestGCMGuardPages: every buffer begins or ends at a page that cannot be touched.
func TestGCMGuardPages(t *testing.T) {
	src, dst, ads := guarded(t, 3), guarded(t, 3), guarded(t, 3)
	copy(src, random(1, len(src)))
	copy(ads, random(2, len(ads)))
	plain := bytes.Clone(src)
	forGCM(t, func(t *testing.T, g *GCM, want cipher.AEAD) {
		for n := range 1200 {
			for _, end := range []bool{false, true} {
				ad := edge(ads, (n*7)%97, end)
				jobs := []GCMJob{{Src: edge(src, n, end), Dst: edge(dst, n, end), AD: ad}}
				out := want.Seal(nil, jobs[0].Nonce[:], edge(plain, n, end), ad)
				g.SealBatch(jobs)
				require.True(t, bytes.Equal(out[:n], jobs[0].Dst), "%d bytes", n)
				require.Equal(t, out[n:], jobs[0].Tag[:], "%d bytes", n)
				jobs[0].Src, jobs[0].Dst = jobs[0].Dst, jobs[0].Src
				require.True(t, g.OpenBatch(jobs))
				require.True(t, bytes.Equal(plain, src), "%d bytes", n)
			}
		}
	})
}

func TestGMACGuardPages(t *testing.T) {
	data, ads := guarded(t, 3), guarded(t, 3)
	copy(data, random(1, len(data)))
	copy(ads, random(2, len(ads)))
	forGMAC(t, func(t *testing.T, m *GMAC, want cipher.AEAD) {
		for n := range 1200 {
			for _, end := range []bool{false, true} {
				jobs := []GMACJob{{Data: edge(data, n, end), AD: edge(ads, 16*(n%7), end)}}
				m.SumBatch(jobs)
				whole := append(bytes.Clone(jobs[0].AD), jobs[0].Data...)
				require.Equal(t, want.Seal(nil, jobs[0].Nonce[:], nil, whole), jobs[0].Tag[:], "%d bytes", n)
			}
		}
	})
}
