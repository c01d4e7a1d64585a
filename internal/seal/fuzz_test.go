package seal

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/fips"
	"github.com/cofferdb/coffer/internal/fault"
)

// fixedNonce makes each of the fuzzer's processes seal the same seeds: what one
// sealed is authentic in the others. GCM of FIPS mode does not take it.
func fixedNonce(b []byte) { copy(b, random(31, len(b))) }

func needFixedNonces(f *testing.F) {
	if fips.LibraryOnly() {
		f.Skip("in FIPS mode GCM draws its own nonces")
	}
}

// FuzzOpen hands hostile blocks to every suite. Only what was sealed may open.
func FuzzOpen(f *testing.F) {
	needFixedNonces(f)
	ciphers := map[variant]Cipher{}
	genuine := map[variant]Block{}
	for i, v := range variants() {
		c := newCipher(f, v, testScope(v))
		c.(*sealer).entropy = fixedNonce
		batch, _ := plainBatch(1, 64, false)
		require.NoError(f, c.Seal(batch))
		b := batch[0]
		ciphers[v], genuine[v] = c, b
		f.Add(uint8(i), b.Position, b.Dst, b.Nonce[:], b.Tag[:], b.CRC)
		f.Add(uint8(i), b.Position+1, b.Dst, b.Nonce[:], b.Tag[:], b.CRC)
		f.Add(uint8(i), b.Position, b.Dst[:48], b.Nonce[:], b.Tag[:], b.CRC)
		f.Add(uint8(i), uint64(0), make([]byte, 16), make([]byte, 12), make([]byte, 16), uint32(0))
		f.Add(uint8(i), uint64(0), []byte{}, []byte{}, []byte{}, uint32(0))
	}
	f.Fuzz(func(t *testing.T, which uint8, position uint64, src, nonce, tag []byte, crc uint32) {
		v := variants()[int(which)%len(variants())]
		b := Block{Position: position, Src: src, Dst: bytes.Repeat([]byte{0xee}, len(src)), CRC: crc}
		copy(b.Nonce[:], nonce)
		copy(b.Tag[:], tag)
		batch := []Block{b}
		err := ciphers[v].Open(batch)
		require.Equal(t, err == nil, batch[0].Err == nil)
		if err == nil {
			mayOpen(t, v, genuine[v], batch[0])
			return
		}
		if len(src) == 0 || len(src)%BlockUnit != 0 || len(src) > MaxBlockSize {
			require.ErrorIs(t, err, fault.Usage)
			return
		}
		require.ErrorIs(t, err, fault.Tampered)
		require.True(t, bytes.Equal(make([]byte, len(src)), batch[0].Dst))
	})
}

// mayOpen fails unless opened is the one block sealed, or plain (which anyone can make).
func mayOpen(t *testing.T, v variant, sealed, opened Block) {
	if v.suite == SuiteNone {
		require.Equal(t, opened.Src, opened.Dst)
		return
	}
	require.Equal(t, sealed.Position, opened.Position)
	require.Equal(t, sealed.Dst, opened.Src)
	require.Equal(t, sealed.Nonce, opened.Nonce)
	require.Equal(t, sealed.Tag, opened.Tag)
}

// FuzzFrameOpen does the same with frames.
func FuzzFrameOpen(f *testing.F) {
	needFixedNonces(f)
	ciphers := map[int]FrameCipher{}
	sealed := map[int][]byte{}
	for i, bits := range frameBits {
		c := newTestFrame(f, bits)
		c.(*frameCipher).entropy = fixedNonce
		out, nonce, tag, err := c.Seal(nil, []byte("a frame's plaintext"), []byte("ad"))
		require.NoError(f, err)
		ciphers[bits], sealed[bits] = c, out
		f.Add(uint8(i), out, []byte("ad"), nonce[:], tag[:])
		f.Add(uint8(i), out[:5], []byte("ad"), nonce[:], tag[:])
		f.Add(uint8(i), []byte{}, []byte{}, []byte{}, []byte{})
	}
	f.Fuzz(func(t *testing.T, which uint8, ciphertext, ad, nonce, tag []byte) {
		bits := frameBits[int(which)%len(frameBits)]
		var n [NonceSize]byte
		var g [TagSize]byte
		copy(n[:], nonce)
		copy(g[:], tag)
		before := bytes.Clone(ciphertext)
		out, err := ciphers[bits].Open([]byte("kept"), ciphertext, ad, n, g)
		require.Equal(t, before, ciphertext)
		if err != nil {
			require.ErrorIs(t, err, ErrFrame)
			require.Equal(t, []byte("kept"), out)
			return
		}
		if bits != 0 {
			require.Equal(t, sealed[bits], ciphertext)
			require.Equal(t, []byte("ad"), ad)
		}
		require.Len(t, out, 4+len(ciphertext))
	})
}
