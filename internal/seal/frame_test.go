package seal

import (
	"bytes"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
)

var (
	testVolume  = [16]byte(random(21, 16))
	testSegment = [16]byte(random(22, 16))
	testKeyID   = dek.ID(random(23, 16))
)

// frameBits are the key lengths of frames; 0 is plain.
var frameBits = []int{0, 128, 192, 256}

func newTestFrame(tb testing.TB, bits int) FrameCipher {
	tb.Helper()
	c, err := NewFrame(testKey(tb, testKeyID, 1, bits), testVolume, testSegment)
	require.NoError(tb, err)
	tb.Cleanup(c.Close)
	return c
}

func TestFrameRoundTrip(t *testing.T) {
	for _, bits := range frameBits {
		c := newTestFrame(t, bits)
		require.Equal(t, bits != 0, c.Encrypted())
		for _, size := range []int{0, 1, 15, 16, 17, 4096, 100_001, 3 << 20} {
			for _, adSize := range []int{0, 1, 40, 5000} {
				t.Run(fmt.Sprintf("%d/%d+%d", bits, size, adSize), func(t *testing.T) {
					plain, ad, prefix := random(1, size), random(2, adSize), []byte("before")
					out, nonce, tag, err := c.Seal(bytes.Clone(prefix), plain, ad)
					require.NoError(t, err)
					require.Equal(t, prefix, out[:len(prefix)])
					require.Len(t, out, len(prefix)+size)
					if bits != 0 && size > 15 {
						require.NotEqual(t, plain, out[len(prefix):])
					}
					back, err := c.Open(bytes.Clone(prefix), out[len(prefix):], ad, nonce, tag)
					require.NoError(t, err)
					require.True(t, bytes.Equal(append(prefix, plain...), back))
				})
			}
		}
	}
}

func TestFrameInPlace(t *testing.T) {
	for _, bits := range frameBits {
		c := newTestFrame(t, bits)
		buf := random(5, 5000)
		out, nonce, tag, err := c.Seal(buf[:0], buf, []byte("ad"))
		require.NoError(t, err)
		require.Same(t, &buf[0], &out[0])
		sealed := bytes.Clone(out)
		back, err := c.Open(out[:0], out, []byte("ad"), nonce, tag)
		require.NoError(t, err)
		require.Same(t, &buf[0], &back[0])
		require.Equal(t, random(5, 5000), back)

		tag[3] ^= 1
		back, err = c.Open(sealed[:0], sealed, []byte("ad"), nonce, tag)
		require.ErrorIs(t, err, ErrFrame)
		require.Empty(t, back)
		require.Equal(t, make([]byte, 5000), sealed, "a refused frame leaves zeros")
	}
}

// What Seal appends reaches no further than the ciphertext.
func TestFrameLeavesSpareCapacityAlone(t *testing.T) {
	for _, bits := range frameBits {
		buf := bytes.Repeat([]byte{0xee}, 200)
		out, nonce, tag, err := newTestFrame(t, bits).Seal(buf[:0], random(1, 100), nil)
		require.NoError(t, err)
		require.Equal(t, bytes.Repeat([]byte{0xee}, 100), buf[100:])
		back, err := newTestFrame(t, bits).Open(out[:0:100], out, nil, nonce, tag)
		require.NoError(t, err)
		require.Equal(t, random(1, 100), back)
	}
}

func TestEveryBitOfAFrame(t *testing.T) {
	const size = 40
	for _, bits := range frameBits {
		t.Run(fmt.Sprint(bits), func(t *testing.T) {
			c := newTestFrame(t, bits)
			ad := random(2, 24)
			out, nonce, tag, err := c.Seal(nil, random(1, size), ad)
			require.NoError(t, err)
			refused := func(c FrameCipher, out, ad []byte, nonce [NonceSize]byte, tag [TagSize]byte) {
				t.Helper()
				back, err := c.Open(make([]byte, 0, size), out, ad, nonce, tag)
				require.ErrorIs(t, err, ErrFrame)
				require.ErrorIs(t, err, fault.Tampered)
				require.Equal(t, make([]byte, size), back[:size])
			}
			for bit := range size * 8 {
				refused(c, flip(out, bit), ad, nonce, tag)
			}
			for bit := range len(ad) * 8 {
				refused(c, out, flip(ad, bit), nonce, tag)
			}
			for bit := range NonceSize * 8 {
				refused(c, out, ad, [NonceSize]byte(flip(nonce[:], bit)), tag)
			}
			for bit := range TagSize * 8 {
				refused(c, out, ad, nonce, [TagSize]byte(flip(tag[:], bit)))
			}
			for bit := range 128 {
				key := testKey(t, testKeyID, 1, bits)
				other, err := NewFrame(key, [16]byte(flip(testVolume[:], bit)), testSegment)
				require.NoError(t, err)
				refused(other, out, ad, nonce, tag)
				other, err = NewFrame(key, testVolume, [16]byte(flip(testSegment[:], bit)))
				require.NoError(t, err)
				refused(other, out, ad, nonce, tag)
				if bits != 0 {
					other, err = NewFrame(testKey(t, dek.ID(flip(testKeyID[:], bit)), 1, bits), testVolume, testSegment)
					require.NoError(t, err)
					refused(other, out, ad, nonce, tag)
				}
			}
			// A byte moved over the border between additional data and frame.
			refused(c, append([]byte{ad[len(ad)-1]}, out...), ad[:len(ad)-1], nonce, tag)
			for _, b := range frameBits {
				if b != bits {
					refused(newTestFrame(t, b), out, ad, nonce, tag)
				}
			}
		})
	}
}

