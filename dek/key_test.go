package dek

import (
	"bytes"
	"encoding"
	"encoding/gob"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func newKey(t testing.TB, bits int) *Key {
	t.Helper()
	k, err := Generate(bits)
	require.NoError(t, err)
	t.Cleanup(k.Destroy)
	return k
}

func TestGenerate(t *testing.T) {
	for _, bits := range []int{128, 192, 256} {
		a, b := newKey(t, bits), newKey(t, bits)
		require.Equal(t, bits, a.Bits())
		require.Equal(t, bits/8, a.Len())
		require.Len(t, a.ExposeSecret(), bits/8)
		require.NotEqual(t, a.ExposeSecret(), b.ExposeSecret())
		require.NotEqual(t, a.ID(), b.ID())
		require.False(t, a.ID().IsZero())
	}
	for _, bits := range []int{-1, 0, 1, 64, 127, 129, 160, 512, 1 << 40} {
		_, err := Generate(bits)
		require.ErrorIs(t, err, ErrUsage, bits)
	}
}

func TestImport(t *testing.T) {
	raw := []byte("0123456789abcdef")
	id := NewID()
	k, err := Import(id, raw)
	require.NoError(t, err)
	defer k.Destroy()
	require.Equal(t, "0123456789abcdef", string(raw), "import wipes nothing")
	raw[0] ^= 1
	require.Equal(t, "0123456789abcdef", string(k.ExposeSecret()), "import copies")
	for _, n := range []int{0, 8, 15, 17, 33, 64} {
		_, err := Import(id, make([]byte, n))
		require.ErrorIs(t, err, ErrUsage, n)
	}
	_, err = Import(ID{}, raw)
	require.ErrorIs(t, err, ErrUsage)
}

func TestEqualCloneDestroy(t *testing.T) {
	k := newKey(t, 256)
	c, err := k.Clone()
	require.NoError(t, err)
	require.True(t, k.Equal(c))
	other, err := Import(NewID(), k.ExposeSecret())
	require.NoError(t, err)
	defer other.Destroy()
	require.False(t, k.Equal(other), "same bytes, other ID")
	wrong, err := Import(k.ID(), bytes.Repeat([]byte{1}, 32))
	require.NoError(t, err)
	defer wrong.Destroy()
	require.False(t, k.Equal(wrong), "same ID, other bytes")
	short, err := Import(k.ID(), k.ExposeSecret()[:16])
	require.NoError(t, err)
	defer short.Destroy()
	require.False(t, k.Equal(short), "a prefix")
	require.False(t, k.Equal(nil))

	c.Destroy()
	c.Destroy()
	(*Key)(nil).Destroy()
	require.Nil(t, c.ExposeSecret())
	require.False(t, c.Equal(c), "a destroyed key equals nothing")
	require.Equal(t, k.ID(), c.ID())
	require.Equal(t, 256, c.Bits())
	require.NotNil(t, k.ExposeSecret(), "the original stays")
	_, err = c.Clone()
	require.ErrorIs(t, err, ErrDestroyed)
	require.ErrorIs(t, c.Derive(make([]byte, 32), nil, "x"), ErrDestroyed)
	require.Panics(t, func() { c.CheckValue(nil) })
}

func TestKeyNeverShows(t *testing.T) {
	k, err := Import(NewID(), []byte("\x01secret-bytes-of-the-key-32-long"))
	require.NoError(t, err)
	defer k.Destroy()
	want := "dek.Key(" + k.ID().String() + ")"
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%o", "%b", "%T%v"} {
		for _, v := range []any{k, *k, struct{ K *Key }{k}, []*Key{k}, map[string]Key{"k": *k}} {
			got := fmt.Sprintf(verb, v)
			require.NotContains(t, got, "secret", verb)
			require.NotContains(t, strings.ToLower(got), hex.EncodeToString([]byte("secret")), verb)
		}
	}
	require.Equal(t, want, fmt.Sprint(k))
	require.Equal(t, want, fmt.Sprintf("%#v", k))
	require.Equal(t, want, k.GoString())
	var buf bytes.Buffer
	slog.New(slog.NewJSONHandler(&buf, nil)).Info("x", "key", k)
	require.Contains(t, buf.String(), want)

	for _, v := range []any{k, *k, struct{ K *Key }{k}} {
		_, err := json.Marshal(v)
		require.ErrorIs(t, err, ErrSecret)
		require.ErrorIs(t, gob.NewEncoder(&bytes.Buffer{}).Encode(v), ErrSecret)
	}
	_, err = encoding.TextMarshaler(k).MarshalText()
	require.ErrorIs(t, err, ErrSecret)
	_, err = encoding.BinaryMarshaler(k).MarshalBinary()
	require.ErrorIs(t, err, ErrSecret)
	require.False(t, reflect.TypeFor[Key]().Comparable(), "== must not compile")
}

func TestDerive(t *testing.T) {
	k := newKey(t, 256)
	out := func(salt, info string) string {
		dst := make([]byte, 32)
		require.NoError(t, k.Derive(dst, []byte(salt), info))
		return string(dst)
	}
	require.Equal(t, out("s", "i"), out("s", "i"))
	require.NotEqual(t, out("s", "i"), out("t", "i"))
	require.NotEqual(t, out("s", "i"), out("s", "j"))
	for _, n := range []int{0, maxDerived + 1} {
		require.ErrorIs(t, k.Derive(make([]byte, n), nil, ""), ErrUsage)
	}
	require.NoError(t, k.Derive(make([]byte, maxDerived), nil, ""))
}

func TestCheckValue(t *testing.T) {
	k := newKey(t, 192)
	wrong, err := Import(k.ID(), make([]byte, 24))
	require.NoError(t, err)
	defer wrong.Destroy()
	salt := []byte("volume")
	require.Equal(t, k.CheckValue(salt), k.CheckValue(salt))
	require.NotEqual(t, k.CheckValue(salt), wrong.CheckValue(salt))
	require.NotEqual(t, k.CheckValue(salt), k.CheckValue([]byte("other")))
	want := make([]byte, 16)
	require.NoError(t, k.Derive(want, salt, "coffer/1 key check value"))
	require.Equal(t, [16]byte(want), k.CheckValue(salt))
}

func TestID(t *testing.T) {
	const text = "9158980E-AE52-4E12-82FD-AA5A2909D029"
	id, err := ParseID(strings.ToLower(text))
	require.NoError(t, err)
	require.Equal(t, text, id.String())
	require.True(t, ID{}.IsZero())
	data, err := json.Marshal(map[string]ID{"id": id})
	require.NoError(t, err)
	require.Equal(t, `{"id":"`+text+`"}`, string(data))
	var back struct{ ID ID }
	require.NoError(t, json.Unmarshal(data, &back))
	require.Equal(t, id, back.ID)
	for _, s := range []string{"", "x", text + "0", "not-a-guid"} {
		_, err := ParseID(s)
		require.ErrorIs(t, err, ErrUsage)
		require.Error(t, new(ID).UnmarshalText([]byte(s)))
		if len(s) > 1 {
			require.NotContains(t, err.Error(), s, "a secret pasted into the wrong place stays out of errors")
		}
	}
}

var _ gob.GobEncoder = Key{} // here, so that no program links gob for it
