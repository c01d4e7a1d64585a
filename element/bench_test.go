package element

import (
	"bytes"
	stdaes "crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
)

// `coffer bench elements` measures both sides by turns; these show a profile.

func BenchmarkValue(b *testing.B) {
	c, ids := newCipher(b, 256)
	for _, n := range []int{16, 1024} {
		plain, room := pattern(n), make([]byte, 0, n+200)
		for _, suite := range allowed() {
			context := contextOf(suite)
			ct, err := c.EncryptWith(suite, plain, ids[0], context)
			require.NoError(b, err)
			b.Run(fmt.Sprintf("encrypt/%v/%d", suite, n), func(b *testing.B) {
				b.ReportAllocs()
				b.SetBytes(int64(n))
				for b.Loop() {
					if _, err := c.AppendEncryptWith(room, suite, plain, ids[0], context); err != nil {
						b.Fatal(err)
					}
				}
			})
			b.Run(fmt.Sprintf("decrypt/%v/%d", suite, n), func(b *testing.B) {
				b.ReportAllocs()
				b.SetBytes(int64(n))
				for b.Loop() {
					if _, err := c.AppendDecrypt(room, ct, context); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
		b.Run(fmt.Sprintf("encrypt/library/%d", n), func(b *testing.B) {
			block, err := stdaes.NewCipher(make([]byte, 32))
			require.NoError(b, err)
			g, err := cipher.NewGCMWithRandomNonce(block)
			require.NoError(b, err)
			b.ReportAllocs()
			b.SetBytes(int64(n))
			for b.Loop() {
				g.Seal(room, nil, plain, []byte("patients.ssn"))
			}
		})
	}
}

func BenchmarkStream(b *testing.B) {
	c, ids := newCipher(b, 256)
	plain := make([]byte, 8<<20)
	sealed := stream(b, c, ids[0], plain, nil, StreamOptions{})
	b.Run("write", func(b *testing.B) {
		b.SetBytes(int64(len(plain)))
		for b.Loop() {
			w, err := NewWriter(io.Discard, c, ids[0], nil)
			if err == nil {
				_, err = w.Write(plain)
			}
			if err == nil {
				err = w.Close()
			}
			if err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("read", func(b *testing.B) {
		b.SetBytes(int64(len(plain)))
		for b.Loop() {
			r, err := NewReader(bytes.NewReader(sealed), c, nil)
			if err == nil {
				_, err = r.WriteTo(io.Discard)
			}
			if err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("copy", func(b *testing.B) {
		dst := make([]byte, len(plain))
		b.SetBytes(int64(len(plain)))
		for b.Loop() {
			copy(dst, plain)
		}
	})
}

func BenchmarkLookup(b *testing.B) {
	c, ids := newCipher(b, 256)
	value := make([]byte, 16)
	_, _ = rand.Read(value)
	b.Run("index", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := c.Index(ids[0], nil, value, 64); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("digits", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := c.EncryptDigits("4111111111111111", ids[0], nil); err != nil {
				b.Fatal(err)
			}
		}
	})
}
