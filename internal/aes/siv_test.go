package aes

import (
	"bytes"
	"encoding/hex"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	require.NoError(t, err)
	return b
}

// RFC 5297, appendix A.1 and A.2 (whose nonce is one more string of additional data).
func TestSIVVectors(t *testing.T) {
	for name, v := range map[string]struct {
		key, plain, iv, ct string
		ad                 []string
	}{
		"A.1": {"fffefdfcfbfaf9f8f7f6f5f4f3f2f1f0f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff", "112233445566778899aabbccddee",
			"85632d07c6e8f37f950acd320a2ecc93", "40c02b9690c4dc04daef7f6afe5c",
			[]string{"101112131415161718191a1b1c1d1e1f2021222324252627"}},
		"A.2": {"7f7e7d7c7b7a79787776757473727170404142434445464748494a4b4c4d4e4f",
			"7468697320697320736f6d6520706c61696e7465787420746f20656e6372797074207573696e67205349562d414553",
			"7bdb6e3b432667eb06f4d14bff2fbd0f", "cb900f2fddbe404326601965c889bf17dba77ceb094fa663b7a3f748ba8af829ea64ad544a272e9c485b62a3fd5c0d",
			[]string{"00112233445566778899aabbccddeeffdeaddadadeaddadaffeeddccbbaa99887766554433221100", "102030405060708090a0", "09f911029d74e35bd84156c5635688c0"}},
	} {
		for _, tier := range Available() {
			t.Run(name+"/"+tier.String(), func(t *testing.T) {
				defer Force(tier)()
				s, err := NewSIV(unhex(t, v.key))
				require.NoError(t, err)
				defer s.Close()
				var ad [][]byte
				for _, a := range v.ad {
					ad = append(ad, unhex(t, a))
				}
				plain := unhex(t, v.plain)
				out := make([]byte, len(plain))
				iv := s.Seal(out, plain, ad...)
				require.Equal(t, v.iv, hex.EncodeToString(iv[:]))
				require.Equal(t, v.ct, hex.EncodeToString(out))
				back := make([]byte, len(plain))
				require.True(t, s.Open(back, out, iv, ad...))
				require.Equal(t, plain, back)
			})
		}
	}
}

// Every length and every tier, against the portable one; every flipped bit is noticed and leaves zeros.
func TestSIVTiersAgree(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, size := range []int{32, 48, 64} {
		key := make([]byte, size)
		fill(r, key)
		for n := range 70 {
			plain, ad := make([]byte, n), make([]byte, r.IntN(50))
			fill(r, plain)
			fill(r, ad)
			var want []byte
			for _, tier := range Available() {
				restore := Force(tier)
				s, err := NewSIV(key)
				require.NoError(t, err)
				out := make([]byte, n)
				iv := s.Seal(out, plain, ad)
				got := append(iv[:], out...)
				if want == nil {
					want = bytes.Clone(got)
				}
				require.Equal(t, want, got, "%v, %d bytes", tier, n)
				back := make([]byte, n)
				require.True(t, s.Open(back, out, iv, ad))
				require.True(t, bytes.Equal(plain, back))
				at := r.IntN(len(got))
				got[at] ^= 1 << r.IntN(8)
				require.False(t, s.Open(back, got[BlockSize:], [BlockSize]byte(got), ad))
				require.Equal(t, make([]byte, n), back)
				require.False(t, s.Open(back, out, [BlockSize]byte(want), ad, nil), "one more string")
				s.Close()
				s.Close()
				restore()
			}
		}
	}
	for _, n := range []int{0, 16, 31, 33, 40} {
		_, err := NewSIV(make([]byte, n))
		require.ErrorIs(t, err, ErrKey)
	}
}

func fill(r *rand.Rand, b []byte) {
	for i := range b {
		b[i] = byte(r.Uint32())
	}
}

func TestPadding(t *testing.T) {
	for n := range 40 {
		b := bytes.Repeat([]byte{0xaa}, n+PadLen(n))
		Pad(b[n:])
		require.Zero(t, len(b)%BlockSize)
		got, ok := Unpad(b)
		require.True(t, ok)
		require.Equal(t, n, got)
		if len(b) == n+1 {
			continue // one byte of 1: what is before it does not matter
		}
		b[n] ^= 0x40
		_, ok = Unpad(b)
		require.False(t, ok, "%d bytes", n)
	}
	for _, last := range []byte{0, 17, 255} {
		_, ok := Unpad(bytes.Repeat([]byte{last}, 16))
		require.False(t, ok)
	}
	for _, n := range []int{0, 15, 17} {
		_, ok := Unpad(bytes.Repeat([]byte{1}, n))
		require.False(t, ok)
	}
}
