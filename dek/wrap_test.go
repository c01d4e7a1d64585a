package dek

import (
	"bytes"
	"crypto/rand"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWrapRefuses(t *testing.T) {
	kek := make([]byte, 32)
	for _, n := range []int{0, 8, 15, 17, 20, MaxWrapped + 8} {
		_, err := Wrap(kek, make([]byte, n))
		require.ErrorIs(t, err, ErrUsage, n)
	}
	for _, n := range []int{0, 8, 16, 23, 25, MaxWrapped + 16} {
		_, err := Unwrap(kek, make([]byte, n))
		require.ErrorIs(t, err, ErrUsage, n)
	}
	for _, n := range []int{0, 15, 33} {
		_, err := Wrap(make([]byte, n), make([]byte, 16))
		require.ErrorIs(t, err, ErrUsage, n)
		_, err = Unwrap(make([]byte, n), make([]byte, 24))
		require.ErrorIs(t, err, ErrUsage, n)
	}
}

func TestWrapEveryFlipIsSeen(t *testing.T) {
	kek, secret := make([]byte, 32), make([]byte, 32)
	rand.Read(kek)
	rand.Read(secret)
	before := bytes.Clone(secret)
	wrapped, err := Wrap(kek, secret)
	require.NoError(t, err)
	require.Equal(t, before, secret)
	for i := range len(wrapped) * 8 {
		bad := bytes.Clone(wrapped)
		bad[i/8] ^= 1 << (i % 8)
		_, err := Unwrap(kek, bad)
		require.ErrorIs(t, err, ErrWrongKey)
	}
	for i := range len(kek) * 8 {
		bad := bytes.Clone(kek)
		bad[i/8] ^= 1 << (i % 8)
		_, err := Unwrap(bad, wrapped)
		require.ErrorIs(t, err, ErrWrongKey)
	}
}

func TestWrapLengths(t *testing.T) {
	for n := 16; n <= MaxWrapped; n += 8 * 17 {
		secret := make([]byte, n)
		rand.Read(secret)
		wrapped, err := Wrap(make([]byte, 16), secret)
		require.NoError(t, err)
		require.Len(t, wrapped, n+WrapOverhead)
		mem, err := Unwrap(make([]byte, 16), wrapped)
		require.NoError(t, err)
		require.Equal(t, secret, mem.Bytes())
		mem.Release()
	}
}

func FuzzUnwrap(f *testing.F) {
	f.Add([]byte("0123456789abcdef"), make([]byte, 24))
	f.Add(make([]byte, 32), make([]byte, 40))
	f.Add([]byte{}, []byte{})
	f.Fuzz(func(t *testing.T, kek, data []byte) {
		if mem, err := Unwrap(kek, data); err == nil {
			again, err := Wrap(kek, mem.Bytes())
			if err != nil || !bytes.Equal(again, data) {
				t.Fatal("what unwraps does not wrap to the same bytes")
			}
			mem.Release()
		}
		wrapped, err := Wrap(kek, data)
		if err != nil {
			return
		}
		mem, err := Unwrap(kek, wrapped)
		if err != nil || !bytes.Equal(mem.Bytes(), data) {
			t.Fatal("what wraps does not unwrap to the same bytes")
		}
		mem.Release()
	})
}
