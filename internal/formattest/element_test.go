package formattest

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/element"
	"github.com/cofferdb/coffer/fips"
)

// elements returns a Cipher over one key, and that key for the reader.
func elements(t *testing.T, bits int) (*element.Cipher, *elementKey) {
	t.Helper()
	key, err := dek.Generate(bits)
	require.NoError(t, err)
	defer key.Destroy()
	ring := dek.NewKeyring()
	require.NoError(t, ring.Activate(key, dek.Element, dek.Active))
	c, err := element.NewWithOptions(ring, element.Options{AllowUnauthenticated: true})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c, &elementKey{id: key.ID(), dek: bytes.Clone(key.ExposeSecret())}
}

// What the package writes the reader reads, and the other way round, for every suite, key size and many lengths.
func TestElementsAgree(t *testing.T) {
	for _, bits := range []int{128, 192, 256} {
		c, k := elements(t, bits)
		for _, suite := range element.Suites() {
			if suite.Allowed() != nil {
				continue
			}
			context := element.NewContext("table", "column.x", "")
			if !suite.Authenticated() {
				context = nil
			}
			for n := range 50 {
				plain := pattern(fmt.Sprint(suite, n), 64)[:n]
				ct, err := c.EncryptWith(suite, plain, k.id, context)
				require.NoError(t, err)
				got, err := k.open(ct, context)
				require.NoError(t, err, "%v, %d bytes", suite, n)
				require.True(t, bytes.Equal(plain, got))
				back, err := decodeElement(element.EncodeText(ct))
				require.NoError(t, err)
				require.Equal(t, ct, back)

				nonce := pattern("nonce", 16)
				if suite == element.GCM {
					nonce = nonce[:12]
				}
				ours := k.seal(byte(suite), nonce, plain, context)
				got, err = c.Decrypt(ours, context)
				require.NoError(t, err, "%v, %d bytes", suite, n)
				require.True(t, bytes.Equal(plain, got))
				if suite == element.SIV {
					require.Equal(t, ours, ct)
				}
			}
		}
	}
}

// Both readers refuse the same alterations.
func TestElementsAgreeOnAlterations(t *testing.T) {
	c, k := elements(t, 256)
	for _, suite := range element.Suites() {
		if suite.Allowed() != nil || !suite.Authenticated() {
			continue
		}
		ct, err := c.EncryptWith(suite, []byte("twenty bytes of text"), k.id, []byte("context"))
		require.NoError(t, err)
		for i := range ct {
			bad := bytes.Clone(ct)
			bad[i] ^= 1
			_, err := k.open(bad, []byte("context"))
			require.Error(t, err, "%v, byte %d", suite, i)
			_, err = c.Decrypt(bad, []byte("context"))
			require.Error(t, err, "%v, byte %d", suite, i)
		}
		for n := range ct {
			_, err = k.open(ct[:n], []byte("context"))
			require.Error(t, err)
		}
		_, err = k.open(ct, []byte("contexT"))
		require.ErrorIs(t, err, errForged)
	}
}

func TestStreamsAgree(t *testing.T) {
	c, k := elements(t, 192)
	for _, n := range []int{0, 1, 4095, 4096, 4097, 8192, 30000} {
		plain := pattern(fmt.Sprint(n), 32768)[:n]
		var out bytes.Buffer
		w, err := element.NewWriterWith(&out, c, k.id, []byte("ctx"), element.StreamOptions{Segment: 4096})
		require.NoError(t, err)
		_, err = w.Write(plain)
		require.NoError(t, err)
		require.NoError(t, w.Close())
		got, err := k.openStream(out.Bytes(), []byte("ctx"))
		require.NoError(t, err)
		require.True(t, bytes.Equal(plain, got))
		for cut := 128; cut < out.Len(); cut += 401 {
			got, err := k.openStream(out.Bytes()[:cut], []byte("ctx"))
			require.Error(t, err)
			require.True(t, bytes.HasPrefix(plain, got))
		}

		ours := k.sealStream(13, plain, []byte("ctx"))
		r, err := element.NewReader(bytes.NewReader(ours), c, []byte("ctx"))
		require.NoError(t, err)
		got, err = io.ReadAll(r)
		require.NoError(t, err)
		require.True(t, bytes.Equal(plain, got))
		at, err := element.OpenReaderAt(bytes.NewReader(ours), int64(len(ours)), c, []byte("ctx"))
		require.NoError(t, err)
		require.EqualValues(t, n, at.Size())
		require.NoError(t, at.Close())
	}
}

func TestIndexesAndDigitsAgree(t *testing.T) {
	c, k := elements(t, 128)
	for n := 8; n <= 256; n += 13 {
		x, err := c.Index(k.id, []byte("ctx"), []byte("value"), n)
		require.NoError(t, err)
		require.Equal(t, k.index(n, []byte("ctx"), []byte("value")), x)
		b, err := c.Bucket(k.id, nil, []byte{byte(n)}, uint64(n))
		require.NoError(t, err)
		require.Equal(t, k.bucket(uint64(n), nil, []byte{byte(n)}), b)
	}
	if fips.Allow(fips.FF1) != nil {
		return
	}
	for n := 6; n <= 64; n++ {
		plain := fmt.Sprintf("%0*d", n, 123456+n)
		tweak := pattern("tweak", 300)[:n*4]
		x, err := c.EncryptDigits(plain, k.id, tweak)
		require.NoError(t, err)
		require.Equal(t, plain, k.digits(x, tweak))
	}
}

