package kms

import (
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"github.com/cofferdb/coffer/dek"
	"github.com/stretchr/testify/require"
)

// goldenFile is the file of FORMAT.md's worked example, made from its inputs.
func goldenFile(t *testing.T) []byte {
	t.Helper()
	id, err := dek.ParseID("9158980E-AE52-4E12-82FD-AA5A2909D029")
	require.NoError(t, err)
	raw := make([]byte, 16)
	for i := range raw {
		raw[i] = 0xF0 + byte(i)
	}
	k, err := dek.Import(id, raw)
	require.NoError(t, err)
	defer k.Destroy()
	m := localFS(t)
	key := make([]byte, localKeySize)
	for i := range key {
		key[i] = byte(i)
	}
	write(t, m, localPath, key)
	w, err := (&localWrapper{m, localPath}).Wrap(t.Context(), k)
	require.NoError(t, err)
	c := &content{generation: 1, id: id, created: 1_767_225_600, rewrapped: 1_767_225_660, bits: 128,
		place: Place{Provider: "local", ServerKey: "k"}, description: "demo", wrapped: w}
	data, err := c.seal(k)
	require.NoError(t, err)
	return data
}

// The worked example of FORMAT.md is what this package writes, byte for byte.
func TestWorkedExample(t *testing.T) {
	page, err := os.ReadFile("../FORMAT.md")
	require.NoError(t, err)
	_, rest, ok := strings.Cut(string(page), "<!-- worked example: kms key file -->\n```\n")
	require.True(t, ok, "FORMAT.md has no such example; it would be:\n%s", hex.Dump(goldenFile(t)))
	dump, _, _ := strings.Cut(rest, "```")
	require.Equal(t, dumped(goldenFile(t)), dump)
}

// dumped is hexdump -C without its last line.
func dumped(data []byte) string { return strings.TrimRight(hex.Dump(data), "\n") + "\n" }

func TestGoldenOpens(t *testing.T) {
	m := localFS(t)
	key := make([]byte, localKeySize)
	for i := range key {
		key[i] = byte(i)
	}
	write(t, m, testPath, goldenFile(t))
	write(t, m, "k", key)
	got, err := keyOf(t.Context(), m)
	require.NoError(t, err)
	require.Equal(t, 128, got.Bits())
	got.Destroy()
}
