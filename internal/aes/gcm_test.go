package aes

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestScratchGCM(t *testing.T) {
	r := rand.NewChaCha8([32]byte{1})
	for _, tier := range Available() {
		for _, size := range []int{16, 24, 32} {
			restore := Force(tier)
			key := make([]byte, size)
			r.Read(key)
			g, err := NewGCM(key)
			require.NoError(t, err)
			restore()
			b, _ := aes.NewCipher(key)
			ref, _ := cipher.NewGCM(b)
			for n := 0; n < 3000; n += 1 {
				ad := make([]byte, n%150)
				src := make([]byte, n)
				r.Read(ad)
				r.Read(src)
				j := []GCMJob{{Dst: make([]byte, n), Src: src, AD: ad}}
				r.Read(j[0].Nonce[:])
				want := ref.Seal(nil, j[0].Nonce[:], src, ad)
				g.SealBatch(j)
				require.True(t, bytes.Equal(want[:n], j[0].Dst), "%v %d %d ct", tier, size, n)
				require.Equal(t, want[n:], j[0].Tag[:], "%v %d %d tag", tier, size, n)
				j[0].Src = j[0].Dst
				require.True(t, g.OpenBatch(j), fmt.Sprintf("%v %d %d", tier, size, n))
				require.True(t, bytes.Equal(src, j[0].Dst))
			}
		}
	}
}
