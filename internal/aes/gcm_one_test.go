package aes

import (
	"bytes"
	"crypto/cipher"
	"testing"

	"github.com/stretchr/testify/require"
)

// One message by itself gives what it gives in a batch, in place too; a bit flipped anywhere is noticed and leaves zeros.
func TestGCMOne(t *testing.T) {
	forGCM(t, func(t *testing.T, g *GCM, want cipher.AEAD) {
		for _, n := range []int{0, 1, 15, 16, 17, 63, 64, 65, 300, 1024, 5000} {
			for _, adLen := range []int{0, 12, 50, 64, 65, 200} {
				plain, ad, nonce := random(uint64(n), n), random(uint64(adLen), adLen), [NonceSize]byte(random(9, NonceSize))
				sealed := want.Seal(nil, nonce[:], plain, ad)
				var tag [TagSize]byte
				dst := bytes.Clone(plain)
				g.SealOne(dst, dst, ad, &nonce, &tag)
				require.Equal(t, sealed, append(bytes.Clone(dst), tag[:]...), "%d and %d bytes", n, adLen)
				back := make([]byte, n)
				require.True(t, g.OpenOne(back, dst, ad, &nonce, &tag))
				require.True(t, bytes.Equal(plain, back))
				tag[n%TagSize] ^= 4
				require.False(t, g.OpenOne(back, dst, ad, &nonce, &tag))
				require.Equal(t, make([]byte, n), back)
			}
		}
		require.Panics(t, func() { g.OpenOne(make([]byte, 3), make([]byte, 4), nil, &[NonceSize]byte{}, &[TagSize]byte{}) })
	})
}

func TestGCMOneNoAllocation(t *testing.T) {
	tiers(t, func(t *testing.T, _ Tier) {
		if raceEnabled {
			t.Skip("the race detector makes sync.Pool drop items at random")
		}
		g, _ := newGCMs(t, random(1, 32))
		defer g.Close()
		src, dst := random(2, 100), make([]byte, 100)
		require.Zero(t, testing.AllocsPerRun(100, func() {
			var ad [50]byte
			var nonce [NonceSize]byte
			var tag [TagSize]byte
			g.SealOne(dst, src, ad[:], &nonce, &tag)
			if !g.OpenOne(dst, dst, ad[:], &nonce, &tag) {
				t.Error("not opened")
			}
		}))
	})
}
