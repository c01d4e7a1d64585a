package ff1

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/hex"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/internal/fault"
)

// library is Go's AES as a Block.
type library struct{ cipher.Block }

func (l library) EncryptBlocks(dst, src []byte) {
	for ; len(src) > 0; dst, src = dst[blockSize:], src[blockSize:] {
		l.Encrypt(dst[:blockSize], src[:blockSize])
	}
}

func newCipher(t testing.TB, key string, radix int) *Cipher {
	t.Helper()
	raw, err := hex.DecodeString(key)
	require.NoError(t, err)
	b, err := aes.NewCipher(raw)
	require.NoError(t, err)
	c, err := New(library{b}, radix)
	require.NoError(t, err)
	return c
}

const alphabet = "0123456789abcdefghijklmnopqrstuvwxyz"

func parse(s string) []byte {
	x := make([]byte, len(s))
	for i := range s {
		x[i] = byte(strings.IndexByte(alphabet, s[i]))
	}
	return x
}

func format(x []byte) string {
	s := make([]byte, len(x))
	for i, n := range x {
		s[i] = alphabet[n]
	}
	return string(s)
}

// NIST's samples for FF1, all nine:
// https://csrc.nist.gov/CSRC/media/Projects/Cryptographic-Standards-and-Guidelines/documents/examples/FF1samples.pdf
func TestNISTSamples(t *testing.T) {
	const (
		key128 = "2b7e151628aed2a6abf7158809cf4f3c"
		key192 = key128 + "ef4359d8d580aa4f"
		key256 = key192 + "7f036d6f04fc6a94"
		digits = "39383736353433323130"
		mixed  = "3737373770717273373737"
		plain  = "0123456789"
		long   = "0123456789abcdefghi"
	)
	for i, s := range []struct {
		key, tweak, plain, want string
		radix                   int
	}{
		{key128, "", plain, "2433477484", 10}, {key128, digits, plain, "6124200773", 10}, {key128, mixed, long, "a9tv40mll9kdu509eum", 36},
		{key192, "", plain, "2830668132", 10}, {key192, digits, plain, "2496655549", 10}, {key192, mixed, long, "xbj3kv35jrawxv32ysr", 36},
		{key256, "", plain, "6657667009", 10}, {key256, digits, plain, "1001623463", 10}, {key256, mixed, long, "xs8a0azh2avyalyzuwd", 36},
	} {
		c := newCipher(t, s.key, s.radix)
		tweak, err := hex.DecodeString(s.tweak)
		require.NoError(t, err)
		x := parse(s.plain)
		require.NoError(t, c.Encrypt(x, tweak))
		require.Equal(t, s.want, format(x), "sample %d", i+1)
		require.NoError(t, c.Decrypt(x, tweak))
		require.Equal(t, s.plain, format(x), "sample %d", i+1)
	}
}

func TestLimits(t *testing.T) {
	c := newCipher(t, strings.Repeat("00", 16), 10)
	for n := range 80 {
		x := make([]byte, n)
		err := c.Encrypt(x, nil)
		if n >= 6 && n <= 76 {
			require.NoError(t, err, "%d digits", n)
			require.NoError(t, c.Decrypt(x, nil))
			require.Equal(t, make([]byte, n), x)
			continue
		}
		require.ErrorIs(t, err, fault.Usage, "%d digits", n)
		require.ErrorIs(t, c.Decrypt(x, nil), fault.Usage)
	}
	require.ErrorIs(t, c.Encrypt([]byte{1, 2, 3, 4, 5, 10}, nil), fault.Usage)
	require.ErrorIs(t, c.Encrypt(make([]byte, 6), make([]byte, maxTweak+1)), fault.Usage)
	for _, radix := range []int{-1, 0, 1, 37} {
		_, err := New(nil, radix)
		require.ErrorIs(t, err, fault.Usage)
	}
	require.Equal(t, 20, newCipher(t, strings.Repeat("00", 16), 2).minLen)
}

