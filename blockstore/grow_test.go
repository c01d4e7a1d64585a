package blockstore

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/internal/fsx"
)

func TestGrowthReadsAsZeros(t *testing.T) {
	fs := fsx.NewMem(1)
	keys, _ := ring(t, 1)
	s := create(t, fs, keys, AESGCM, 5000)
	write1(t, s, 1, bytes.Repeat([]byte{7}, 4096))
	require.NoError(t, s.Update(func(tx *Tx) error { return tx.Resize(8192) }))
	want := append(bytes.Repeat([]byte{7}, 904), make([]byte, 4096-904)...)
	require.Equal(t, want, read1(t, s, 1))
	verified(t, s)
}
