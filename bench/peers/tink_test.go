package peers

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/streamingaead"
	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/element"
)

var context = element.NewContext("patients", "ssn")

// ours returns a Cipher over a key of 256 bits.
func ours(t testing.TB) (*element.Cipher, dek.ID) {
	t.Helper()
	ring := dek.NewKeyring()
	key, err := ring.CreateEncryptionKey(256, dek.Element)
	require.NoError(t, err)
	c, err := element.New(ring)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c, key.ID()
}

// tinks returns Tink's AES-256-GCM, with its prefix that names the key, and its streaming AEAD of 1 MiB segments.
func tinks(t testing.TB) (tink.AEAD, tink.StreamingAEAD) {
	t.Helper()
	h, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	require.NoError(t, err)
	a, err := aead.New(h)
	require.NoError(t, err)
	h, err = keyset.NewHandle(streamingaead.AES256GCMHKDF1MBKeyTemplate())
	require.NoError(t, err)
	s, err := streamingaead.New(h)
	require.NoError(t, err)
	return a, s
}

// Both sides do what they are measured for.
func TestRoundTrips(t *testing.T) {
	c, id := ours(t)
	a, s := tinks(t)
	plain := bytes.Repeat([]byte("plaintext "), 100_000)
	ct, err := c.Encrypt(plain[:100], id, context)
	require.NoError(t, err)
	got, err := c.Decrypt(ct, context)
	require.NoError(t, err)
	require.Equal(t, plain[:100], got)
	ct, err = a.Encrypt(plain[:100], context)
	require.NoError(t, err)
	got, err = a.Decrypt(ct, context)
	require.NoError(t, err)
	require.Equal(t, plain[:100], got)

	var one, two bytes.Buffer
	require.NoError(t, writeOurs(c, id, &one, plain))
	require.NoError(t, writeTink(s, &two, plain))
	r, err := element.NewReader(&one, c, context)
	require.NoError(t, err)
	got, err = io.ReadAll(r)
	require.NoError(t, err)
	require.True(t, bytes.Equal(plain, got))
	tr, err := s.NewDecryptingReader(&two, context)
	require.NoError(t, err)
	got, err = io.ReadAll(tr)
	require.NoError(t, err)
	require.True(t, bytes.Equal(plain, got))
}

func writeOurs(c *element.Cipher, id dek.ID, to io.Writer, plain []byte) error {
	w, err := element.NewWriter(to, c, id, context)
	if err != nil {
		return err
	}
	if _, err := w.Write(plain); err != nil {
		return err
	}
	return w.Close()
}

func writeTink(s tink.StreamingAEAD, to io.Writer, plain []byte) error {
	w, err := s.NewEncryptingWriter(to, context)
	if err != nil {
		return err
	}
	if _, err := w.Write(plain); err != nil {
		return err
	}
	return w.Close()
}

// beside runs both by turns and reports the median of the ratio of their times, below 1 where Coffer is
// faster, and of their times.
func beside(b *testing.B, times int, coffer, other func() error) {
	b.Helper()
	lap := func(f func() error) float64 {
		begin := time.Now()
		for range times {
			if err := f(); err != nil {
				b.Fatal(err)
			}
		}
		return float64(time.Since(begin).Nanoseconds()) / float64(times)
	}
	var ours, theirs, ratios []float64
	for b.Loop() {
		x, y := lap(coffer), lap(other)
		ours, theirs, ratios = append(ours, x), append(theirs, y), append(ratios, x/y)
	}
	median := func(v []float64) float64 { return slices.Sorted(slices.Values(v))[len(v)/2] }
	b.ReportMetric(0, "ns/op") // of a pair of laps: says nothing
	b.ReportMetric(median(ours), "ns-coffer")
	b.ReportMetric(median(theirs), "ns-tink")
	b.ReportMetric(median(ratios), "coffer/tink")
}

func BenchmarkValue(b *testing.B) {
	c, id := ours(b)
	a, _ := tinks(b)
	for _, n := range []int{16, 64, 256, 1024} {
		plain := make([]byte, n)
		ct, err := c.Encrypt(plain, id, context)
		require.NoError(b, err)
		theirs, err := a.Encrypt(plain, context)
		require.NoError(b, err)
		b.Run(fmt.Sprintf("encrypt/%d", n), func(b *testing.B) {
			beside(b, 200, func() error { _, err := c.Encrypt(plain, id, context); return err },
				func() error { _, err := a.Encrypt(plain, context); return err })
		})
		b.Run(fmt.Sprintf("decrypt/%d", n), func(b *testing.B) {
			beside(b, 200, func() error { _, err := c.Decrypt(ct, context); return err },
				func() error { _, err := a.Decrypt(theirs, context); return err })
		})
	}
}

func BenchmarkStream(b *testing.B) {
	c, id := ours(b)
	_, s := tinks(b)
	plain := make([]byte, 4<<20)
	var one, two bytes.Buffer
	require.NoError(b, writeOurs(c, id, &one, plain))
	require.NoError(b, writeTink(s, &two, plain))
	read := func(r io.Reader, err error) error {
		if err == nil {
			_, err = io.Copy(io.Discard, r)
		}
		return err
	}
	b.Run("encrypt", func(b *testing.B) {
		beside(b, 1, func() error { return writeOurs(c, id, io.Discard, plain) }, func() error { return writeTink(s, io.Discard, plain) })
	})
	b.Run("decrypt", func(b *testing.B) {
		beside(b, 1, func() error { return read(element.NewReader(bytes.NewReader(one.Bytes()), c, context)) },
			func() error { return read(s.NewDecryptingReader(bytes.NewReader(two.Bytes()), context)) })
	})
}
