package element

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
)

func TestIndex(t *testing.T) {
	c, ids := newCipher(t, 128, 256)
	seen := map[string]string{}
	for _, id := range ids {
		for _, bits := range []int{64, 65, 71, 256} {
			for _, context := range []string{"", "a", "ab"} {
				for _, value := range []string{"", "b", "bc", "c"} {
					x, err := c.Index(id, []byte(context), []byte(value), bits)
					require.NoError(t, err)
					require.Len(t, x, (bits+7)/8)
					if bits%8 != 0 {
						require.Zero(t, x[len(x)-1]&(0xff>>(bits%8)), "%d bits", bits)
					}
					again, err := c.Index(id, []byte(context), []byte(value), bits)
					require.NoError(t, err)
					require.Equal(t, x, again)
					name := fmt.Sprint(id, bits, context, "/", value)
					require.NotContains(t, seen, string(x[:8]), "%s and %s", name, seen[string(x[:8])])
					seen[string(x[:8])] = name
				}
			}
		}
	}
	for _, bits := range []int{-1, 0, 7, 257} {
		_, err := c.Index(ids[0], nil, nil, bits)
		require.ErrorIs(t, err, ErrUsage)
	}
	_, err := c.Index(dek.NewID(), nil, nil, 64)
	require.ErrorIs(t, err, ErrNotActivated)
	_, err = c.Index(ids[0], make([]byte, MaxContext+1), nil, 64)
	require.ErrorIs(t, err, ErrUsage)
}

func TestBucket(t *testing.T) {
	c, ids := newCipher(t, 256)
	var count [10]int
	for i := range 2000 {
		b, err := c.Bucket(ids[0], nil, fmt.Append(nil, i), 10)
		require.NoError(t, err)
		count[b]++
	}
	for b, n := range count {
		require.InDelta(t, 200, n, 100, "bucket %d", b) // the key is fixed, so is the outcome
	}
	for _, n := range []uint64{0, 1, MaxBuckets + 1} {
		_, err := c.Bucket(ids[0], nil, nil, n)
		require.ErrorIs(t, err, ErrUsage)
	}
	_, err := c.Bucket(ids[0], nil, nil, MaxBuckets)
	require.NoError(t, err)
	_, err = c.Bucket(dek.NewID(), nil, nil, 2)
	require.ErrorIs(t, err, ErrNotActivated)
}

func TestDigits(t *testing.T) {
	c, ids := newCipher(t, 128, 256)
	if _, err := c.EncryptDigits("123456", ids[0], nil); err != nil {
		require.ErrorIs(t, err, fault.Unsupported, "in FIPS mode")
		t.Skip("FIPS mode has no FF1")
	}
	const card = "4111111111111111"
	got, err := c.EncryptDigits(card, ids[0], []byte("cards"))
	require.NoError(t, err)
	require.Len(t, got, len(card))
	require.NotEqual(t, card, got)
	back, err := c.DecryptDigits(got, ids[0], []byte("cards"))
	require.NoError(t, err)
	require.Equal(t, card, back)
	for _, other := range []struct {
		id      dek.ID
		context string
	}{{ids[1], "cards"}, {ids[0], "card"}} {
		back, err = c.DecryptDigits(got, other.id, []byte(other.context))
		require.NoError(t, err, "nothing can notice")
		require.NotEqual(t, card, back)
	}
	moved, err := c.RekeyDigits(got, ids[0], ids[1], []byte("cards"))
	require.NoError(t, err)
	back, err = c.DecryptDigits(moved, ids[1], []byte("cards"))
	require.NoError(t, err)
	require.Equal(t, card, back)
	long := fmt.Sprintf("%064d", 7)
	got, err = c.EncryptDigits(long, ids[0], nil)
	require.NoError(t, err)
	back, err = c.DecryptDigits(got, ids[0], nil)
	require.NoError(t, err)
	require.Equal(t, long, back)

	for _, bad := range []string{"", "12345", long + "1", "12345x", "12345:", "12345/", "١٢٣٤٥٦", "123 456"} {
		_, err := c.EncryptDigits(bad, ids[0], nil)
		require.ErrorIs(t, err, ErrUsage, "%q", bad)
		if len(bad) > 5 {
			require.NotContains(t, err.Error(), bad[:5])
		}
	}
	_, err = c.EncryptDigits(card, dek.NewID(), nil)
	require.ErrorIs(t, err, ErrNotActivated)
	require.NoError(t, c.ring.SetMode(ids[0], dek.Element, dek.DecryptOnly))
	_, err = c.EncryptDigits(card, ids[0], nil)
	require.ErrorIs(t, err, ErrDecryptOnly)
	_, err = c.DecryptDigits(card, ids[0], nil)
	require.NoError(t, err)
}
