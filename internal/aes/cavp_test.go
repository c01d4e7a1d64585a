package aes

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// vectors are NIST's, kept once for both packages; the README beside them says where they come from.
const vectors = "../seal/testdata/"

// cavp calls f with every case of the response files that a pattern names, and returns their number.
func cavp(t *testing.T, pattern string, f func(section string, get func(name string) []byte)) (n int) {
	t.Helper()
	files, err := filepath.Glob(vectors + pattern)
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, name := range files {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		section, fields := "", map[string]string{}
		lines := bufio.NewScanner(bytes.NewReader(append(text, "\n\n"...)))
		for lines.Scan() {
			line := strings.TrimSpace(lines.Text())
			key, value, pair := strings.Cut(line, "=")
			switch {
			case line == "" && len(fields) > 0:
				n++
				f(section, func(name string) []byte {
					require.Contains(t, fields, name)
					b, err := hex.DecodeString(fields[name])
					require.NoError(t, err)
					return b
				})
				fields = map[string]string{}
			case strings.HasPrefix(line, "["):
				section = strings.Trim(line, "[]")
			case pair:
				fields[strings.TrimSpace(key)] = strings.TrimSpace(value)
			}
		}
		require.NoError(t, lines.Err())
	}
	return n
}

func TestCAVPCBC(t *testing.T) {
	tiers(t, func(t *testing.T, _ Tier) {
		n := cavp(t, "cbc_*.rsp", func(section string, get func(string) []byte) {
			c, err := NewCBC(get("KEY"))
			require.NoError(t, err)
			defer c.Close()
			from, to, op := "PLAINTEXT", "CIPHERTEXT", c.EncryptBatch
			if section == "DECRYPT" {
				from, to, op = to, from, c.DecryptBatch
			}
			job := Job{Dst: make([]byte, len(get(from))), Src: get(from), IV: [16]byte(get("IV"))}
			op([]Job{job})
			require.Equal(t, get(to), job.Dst)
		})
		t.Logf("%d cases run", n)
		require.Equal(t, 144, n)
	})
}

func TestCAVPXTS(t *testing.T) {
	tiers(t, func(t *testing.T, _ Tier) {
		n := cavp(t, "xts_*.rsp", func(section string, get func(string) []byte) {
			raw := get("Key")
			x, err := NewXTS(raw[:len(raw)/2], raw[len(raw)/2:])
			require.NoError(t, err)
			defer x.Close()
			from, to, op := "PT", "CT", x.EncryptBatch
			if section == "DECRYPT" {
				from, to, op = to, from, x.DecryptBatch
			}
			job := Job{Dst: make([]byte, len(get(from))), Src: get(from), IV: [16]byte(get("i"))}
			op([]Job{job})
			require.Equal(t, get(to), job.Dst)
		})
		t.Logf("%d cases run", n)
		require.Equal(t, 160, n)
	})
}
