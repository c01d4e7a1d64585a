package element

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/dek"
)

// ring returns a keyring with keys of these lengths in bits activated for elements.
func ring(t testing.TB, bits ...int) (*dek.Keyring, []dek.ID) {
	t.Helper()
	r := dek.NewKeyring()
	var ids []dek.ID
	for i, n := range bits {
		k := fixedKey(t, n, byte(i))
		require.NoError(t, r.Activate(k, dek.Element, dek.Active))
		ids = append(ids, k.ID())
		k.Destroy()
	}
	t.Cleanup(func() { require.NoError(t, r.Close()) })
	return r, ids
}

// fixedKey returns a key that is always the same.
func fixedKey(t testing.TB, bits int, n byte) *dek.Key {
	t.Helper()
	raw := make([]byte, bits/8)
	for i := range raw {
		raw[i] = n*7 + byte(i)
	}
	k, err := dek.Import(dek.ID{0xc0, n, 2, 3, 4, 5, 0x46, 7, 0x88, 9, 10, 11, 12, 13, byte(bits), 15}, raw)
	require.NoError(t, err)
	return k
}

// newCipher returns a Cipher over such a keyring, with every suite allowed.
func newCipher(t testing.TB, bits ...int) (*Cipher, []dek.ID) {
	t.Helper()
	r, ids := ring(t, bits...)
	c, err := NewWithOptions(r, Options{AllowUnauthenticated: true})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c, ids
}

// allowed returns the suites that may be used in this mode.
func allowed() []Suite {
	var all []Suite
	for _, s := range Suites() {
		if s.Allowed() == nil {
			all = append(all, s)
		}
	}
	return all
}

// contextOf returns a context that the suite takes.
func contextOf(s Suite) []byte {
	if !s.Authenticated() {
		return nil
	}
	return NewContext("patients", "ssn")
}

// pattern returns n bytes that are not all alike.
func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*131 + i>>8)
	}
	return b
}
