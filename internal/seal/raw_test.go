package seal

import (
	"bytes"
	"crypto/aes"
	"encoding/binary"
	"math/big"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/xts"
)

func TestXTSRefusesKeys(t *testing.T) {
	k16, k24, k32 := random(1, 16), random(2, 24), random(3, 32)
	for _, pair := range [][2][]byte{{k24, random(4, 24)}, {k16, k32}, {nil, nil}, {k16[:8], k16[8:]}} {
		_, err := NewRawXTS(pair[0], pair[1])
		require.ErrorIs(t, err, ErrSuite)
	}
	_, err := NewRawXTS(k32, bytes.Clone(k32))
	require.ErrorIs(t, err, errEqualKeys)
}

// The tweak's doubling against arithmetic on polynomials.
func TestXTSDouble(t *testing.T) {
	r := chacha(4)
	modulus := new(big.Int).SetBit(big.NewInt(0x87), 128, 1)
	values := []uint64{0, 1, 1 << 63, ^uint64(0), 0x87}
	for range 50 {
		values = append(values, r.Uint64())
	}
	for _, lo := range values {
		for _, hi := range values {
			want := new(big.Int).SetUint64(hi)
			want.Lsh(want, 64).Or(want, new(big.Int).SetUint64(lo)).Lsh(want, 1)
			if want.Bit(128) == 1 {
				want.Xor(want, modulus)
			}
			gotLo, gotHi := xtsDouble(lo, hi)
			got := new(big.Int).SetUint64(gotHi)
			got.Lsh(got, 64).Or(got, new(big.Int).SetUint64(gotLo))
			require.Zero(t, want.Cmp(got))
		}
	}
}

// sameAsXCrypto compares with golang.org/x/crypto/xts, in place and not.
func sameAsXCrypto(t *testing.T, key, data []byte, sector uint64) {
	half := len(key) / 2
	ours, err := NewRawXTS(key[:half], key[half:])
	require.NoError(t, err)
	theirs, err := xts.NewCipher(aes.NewCipher, key)
	require.NoError(t, err)
	want, got := make([]byte, len(data)), make([]byte, len(data))
	theirs.Encrypt(want, data, sector)
	ours.Encrypt(got, data, xtsTweak(sector))
	require.True(t, bytes.Equal(want, got), "encrypt")
	ours.Decrypt(got, got, xtsTweak(sector))
	require.True(t, bytes.Equal(data, got), "decrypt in place")
	theirs.Decrypt(want, want, sector)
	require.True(t, bytes.Equal(data, want))
}

func TestXTSEqualsXCrypto(t *testing.T) {
	for _, keyLen := range []int{32, 64} {
		for n := 16; n <= 3*xtsPass+16; n += 16 {
			sameAsXCrypto(t, random(byte(n), keyLen), random(3, n), binary.LittleEndian.Uint64(random(byte(n/16), 8)))
		}
		sameAsXCrypto(t, random(1, keyLen), random(2, 65536), ^uint64(0))
	}
}

func FuzzXTSEqualsXCrypto(f *testing.F) {
	f.Add(random(1, 32), random(2, 16), uint64(0))
	f.Add(random(3, 64), random(4, 4096), ^uint64(0))
	f.Add(random(5, 64), random(6, xtsPass+16), uint64(1)<<63)
	f.Fuzz(func(t *testing.T, key, data []byte, sector uint64) {
		data = data[:len(data)/16*16]
		if len(key) != 32 && len(key) != 64 || bytes.Equal(key[:len(key)/2], key[len(key)/2:]) {
			t.Skip()
		}
		sameAsXCrypto(t, key, data, sector)
	})
}

// GCM that draws its own nonces, as FIPS mode has it, and GCM that is given them
// read each other's blocks and frames.
func TestGCMDrawingItsOwnNonces(t *testing.T) {
	for _, bits := range []int{128, 192, 256} {
		v := variant{SuiteGCM, bits}
		sc := testScope(v)
		key := random(1, bits/8)
		var ciphers [2]Cipher
		for i, own := range []bool{false, true} {
			g, err := newGCM(key, own)
			require.NoError(t, err)
			ciphers[i] = newSealer(SuiteGCM, sc.additional(SuiteGCM, bits/8), &gcmEngine{g})
		}
		for from := range ciphers {
			for _, inPlace := range []bool{false, true} {
				roundTripBetween(t, ciphers[from], ciphers[1-from], inPlace)
				roundTripBetween(t, ciphers[from], ciphers[from], inPlace)
			}
		}
	}
}

func roundTripBetween(t *testing.T, from, to Cipher, inPlace bool) {
	batch, plain := plainBatch(4, 4096, inPlace)
	require.NoError(t, from.Seal(batch))
	require.NotEqual(t, batch[0].Nonce, batch[1].Nonce)
	require.NotZero(t, batch[0].Nonce)
	turn(batch, inPlace)
	batch[2].Tag[0] ^= 1
	var be *BatchError
	require.ErrorAs(t, to.Open(batch), &be)
	require.Equal(t, 1, be.Failed)
	for i := range batch {
		if i == 2 {
			plain[i] = make([]byte, 4096)
		}
		require.True(t, bytes.Equal(plain[i], batch[i].Dst))
	}
}
