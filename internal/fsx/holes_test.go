package fsx

import (
	"bytes"
	"io"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestNextData: what is passed over reads as zeros, and what was written is not passed over, synced or not.
func TestNextData(t *testing.T) {
	onBoth(t, func(t *testing.T, fsys FS, dir string) {
		f := open(t, fsys, dir+"/f", os.O_RDWR|os.O_CREATE)
		_, ok := NextData(f, 0)
		require.False(t, ok, "an empty file")
		places := []int64{5, 3 << 20, 3<<20 + 5000, 40 << 20}
		for i, off := range places {
			_, err := f.WriteAt([]byte{byte(i + 1)}, off)
			require.NoError(t, err)
			if i == 1 {
				require.NoError(t, f.Sync())
			}
		}
		require.NoError(t, f.Truncate(60<<20))
		size, data, zero := int64(60<<20), 0, make([]byte, 1<<20)
		for off := int64(0); off < size; {
			next, ok := NextData(f, off)
			if !ok {
				next = size
			}
			require.GreaterOrEqual(t, next, off)
			for _, p := range places {
				require.False(t, off <= p && p < next, "%d is passed over, from %d to %d", p, off, next)
			}
			for at := off; at < next; at += int64(len(zero)) {
				b := make([]byte, min(int64(len(zero)), next-at))
				_, err := f.ReadAt(b, at)
				require.True(t, err == nil || err == io.EOF, "%v", err)
				require.True(t, bytes.Equal(b, zero[:len(b)]))
			}
			off = next + 4096
			data++
		}
		require.GreaterOrEqual(t, data, 3)
	})
}
