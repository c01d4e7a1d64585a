package vectors

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"slices"
	"testing"

	"github.com/c2sp/wycheproof"
	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/internal/aes"
	"github.com/cofferdb/coffer/internal/ff1"
)

// AES-SIV with one string of additional data, as data elements use it.
func TestAESSIV(t *testing.T) {
	run(t, "aes_siv_cmac_test.json", counts{Valid: 118, Invalid: 324}, func(t *testing.T, _ *testGroup, c *testCase) verdict {
		s, err := aes.NewSIV(c.Key)
		require.NoError(t, err)
		defer s.Close()
		if len(c.CT) < aes.BlockSize {
			return refused
		}
		plain := make([]byte, len(c.CT)-aes.BlockSize)
		if !s.Open(plain, c.CT[aes.BlockSize:], [aes.BlockSize]byte(c.CT), c.AAD) {
			require.Equal(t, make([]byte, len(plain)), plain)
			return refused
		}
		require.True(t, bytes.Equal(c.Msg, plain))
		out := make([]byte, len(plain))
		iv := s.Seal(out, plain, c.AAD)
		return equal(t, c, c.CT, append(iv[:], out...))
	})
}

// CBC with the padding that data elements have, both ways.
func TestAESCBCPadding(t *testing.T) {
	run(t, "aes_cbc_pkcs5_test.json", counts{Valid: 72, Invalid: 144}, func(t *testing.T, _ *testGroup, c *testCase) verdict {
		cbc, err := aes.NewCBC(c.Key)
		require.NoError(t, err)
		defer cbc.Close()
		if len(c.CT)%aes.BlockSize != 0 {
			return refused
		}
		job := []aes.Job{{Dst: make([]byte, len(c.CT)), Src: c.CT, IV: [aes.BlockSize]byte(c.IV)}}
		cbc.DecryptBatch(job)
		n, ok := aes.Unpad(job[0].Dst)
		if !ok {
			return refused
		}
		require.True(t, bytes.Equal(c.Msg, job[0].Dst[:n]))
		padded := append(bytes.Clone(c.Msg), make([]byte, aes.PadLen(len(c.Msg)))...)
		aes.Pad(padded[len(c.Msg):])
		job[0].Src, job[0].Dst = padded, make([]byte, len(padded))
		cbc.EncryptBatch(job)
		return equal(t, c, c.CT, job[0].Dst)
	})
}

// FF1. Left out: domains of less than 10^6, which SP 800-38G, rev. 1, does not allow, and halves of more than 127 bits.
func TestFF1(t *testing.T) {
	for radix, want := range map[int]counts{
		10: {Valid: 3267, Invalid: 533, LeftOut: 45},
		16: {Valid: 3318, Invalid: 515, LeftOut: 39},
		26: {Valid: 2609, Invalid: 425, LeftOut: 42},
		32: {Valid: 2422, Invalid: 407, LeftOut: 39},
		36: {Valid: 2423, Invalid: 389, LeftOut: 42},
	} {
		t.Run(fmt.Sprint(radix), func(t *testing.T) { testFF1(t, radix, want) })
	}
}

func testFF1(t *testing.T, radix int, want counts) {
	raw, err := fs.ReadFile(wycheproof.TestVectors, fmt.Sprintf("aes_ff1_radix%d_test.json", radix))
	require.NoError(t, err)
	var doc struct {
		NumberOfTests int
		TestGroups    []struct {
			Tests []struct {
				ID         int `json:"tcId"`
				Result     string
				Key, Tweak hexBytes
				Msg, CT    []int
			}
		}
	}
	require.NoError(t, json.Unmarshal(raw, &doc))
	var got counts
	for _, g := range doc.TestGroups {
		for _, c := range g.Tests {
			key, err := aes.NewKey(c.Key)
			if err != nil {
				require.Equal(t, "invalid", c.Result, "case %d", c.ID)
				got.Invalid++
				continue
			}
			f, err := ff1.New(key, radix)
			require.NoError(t, err)
			x, in := numerals(c.Msg)
			if err := f.Encrypt(x, c.Tweak); !in || err != nil {
				if c.Result == "valid" {
					got.LeftOut++
				} else {
					got.Invalid++
				}
				continue
			}
			ct, _ := numerals(c.CT)
			require.Equal(t, "valid", c.Result, "case %d was accepted", c.ID)
			require.Equal(t, ct, x, "case %d", c.ID)
			require.NoError(t, f.Decrypt(x, c.Tweak))
			plain, _ := numerals(c.Msg)
			require.Equal(t, plain, x, "case %d", c.ID)
			got.Valid++
			key.Close()
		}
	}
	t.Logf("radix %d: %+v", radix, got)
	require.Equal(t, doc.NumberOfTests, got.Valid+got.Invalid+got.LeftOut)
	require.Equal(t, want, got)
}

// numerals returns x as bytes, and false where one does not fit.
func numerals(x []int) ([]byte, bool) {
	b := make([]byte, len(x))
	for i, n := range x {
		b[i] = byte(n)
	}
	return b, !slices.ContainsFunc(x, func(n int) bool { return n < 0 || n > 255 })
}