// The reader reads the golden elements of the package too.
func TestGoldenElementsByTheReader(t *testing.T) {
	raw, err := os.ReadFile("../../element/testdata/golden-1.json")
	require.NoError(t, err)
	var g struct {
		Keys    []struct{ ID, DEK []byte }
		Values  []struct{ Key, Suite, Text, Context, Plain string }
		Streams []struct {
			Key             string
			Context         string
			Plain, Sealed   []byte
			Segment, Length int
		}
		Indexes []struct {
			Key, Context, Value string
			Bits                int
			Index               []byte
		}
		Buckets []struct {
			Key, Context, Value string
			Buckets, Bucket     uint64
		}
		Digits []struct{ Key, Context, Plain, Digits string }
	}
	require.NoError(t, json.Unmarshal(raw, &g))
	keys := map[string]*elementKey{}
	for _, k := range g.Keys {
		keys[dek.ID(k.ID).String()] = &elementKey{id: [16]byte(k.ID), dek: k.DEK}
	}
	require.NotEmpty(t, g.Values)
	for _, v := range g.Values {
		ct, err := decodeElement(v.Text)
		require.NoError(t, err)
		got, err := keys[v.Key].open(ct, []byte(v.Context))
		require.NoError(t, err, v.Suite)
		require.Equal(t, v.Plain, string(got))
	}
	require.NotEmpty(t, g.Streams)
	for _, s := range g.Streams {
		got, err := keys[s.Key].openStream(s.Sealed, []byte(s.Context))
		require.NoError(t, err)
		require.True(t, bytes.Equal(s.Plain, got))
	}
	for _, x := range g.Indexes {
		require.Equal(t, x.Index, keys[x.Key].index(x.Bits, []byte(x.Context), []byte(x.Value)))
	}
	for _, x := range g.Buckets {
		require.Equal(t, x.Bucket, keys[x.Key].bucket(x.Buckets, []byte(x.Context), []byte(x.Value)))
	}
	for _, d := range g.Digits {
		require.Equal(t, d.Plain, keys[d.Key].digits(d.Digits, []byte(d.Context)))
	}
	require.NotEmpty(t, g.Digits)
}

// elementExamples returns the blocks of FORMAT.md's "Data elements, by hand".
func elementExamples(t *testing.T) []map[string]string {
	t.Helper()
	var all []map[string]string
	for _, rest := range strings.Split(doc.text, "\n```element\n")[1:] {
		block, _, ok := strings.Cut(rest, "\n```\n")
		require.True(t, ok)
		m := map[string]string{}
		for line := range strings.Lines(block) {
			name, value, ok := strings.Cut(strings.TrimRight(line, "\n"), " =")
			require.True(t, ok, line)
			m[name] = strings.TrimPrefix(value, " ")
		}
		all = append(all, m)
	}
	return all
}

// The examples of the page hold, step by step, for the reader, and the package opens them.
func TestElementsByHand(t *testing.T) {
	all := elementExamples(t)
	require.Len(t, all, 7)
	raw := func(s string) []byte {
		b, err := hex.DecodeString(s)
		require.NoError(t, err)
		return b
	}
	for _, m := range all {
		k := &elementKey{id: [16]byte(raw(m["key id"])), dek: raw(m["dek"])}
		key, err := dek.Import(k.id, k.dek)
		require.NoError(t, err)
		ring := dek.NewKeyring()
		require.NoError(t, ring.Activate(key, dek.Element, dek.Active))
		c, err := element.NewWithOptions(ring, element.Options{AllowUnauthenticated: true})
		require.NoError(t, err)
		defer c.Close()
		context, plain := []byte(m["context"]), []byte(m["plaintext"])
		for name, want := range m {
			if purpose, ok := strings.CutPrefix(name, "subkey "); ok {
				var suite, n int
				_, err := fmt.Sscan(m["suite"]+" "+fmt.Sprint(len(want)/2), &suite, &n)
				require.NoError(t, err)
				var salt []byte
				if m["salt"] != "" {
					salt = raw(m["salt"])
				}
				require.Equal(t, want, hex.EncodeToString(k.subkey(purpose, n, byte(suite), salt)), name)
			}
		}
		switch m["kind"] {
		case "value":
			suite := element.Suite(m["suite"][0] - '0')
			sealed := k.seal(byte(suite), raw(m["nonce"]), plain, context)
			require.Equal(t, m["value"], hex.EncodeToString(sealed))
			require.Equal(t, m["text"], element.EncodeText(sealed))
			if suite.Allowed() == nil {
				got, err := c.Decrypt(sealed, context)
				require.NoError(t, err)
				require.Equal(t, m["plaintext"], string(got))
			}
		case "stream":
			sealed := k.sealStream(12, plain, context)
			require.Equal(t, m["stream"], hex.EncodeToString(sealed))
			r, err := element.NewReader(bytes.NewReader(sealed), c, context)
			require.NoError(t, err)
			got, err := io.ReadAll(r)
			require.NoError(t, err)
			require.Equal(t, m["plaintext"], string(got))
		case "index":
			require.Equal(t, m["index of 20 bits"], hex.EncodeToString(k.index(20, context, plain)))
			require.Equal(t, m["bucket of 1000"], fmt.Sprint(k.bucket(1000, context, plain)))
		case "digits":
			require.Equal(t, m["plaintext"], k.digits(m["digits"], context))
		default:
			require.Fail(t, "an example of no kind", m["kind"])
		}
	}
}
