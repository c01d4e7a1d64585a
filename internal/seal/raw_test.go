package seal

import (
	"bytes"
	stdaes "crypto/aes"
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/xts"

	"github.com/cofferdb/coffer/internal/aes"
)

func tweakOf(sector uint64) [BlockUnit]byte { return xtsTweak(&Block{Position: sector}) }

func TestXTSRefusesKeys(t *testing.T) {
	k16, k24, k32 := random(1, 16), random(2, 24), random(3, 32)
	for _, pair := range [][2][]byte{{k24, random(4, 24)}, {k16, k32}, {nil, nil}, {k16[:8], k16[8:]}} {
		_, err := NewRawXTS(pair[0], pair[1])
		require.ErrorIs(t, err, aes.ErrKey)
	}
	_, err := NewRawXTS(k32, bytes.Clone(k32))
	require.ErrorIs(t, err, aes.ErrEqualKeys)
}

// sameAsXCrypto compares with golang.org/x/crypto/xts, in place and not.
func sameAsXCrypto(t *testing.T, key, data []byte, sector uint64) {
	half := len(key) / 2
	ours, err := NewRawXTS(key[:half], key[half:])
	require.NoError(t, err)
	theirs, err := xts.NewCipher(stdaes.NewCipher, key)
	require.NoError(t, err)
	want, got := make([]byte, len(data)), make([]byte, len(data))
	theirs.Encrypt(want, data, sector)
	ours.Encrypt(got, data, tweakOf(sector))
	require.True(t, bytes.Equal(want, got), "encrypt")
	ours.Decrypt(got, got, tweakOf(sector))
	require.True(t, bytes.Equal(data, got), "decrypt in place")
	theirs.Decrypt(want, want, sector)
	require.True(t, bytes.Equal(data, want))
}

func TestXTSEqualsXCrypto(t *testing.T) {
	for _, keyLen := range []int{32, 64} {
		for n := 16; n <= 3*512+16; n += 16 {
			sameAsXCrypto(t, random(byte(n), keyLen), random(3, n), binary.LittleEndian.Uint64(random(byte(n/16), 8)))
		}
		sameAsXCrypto(t, random(1, keyLen), random(2, 65536), ^uint64(0))
	}
}

func FuzzXTSEqualsXCrypto(f *testing.F) {
	f.Add(random(1, 32), random(2, 16), uint64(0))
	f.Add(random(3, 64), random(4, 4096), ^uint64(0))
	f.Add(random(5, 64), random(6, 528), uint64(1)<<63)
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
		kernel, err := aes.NewGCM(key)
		require.NoError(t, err)
		library, err := newGCMLibraryFrom(key)
		require.NoError(t, err)
		for i, e := range []engine{&gcmEngine{kernel}, library} {
			ciphers[i] = newSealer(SuiteGCM, sc.additional(SuiteGCM, bits/8), e)
			defer ciphers[i].Close()
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