func flip(b []byte, bit int) []byte {
	c := bytes.Clone(b)
	c[bit/8] ^= 1 << (bit % 8)
	return c
}

func TestFrameChain(t *testing.T) {
	seen := map[[32]byte]string{}
	note := func(name string, sum [32]byte) {
		t.Helper()
		require.NotContains(t, seen, sum, name)
		seen[sum] = name
	}
	for _, bits := range frameBits {
		c := newTestFrame(t, bits)
		require.Equal(t, c.Chain([]byte("a"), []byte("b")), c.Chain([]byte("a"), []byte("b")))
		note(fmt.Sprint(bits, " nothing"), c.Chain())
		note(fmt.Sprint(bits, " one empty"), c.Chain(nil))
		note(fmt.Sprint(bits, " ab"), c.Chain([]byte("ab")))
		note(fmt.Sprint(bits, " a b"), c.Chain([]byte("a"), []byte("b")))
		note(fmt.Sprint(bits, " ab empty"), c.Chain([]byte("ab"), nil))
		for _, bit := range []int{0, 77, 127} {
			key := testKey(t, testKeyID, 1, bits)
			other, err := NewFrame(key, [16]byte(flip(testVolume[:], bit)), testSegment)
			require.NoError(t, err)
			note(fmt.Sprint(bits, " volume ", bit), other.Chain([]byte("ab")))
			other, err = NewFrame(key, testVolume, [16]byte(flip(testSegment[:], bit)))
			require.NoError(t, err)
			note(fmt.Sprint(bits, " segment ", bit), other.Chain([]byte("ab")))
		}
	}
}

func TestFrameClosed(t *testing.T) {
	for _, bits := range frameBits {
		c := newTestFrame(t, bits)
		c.Chain([]byte("x"))
		c.Close()
		c.Close()
		out, _, _, err := c.Seal([]byte("kept"), []byte("x"), nil)
		require.ErrorIs(t, err, ErrClosed)
		require.Equal(t, []byte("kept"), out)
		out, err = c.Open([]byte("kept"), []byte("x"), nil, [12]byte{}, [16]byte{})
		require.ErrorIs(t, err, fault.State)
		require.Equal(t, []byte("kept"), out)
		require.Panics(t, func() { c.Chain() })
	}
}

func TestFrameConcurrent(t *testing.T) {
	for _, bits := range frameBits {
		c := newTestFrame(t, bits)
		want := c.Chain([]byte("part"))
		var wg sync.WaitGroup
		for g := range 8 {
			wg.Go(func() {
				for i := range 50 {
					plain := random(byte(i), 100*g)
					out, nonce, tag, err := c.Seal(nil, plain, plain[:g])
					if err != nil {
						t.Error(err)
					}
					back, err := c.Open(nil, out, plain[:g], nonce, tag)
					if err != nil || !bytes.Equal(back, plain) || c.Chain([]byte("part")) != want {
						t.Error("wrong under concurrency", err)
					}
				}
			})
		}
		wg.Wait()
	}
}

func TestLabelMAC(t *testing.T) {
	seen := map[[32]byte]bool{}
	for _, bits := range frameBits {
		for _, label := range [][]byte{nil, {0}, []byte("label"), random(1, 4096)} {
			for _, volume := range [][16]byte{testVolume, testSegment} {
				for _, seed := range []byte{1, 2} {
					if bits == 0 && seed == 2 {
						continue
					}
					mac, err := LabelMAC(testKey(t, testKeyID, seed, bits), volume, label)
					require.NoError(t, err)
					require.False(t, seen[mac], "two labels with one MAC")
					seen[mac] = true
					again, err := LabelMAC(testKey(t, testKeyID, seed, bits), volume, label)
					require.NoError(t, err)
					require.Equal(t, mac, again)
				}
			}
		}
	}
}
