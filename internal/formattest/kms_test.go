package formattest

import (
	"bytes"
	"testing"

	"github.com/cofferdb/coffer/internal/fsx"
	"github.com/cofferdb/coffer/kms"
	"github.com/stretchr/testify/require"
)

func TestKMSKeyFileByHand(t *testing.T) {
	data, err := doc.example("kms key file")
	require.NoError(t, err)
	server := make([]byte, 32)
	want := make([]byte, 16)
	for i := range server {
		server[i] = byte(i)
		want[i%16] = 0xF0 + byte(i%16)
	}
	f, err := readKMSFile(data, server)
	require.NoError(t, err)
	require.Equal(t, want, f.dek)
	require.Equal(t, []string{"local", "k", "", "", "", "AES-KW", "demo"}, f.texts)
	for at := range data {
		bad := bytes.Clone(data)
		bad[at] ^= 1
		_, err := readKMSFile(bad, server)
		require.Error(t, err, "byte %d", at)
	}
}

// What Coffer writes, this reader reads.
func TestKMSKeyFileAgrees(t *testing.T) {
	m := fsx.NewMem(1)
	server := bytes.Repeat([]byte{5}, 32)
	require.NoError(t, m.WriteFile("/server", server))
	f, err := kms.Create(t.Context(), "/k", kms.CreateOptions{Options: kms.Options{FS: m},
		Place: kms.Place{Provider: "local", ServerKey: "/server"}, Bits: 192, Description: "of a test"})
	require.NoError(t, err)
	data, err := m.ReadFile("/k")
	require.NoError(t, err)
	have, err := readKMSFile(data, server)
	require.NoError(t, err)
	key, err := f.Key(t.Context())
	require.NoError(t, err)
	defer key.Destroy()
	require.Equal(t, key.ExposeSecret(), have.dek)
	require.Equal(t, [16]byte(key.ID()), have.id)
	require.Equal(t, "of a test", have.texts[6])
}
