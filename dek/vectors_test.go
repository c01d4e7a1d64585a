package dek

import (
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// readVectors reads blank-line separated blocks of "name = value".
func readVectors(t *testing.T, path string) []map[string]string {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	var all []map[string]string
	for block := range strings.SplitSeq(string(data), "\n\n") {
		v := map[string]string{}
		for line := range strings.SplitSeq(block, "\n") {
			if name, value, ok := strings.Cut(line, "="); ok && !strings.HasPrefix(line, "#") {
				v[strings.TrimSpace(name)] = strings.TrimSpace(value)
			}
		}
		if len(v) > 0 {
			all = append(all, v)
		}
	}
	return all
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	require.NoError(t, err)
	return b
}

func TestVectorsKeyWrap(t *testing.T) {
	count := map[string]int{}
	for _, v := range readVectors(t, "testdata/rfc3394.txt") {
		t.Run(v["name"], func(t *testing.T) {
			kek, wrapped := unhex(t, v["kek"]), unhex(t, v["wrapped"])
			count[v["outcome"]]++
			mem, err := Unwrap(kek, wrapped)
			if v["outcome"] == "invalid" {
				require.ErrorIs(t, err, ErrWrongKey)
				return
			}
			require.NoError(t, err)
			defer mem.Release()
			require.Equal(t, unhex(t, v["data"]), mem.Bytes())
			out, err := Wrap(kek, unhex(t, v["data"]))
			require.NoError(t, err)
			require.Equal(t, wrapped, out)
		})
	}
	require.Equal(t, map[string]int{"valid": 6, "invalid": 2}, count)
}

func TestVectorsHKDF(t *testing.T) {
	vs := readVectors(t, "testdata/rfc5869.txt")
	require.Len(t, vs, 3)
	for _, v := range vs {
		t.Run(v["name"], func(t *testing.T) {
			okm := unhex(t, v["okm"])
			got := make([]byte, len(okm))
			require.NoError(t, DeriveFrom(unhex(t, v["ikm"]), got, unhex(t, v["salt"]), string(unhex(t, v["info"]))))
			require.Equal(t, okm, got)
		})
	}
}
