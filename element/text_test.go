package element

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestText(t *testing.T) {
	c, ids := newCipher(t, 256)
	for n := range 8 {
		ct, err := c.Encrypt(pattern(n), ids[0], nil)
		require.NoError(t, err)
		text := EncodeText(ct)
		require.True(t, strings.HasPrefix(text, TextPrefix))
		require.Len(t, text, TextLen(len(ct)))
		require.True(t, IsText(text) && IsText([]byte(text)))
		got, err := DecodeText(text)
		require.NoError(t, err)
		require.Equal(t, ct, got)
		got, err = DecodeText([]byte(text))
		require.NoError(t, err)
		require.Equal(t, ct, got)
		for i := range len(text) { // one character more, or another, anywhere
			for _, stray := range []string{" ", "\n", "\r", "=", "+", "/", "\x00", "é"} {
				for _, bad := range []string{text[:i] + stray + text[i:], text[:i] + stray + text[i+1:], text + stray} {
					_, err := DecodeText(bad)
					require.Error(t, err, "%q", bad)
					if strings.HasPrefix(bad, TextPrefix) {
						require.ErrorIs(t, err, ErrDamaged)
					} else {
						require.ErrorIs(t, err, ErrNotElement)
					}
					require.NotContains(t, err.Error(), text[9:])
				}
			}
		}
	}
	for _, bad := range []string{"", "coffer1", "COFFER1:", " coffer1:", "coffer2:AAAA"} {
		require.False(t, IsText(bad))
		_, err := DecodeText(bad)
		require.ErrorIs(t, err, ErrNotElement)
	}
	for _, bad := range []string{"coffer1:", "coffer1:AAAA", "coffer1:Q0ZF"} {
		_, err := DecodeText(bad)
		require.ErrorIs(t, err, ErrDamaged)
	}
}

// Bits behind the last byte must be zero: each value has one text.
func TestTextIsCanonical(t *testing.T) {
	c, ids := newCipher(t, 256)
	ct, err := c.Encrypt([]byte("x"), ids[0], nil)
	require.NoError(t, err)
	require.NotZero(t, len(ct)%3)
	text := EncodeText(ct)
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	same := 0
	for _, last := range alphabet {
		if got, err := DecodeText(text[:len(text)-1] + string(last)); err == nil && bytes.Equal(got, ct) {
			same++
		}
	}
	require.Equal(t, 1, same)
}

func TestContext(t *testing.T) {
	require.Equal(t, "patients.ssn", string(NewContext("patients", "ssn")))
	require.Equal(t, `a\.b\\.c`, string(NewContext(`a.b\`, "c")))
	require.Empty(t, NewContext())
	seen := map[string][]string{}
	parts := []string{"", ".", `\`, "a", "e", `\e`, "a.b"}
	lists := [][]string{nil}
	for range 3 {
		for _, l := range lists {
			for _, p := range parts {
				if len(l) < 3 {
					lists = append(lists, append(append([]string{}, l...), p))
				}
			}
		}
	}
	for _, l := range lists {
		got := string(NewContext(l...))
		if was, ok := seen[got]; ok {
			require.Equal(t, was, l, "%q stands for two", got)
		}
		seen[got] = l
	}
	require.Greater(t, len(seen), 300)
}
