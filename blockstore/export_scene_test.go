package blockstore

import (
	"bytes"
	"context"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fsx"
	"github.com/cofferdb/coffer/internal/tune"
)

const exportBlocks = 2*perGroup + 5

// exportScene is volume v with images, zeros that are images, trimmed blocks,
// holes that were never written and a length that is no multiple of a block;
// some of it in place, some in the journal.
func exportScene(t testing.TB, fs *fsx.Mem, suite Suite) (*Store, *dek.Keyring, []dek.ID) {
	t.Helper()
	keys, ids := ring(t, 2)
	o := testOptions(fs)
	o.Tune = tune.Store{Inline: true}
	s, err := Create("v", keys, CreateOptions{Options: o, Size: exportBlocks*4096 - 100, BlockSize: 4096, Suite: suite, Key: ids[0]})
	require.NoError(t, err)
	for _, b := range []uint64{0, 1, 2, 3, 63, 64, 65, 167, 2 * perGroup, exportBlocks - 1} {
		write1(t, s, b, pageOf(b+1))
	}
	write1(t, s, 66, make([]byte, 4096)) // an image of zeros
	require.NoError(t, s.Checkpoint(context.Background()))
	require.NoError(t, s.Update(func(tx *Tx) error { return tx.Trim(2, 1) }))
	write1(t, s, 3, pageOf(1000))
	write1(t, s, 70, pageOf(1001))
	return s, keys, ids
}

// shape returns the content of each block, nil for a hole.
func shape(t testing.TB, s *Store) [][]byte {
	t.Helper()
	snap := s.acquire()
	defer s.release(snap)
	out := make([][]byte, s.Blocks())
	buf := make([]byte, readBatch*s.BlockSize())
	for b := uint64(0); b < s.Blocks(); {
		n, images, err := storeSource{s, snap.seq}.stretch(b, s.Blocks(), buf)
		require.NoError(t, err)
		for i := range n {
			if images != nil && images[i] {
				out[b+i] = bytes.Clone(buf[int(i)*s.BlockSize():][:s.BlockSize()])
			}
		}
		b += n
	}
	return out
}

// requireExport checks that a plain volume has a shape, is whole, clean and alone.
func requireExport(t testing.TB, fs fsx.FS, name string, size int64, want [][]byte) {
	t.Helper()
	o := testOptions(fs)
	o.AllowPlain = false
	_, err := Open(name, nil, &o)
	require.ErrorIs(t, err, ErrPlain)
	o.AllowPlain = true
	s, err := Open(name, nil, &o)
	require.NoError(t, err)
	require.Equal(t, size, s.Size())
	got := shape(t, s)
	require.Equal(t, len(want), len(got))
	for b := range want {
		require.True(t, (want[b] == nil) == (got[b] == nil) && bytes.Equal(want[b], got[b]), "block %d", b)
	}
	r, err := s.Verify(context.Background(), VerifyOptions{})
	require.NoError(t, err)
	require.NoError(t, r.Err())
	require.Equal(t, None, s.label.Load().write().suite)
	require.NoError(t, s.Close())
	for _, left := range []string{makingSuffix, makingSuffix + ".journal", jobSuffix} {
		_, err := fs.Stat(name + left)
		require.ErrorIs(t, err, os.ErrNotExist, left)
	}
}