// Against the algorithm written as the standard has it, with big numbers, at every radix, length and tweak length.
func TestAgainstTheStandard(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	key := make([]byte, 32)
	for radix := 2; radix <= maxRadix; radix++ {
		c := newCipher(t, hex.EncodeToString(key), radix)
		for range 30 {
			x := make([]byte, c.minLen+r.IntN(14))
			for i := range x {
				x[i] = byte(r.IntN(radix))
			}
			tweak := make([]byte, r.IntN(40))
			for i := range tweak {
				tweak[i] = byte(r.Uint32())
			}
			want := slow(c.block, radix, x, tweak)
			got := bytes.Clone(x)
			require.NoError(t, c.Encrypt(got, tweak))
			require.Equal(t, want, got, "radix %d", radix)
			require.NoError(t, c.Decrypt(got, tweak))
			require.Equal(t, x, got)
		}
	}
}

// slow is algorithm 7 of SP 800-38G, line by line.
func slow(block Block, radix int, x, tweak []byte) []byte {
	n, t := len(x), len(tweak)
	u := n / 2
	v := n - u
	a, b := bytes.Clone(x[:u]), bytes.Clone(x[u:])
	base := big.NewInt(int64(radix))
	exp := func(m int) *big.Int { return new(big.Int).Exp(base, big.NewInt(int64(m)), nil) }
	num := func(x []byte) *big.Int {
		s := new(big.Int)
		for _, d := range x {
			s.Add(s.Mul(s, base), big.NewInt(int64(d)))
		}
		return s
	}
	bb := (new(big.Int).Sub(exp(v), big.NewInt(1)).BitLen() + 7) / 8
	d := 4*((bb+3)/4) + 4
	p := []byte{1, 2, 1, 0, 0, byte(radix), 10, byte(u), 0, 0, 0, byte(n), 0, 0, 0, byte(t)}
	for i := range 10 {
		q := append(bytes.Clone(tweak), make([]byte, ((-t-bb-1)%16+16)%16)...)
		q = append(append(q, byte(i)), num(b).FillBytes(make([]byte, bb))...)
		r := make([]byte, 16)
		for m := append(bytes.Clone(p), q...); len(m) > 0; m = m[16:] {
			for j := range r {
				r[j] ^= m[j]
			}
			block.EncryptBlocks(r, r)
		}
		s := bytes.Clone(r)
		for j := 1; len(s) < d; j++ {
			next := bytes.Clone(r)
			next[15] ^= byte(j)
			block.EncryptBlocks(next, next)
			s = append(s, next...)
		}
		m := v
		if i%2 == 0 {
			m = u
		}
		c := new(big.Int).Add(num(a), new(big.Int).SetBytes(s[:d]))
		c.Mod(c, exp(m))
		out := make([]byte, m)
		for j := m - 1; j >= 0; j-- {
			rem := new(big.Int)
			c.DivMod(c, base, rem)
			out[j] = byte(rem.Int64())
		}
		a, b = b, out
	}
	return append(a, b...)
}

func FuzzRoundTrip(f *testing.F) {
	f.Add([]byte("0123456789"), []byte("tweak"), uint8(10))
	f.Add(bytes.Repeat([]byte{35}, 24), []byte{}, uint8(36))
	f.Fuzz(func(t *testing.T, x, tweak []byte, radix uint8) {
		r := 2 + int(radix)%(maxRadix-1)
		x = bytes.Clone(x) // the fuzzer's slices are not to be written to, and may share memory
		for i := range x {
			x[i] %= byte(r)
		}
		c := newCipher(t, strings.Repeat("5a", 24), r)
		was := bytes.Clone(x)
		if err := c.Encrypt(x, tweak); err != nil {
			require.Equal(t, was, x)
			return
		}
		require.NoError(t, c.Decrypt(x, tweak))
		require.Equal(t, was, x)
	})
}
