package blockstore

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/internal/fsx"
)

// TestAhead: what was asked for ahead comes from memory, also past the end, over holes, and beside newer versions.
func TestAhead(t *testing.T) {
	keys, _ := ring(t, 1)
	fs := fsx.NewMem(1)
	s := create(t, fs, keys, AESGCM, 400*4096)
	for b := range uint64(200) {
		write1(t, s, b, page(b))
	}
	require.NoError(t, s.Close())
	s = reopen(t, fs, keys)
	write1(t, s, 7, page(1007))
	tx := begin(t, s, false)
	tx.Ahead(5, 190)
	tx.Ahead(390, 100)
	tx.Ahead(1000, 5)
	for range aheadAtOnce { // both have come and gone
		s.ahead <- struct{}{}
	}
	require.EqualValues(t, 189, s.Stats().BlocksRead)
	require.Equal(t, 189, s.Stats().CachedBlocks)
	for b := uint64(5); b < 195; b++ {
		if b != 7 {
			has(t, tx, b, b)
		}
	}
	has(t, tx, 7, 1007)
	require.EqualValues(t, 189, s.Stats().BlocksRead, "all of them were in memory")
	for range aheadAtOnce {
		<-s.ahead
	}
	tx.Rollback()
	tx.Ahead(0, 5) // ended: nothing happens
	verified(t, s)
}
