package aes

import (
	"bytes"
	stdaes "crypto/aes"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/internal/fault"
)

// tiers runs f for every tier of this machine, as the one that Best returns.
func tiers(t *testing.T, f func(t *testing.T, tier Tier)) {
	for _, tier := range Available() {
		t.Run(tier.String(), func(t *testing.T) {
			t.Cleanup(Force(tier))
			f(t, tier)
		})
	}
}

var keySizes = []int{16, 24, 32} // bytes

func TestEncryptBlocks(t *testing.T) {
	tiers(t, func(t *testing.T, tier Tier) {
		for _, size := range keySizes {
			for seed := range 50 {
				raw := random(uint64(seed), size)
				want, err := stdaes.NewCipher(raw)
				require.NoError(t, err)
				k, err := NewKey(raw)
				require.NoError(t, err)
				require.Equal(t, tier, k.Tier())
				require.Equal(t, size*8, k.Bits())
				src := random(uint64(seed)+100, seed*BlockSize)
				expect := bytes.Clone(src)
				for b := expect; len(b) > 0; b = b[BlockSize:] {
					want.Encrypt(b, b)
				}
				dst := make([]byte, len(src))
				k.EncryptBlocks(dst, src)
				require.True(t, bytes.Equal(expect, dst), "%d bytes", len(src))
				k.EncryptBlocks(src, src)
				require.True(t, bytes.Equal(expect, src), "%d bytes in place", len(src))
				k.Close()
				k.Close()
				require.Panics(t, func() { k.EncryptBlocks(make([]byte, 16), make([]byte, 16)) })
			}
		}
	})
}

func TestNewKeyRefuses(t *testing.T) {
	tiers(t, func(t *testing.T, _ Tier) {
		for _, n := range []int{0, 1, 15, 17, 31, 33, 64} {
			_, err := NewKey(make([]byte, n))
			require.ErrorIs(t, err, ErrKey)
			require.ErrorIs(t, err, fault.Usage)
		}
	})
}

func TestKeyIsNotPrinted(t *testing.T) {
	k, err := NewKey(bytes.Repeat([]byte{0xab}, 32))
	require.NoError(t, err)
	defer k.Close()
	for _, verb := range []string{"%v", "%s", "%+v", "%#v"} {
		require.Equal(t, "aes.Key(redacted)", fmt.Sprintf(verb, k))
	}
}
