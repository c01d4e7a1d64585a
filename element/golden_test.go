package element

import (
	"bytes"
	"encoding/json"
	"flag"
	"io"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/fips"
)

// Ciphertexts of version 1, made once: they must stay readable for ever. A file that
// is there is never made anew.
var makeGolden = flag.Bool("golden", false, "make the golden ciphertexts of this version, if there are none")

const goldenPath = "testdata/golden-1.json"

type goldenFile struct {
	Keys    []goldenKey
	Values  []goldenValue
	Streams []goldenStream
	Indexes []goldenIndex
	Buckets []goldenBucket
	Digits  []goldenDigits
}

type goldenKey struct{ ID, DEK []byte }

type goldenValue struct{ Key, Suite, Text, Context, Plain string }

type goldenStream struct {
	Key, Context  string
	Segment       int
	Plain, Sealed []byte
}

type goldenIndex struct {
	Key, Context, Value string
	Bits                int
	Index               []byte
}

type goldenBucket struct {
	Key, Context, Value string
	Buckets, Bucket     uint64
}

type goldenDigits struct{ Key, Context, Plain, Digits string }

func readGolden(t *testing.T) (g goldenFile) {
	t.Helper()
	raw, err := os.ReadFile(goldenPath)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(raw, &g))
	require.True(t, len(g.Keys) == 3 && len(g.Values) == 36 && len(g.Streams) == 12 && len(g.Indexes) == 6 && len(g.Buckets) == 3 && len(g.Digits) == 6)
	return g
}

// goldenCipher returns a Cipher over the keys of the golden ciphertexts.
func goldenCipher(t *testing.T, keys []goldenKey) *Cipher {
	t.Helper()
	ring := dek.NewKeyring()
	for _, k := range keys {
		key, err := dek.Import(dek.ID(k.ID), k.DEK)
		require.NoError(t, err)
		require.NoError(t, ring.Activate(key, dek.Element, dek.DecryptOnly))
		key.Destroy()
	}
	c, err := NewWithOptions(ring, Options{AllowUnauthenticated: true})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

func TestGolden(t *testing.T) {
	if *makeGolden {
		writeGolden(t)
	}
	g := readGolden(t)
	c := goldenCipher(t, g.Keys)
	id := func(s string) dek.ID {
		id, err := dek.ParseID(s)
		require.NoError(t, err)
		return id
	}
	for _, v := range g.Values {
		suite, err := ParseSuite(v.Suite)
		require.NoError(t, err)
		if suite.Allowed() != nil {
			continue
		}
		ct, err := DecodeText(v.Text)
		require.NoError(t, err)
		got, err := c.Decrypt(ct, []byte(v.Context))
		require.NoError(t, err, "%+v", v)
		require.Equal(t, v.Plain, string(got))
		require.Equal(t, v.Text, EncodeText(ct))
	}
	for _, s := range g.Streams {
		r, err := NewReader(bytes.NewReader(s.Sealed), c, []byte(s.Context))
		require.NoError(t, err)
		got, err := io.ReadAll(r)
		require.NoError(t, err)
		require.True(t, bytes.Equal(s.Plain, got))
		at, err := OpenReaderAt(bytes.NewReader(s.Sealed), int64(len(s.Sealed)), c, []byte(s.Context))
		require.NoError(t, err)
		require.EqualValues(t, len(s.Plain), at.Size())
		require.NoError(t, at.Close())
	}
	for _, x := range g.Indexes {
		got, err := c.Index(id(x.Key), []byte(x.Context), []byte(x.Value), x.Bits)
		require.NoError(t, err)
		require.Equal(t, x.Index, got)
	}
	for _, x := range g.Buckets {
		got, err := c.Bucket(id(x.Key), []byte(x.Context), []byte(x.Value), x.Buckets)
		require.NoError(t, err)
		require.Equal(t, x.Bucket, got)
	}
	for _, d := range g.Digits {
		if fips.Allow(fips.FF1) != nil {
			break
		}
		got, err := c.DecryptDigits(d.Digits, id(d.Key), []byte(d.Context))
		require.NoError(t, err)
		require.Equal(t, d.Plain, got)
	}
}

func writeGolden(t *testing.T) {
	t.Helper()
	if _, err := os.Stat(goldenPath); err == nil {
		t.Log("the golden ciphertexts are there, and stay")
		return
	}
	var g goldenFile
	c, ids := newCipher(t, 128, 192, 256)
	for i, id := range ids {
		k := fixedKey(t, 128+64*i, byte(i))
		g.Keys = append(g.Keys, goldenKey{id[:], bytes.Clone(k.ExposeSecret())})
		key := id.String()
		for _, suite := range Suites() {
			for _, plain := range []string{"", "078-05-1120", "Straße 17, and more text than fits into two blocks of AES"} {
				context := string(contextOf(suite))
				ct, err := c.EncryptWith(suite, []byte(plain), id, []byte(context))
				require.NoError(t, err)
				g.Values = append(g.Values, goldenValue{key, suite.String(), EncodeText(ct), context, plain})
			}
		}
		for _, n := range []int{0, 100, small, small + 50} {
			sealed := stream(t, c, id, pattern(n), []byte("stream"), StreamOptions{Segment: small})
			g.Streams = append(g.Streams, goldenStream{key, "stream", small, pattern(n), sealed})
		}
		for _, bits := range []int{20, 256} {
			x, err := c.Index(id, []byte("patients.ssn"), []byte("078-05-1120"), bits)
			require.NoError(t, err)
			g.Indexes = append(g.Indexes, goldenIndex{key, "patients.ssn", "078-05-1120", bits, x})
		}
		b, err := c.Bucket(id, []byte("patients.ssn"), []byte("078-05-1120"), 1000)
		require.NoError(t, err)
		g.Buckets = append(g.Buckets, goldenBucket{key, "patients.ssn", "078-05-1120", 1000, b})
		for _, plain := range []string{"000001", "4111111111111111"} {
			d, err := c.EncryptDigits(plain, id, []byte("cards"))
			require.NoError(t, err)
			g.Digits = append(g.Digits, goldenDigits{key, "cards", plain, d})
		}
	}
	raw, err := json.MarshalIndent(g, "", "\t")
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll("testdata", 0o755))
	require.NoError(t, os.WriteFile(goldenPath, append(raw, '\n'), 0o644))
}
