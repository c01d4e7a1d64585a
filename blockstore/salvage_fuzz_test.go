package blockstore

import (
	"bytes"
	"context"
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/internal/fsx"
)

// FuzzSalvage damages a volume and its journal anywhere: a salvage ends, and
// what it takes was in that place at some time; without AcceptStale, and with
// the journal whole, at the end. Edits are a file (u8), an offset (u32) and a
// byte to exclusive-or in.
func FuzzSalvage(f *testing.F) {
	disk := fsx.NewMem(1)
	keys, ids := ring(f, 1)
	o := attackOptions(disk)
	s, err := Create("v", keys, CreateOptions{Options: o, Size: 20 * 4096, BlockSize: 4096})
	require.NoError(f, err)
	ever := map[uint64][][]byte{}
	put := func(b, seed uint64) {
		write1(f, s, b, pageOf(seed))
		ever[b] = append(ever[b], pageOf(seed))
	}
	for b := range uint64(10) {
		put(b, b+1)
	}
	require.NoError(f, s.Checkpoint(context.Background()))
	put(3, 100)
	require.NoError(f, s.Checkpoint(context.Background()))
	put(4, 101)
	put(12, 102)
	disk = disk.Kill().Clone()
	_ = s.Close()
	files := disk.Files()
	lay := s.lay
	edit := func(file byte, off int64) []byte {
		return append(binary.LittleEndian.AppendUint32([]byte{file}, uint32(off)), 1)
	}
	v := byte(0)
	for i, name := range files {
		if name == "/v" {
			v = byte(i)
		}
	}
	for _, off := range []int64{10, 200, labelTwo + 48, lay.block(3) + 7, lay.slot(metaKey{0, 0}, 0) + 70, lay.slot(metaKey{0, 0}, 1) + 70, lay.slot(metaKey{1, 0}, 0) + 80} {
		f.Add(edit(v, off), true)
		f.Add(edit(v, off), false)
	}
	f.Add(append(edit(0, 100), edit(1, 4096+300)...), false)
	f.Add(append(edit(v, 100), edit(v, labelTwo+100)...), false)
	f.Fuzz(func(t *testing.T, edits []byte, stale bool) {
		disk, keys := disk.Clone(), sameKeys(t, keys, ids)
		for ; len(edits) >= 6; edits = edits[6:] {
			name := files[int(edits[0])%len(files)]
			b, err := disk.ReadFile(name)
			require.NoError(t, err)
			b[int(binary.LittleEndian.Uint32(edits[1:]))%len(b)] ^= edits[5]
			require.NoError(t, disk.WriteFile(name, b))
		}
		r, err := Salvage(context.Background(), "v", keys, "new", SalvageOptions{Options: attackOptions(disk), AcceptStale: stale})
		if err != nil {
			requireMarkedError(t, err, "salvage")
			return
		}
		n := reopenAs(t, disk, keys, "new")
		for b := range uint64(20) {
			got := read1(t, n, b)
			ok := bytes.Equal(got, make([]byte, 4096))
			for _, p := range ever[b] {
				ok = ok || bytes.Equal(got, p)
			}
			require.True(t, ok, "block %d holds what was never there", b)
			if r.Err() == nil && r.Journal.TailBytes == 0 && len(ever[b]) > 0 {
				require.True(t, bytes.Equal(got, ever[b][len(ever[b])-1]), "block %d is not the newest", b)
			}
		}
		verified(t, n)
	})
}
