package blockstore

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/internal/fsx"
)

// gatedFile stops in the first read of 64 blocks, behind the read.
type gatedFile struct {
	fsx.File
	on      atomic.Bool
	entered chan struct{}
	open    chan struct{}
}

func (g *gatedFile) ReadAt(p []byte, off int64) (int, error) {
	n, err := g.File.ReadAt(p, off)
	if len(p) == 64*4096 && g.on.CompareAndSwap(true, false) {
		close(g.entered)
		<-g.open
	}
	return n, err
}

// TestAheadBesideTrim: a hint that is followed after its transaction has ended
// does not bring back what was trimmed meanwhile.
func TestAheadBesideTrim(t *testing.T) {
	keys, _ := ring(t, 1)
	fs := fsx.NewMem(1)
	s := create(t, fs, keys, AESGCM, 400*4096)
	for b := range uint64(200) {
		write1(t, s, b, page(b))
	}
	require.NoError(t, s.Close())
	s = reopen(t, fs, keys)
	g := &gatedFile{File: s.file, entered: make(chan struct{}), open: make(chan struct{})}
	s.file = g
	g.on.Store(true)
	tx := begin(t, s, false)
	done := tx.Ahead(0, 64)
	<-g.entered
	tx.Rollback()
	require.NoError(t, s.Update(func(tx *Tx) error { return tx.Trim(0, 128) }))
	fin := make(chan error, 1)
	go func() { fin <- s.Checkpoint(context.Background()) }()
	select {
	case err := <-fin: // it need not wait, if what was read ahead is forgotten
		require.NoError(t, err)
		close(g.open)
	case <-time.After(200 * time.Millisecond):
		close(g.open)
		require.NoError(t, <-fin)
	}
	<-done
	require.Equal(t, make([]byte, 4096), read1(t, s, 5))
	verified(t, s)
}
