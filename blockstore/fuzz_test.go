package blockstore

import (
	"bytes"
	"context"
	"encoding/binary"
	"hash/crc32"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/internal/fsx"
)

// Every decoder of outside bytes: none panics, and what it accepts encodes to the same bytes again.

// sampleLabel is a label with every table in use.
func sampleLabel(t testing.TB) *label {
	t.Helper()
	fs := fsx.NewMem(1)
	keys, ids := ring(t, 2)
	s := create(t, fs, keys, AESGCM, 400*4096)
	for b := uint64(0); b < 400; b += 100 {
		write1(t, s, b, page(b))
	}
	require.NoError(t, s.recordConversion(context.Background(), Conversion{Suite: orGCM(AESCBC), Key: ids[1]}))
	require.NoError(t, s.Close())
	return s.label.Load()
}

// patch lays pieces over b: offset (u16), length (u8), bytes to exclusive-or in. Small inputs make a fuzzer quick.
func patch(b, pieces []byte) {
	for len(pieces) >= 3 {
		off, n := int(binary.LittleEndian.Uint16(pieces)), int(pieces[2])
		pieces = pieces[3:]
		n = min(n, len(pieces))
		for i := range n {
			if off+i < len(b) {
				b[off+i] ^= pieces[i]
			}
		}
		pieces = pieces[n:]
	}
}

// piece is one of patch's, eight bytes long.
func piece(off int, v uint64) []byte {
	return binary.LittleEndian.AppendUint64([]byte{byte(off), byte(off >> 8), 8}, v)
}

func FuzzLabel(f *testing.F) {
	l := sampleLabel(f)
	base := l.encode()
	f.Add([]byte{}, labelSize)
	f.Add([]byte{}, 100)
	for _, off := range []int{8, 12, 40, 44, 45, 48, 56, 176, 178, 181, 182, offSlots, offSlots + 3, offJournalKeys, offLineage, offLabelMAC - 8} {
		f.Add(piece(off, 0xff), labelSize)
		f.Add(piece(off, 1<<56), labelSize)
	}
	f.Fuzz(func(t *testing.T, pieces []byte, n int) {
		b := bytes.Clone(base)
		patch(b, pieces)
		binary.LittleEndian.PutUint32(b[offLabelCRC:], crc32.Checksum(b[:offLabelCRC], castagnoli))
		l, err := decodeLabel(b[:min(max(n, 0), labelSize)])
		if err != nil {
			return
		}
		out := l.encode()
		copy(out[offLabelMAC:], b[offLabelMAC:])
		require.True(t, bytes.Equal(b, out))
		l.info()
	})
}

func FuzzRecord(f *testing.F) {
	for _, r := range []record{{}, {kind: recordHole, version: 7}, {kind: recordLost, version: 1 << 60}, {kind: recordData, slot: 7, epoch: 3, version: 9, crc: 5, nonce: [12]byte{1}, tag: [16]byte{2}}} {
		b := make([]byte, recordSize)
		r.encode(b)
		f.Add(b)
		f.Add(append(b[:32:32], 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) != recordSize {
			return
		}
		r, err := decodeRecord(b)
		if err != nil {
			return
		}
		out := make([]byte, recordSize)
		r.encode(out)
		require.Equal(t, b, out)
	})
}

func FuzzMetaBlock(f *testing.F) {
	tree := newMetaBlock(metaKey{1, 0}, UUID{1})
	tree.setEntry(3, childRef{true, 1, [32]byte{9}})
	tree.finish(4)
	tag := newMetaBlock(metaKey{0, 0}, UUID{1})
	tag.setRecord(5, &record{kind: recordData, version: 3})
	tag.finish(9)
	f.Add(tree.data, uint8(1))
	f.Add(tag.data, uint8(0))
	f.Add(make([]byte, metaSize), uint8(4))
	f.Fuzz(func(t *testing.T, b []byte, level uint8) {
		if len(b) != metaSize {
			return
		}
		m := &metaBlock{key: metaKey{level % (maxLevel + 1), 0}, data: b}
		_ = checkMeta(m.key, UUID{1}, childRef{true, 0, m.hash()}, b)
		_ = checkMeta(m.key, UUID{1}, childRef{}, b)
		for i := range fanOut {
			c, err := m.entry(i)
			if err != nil {
				continue
			}
			out := &metaBlock{key: m.key, data: make([]byte, metaSize)}
			out.setEntry(i, c)
			require.Equal(t, m.rawEntry(i), out.rawEntry(i))
		}
		for i := range perGroup {
			_, _ = m.record(i)
		}
	})
}

func FuzzRedo(f *testing.F) {
	w := newRedoWriter(1<<20, 0)
	w.op(opImage, 3, 0, make([]byte, 4096))
	w.op(opHole, 3, 9, nil)
	w.op(opResize, 12345, 0, nil)
	w.op(opLost, 8, 0, nil)
	f.Add(w.finish(redoCommit, redoFirst|redoReseal, 4, 99))
	f.Add(newRedoWriter(1, 0).finish(redoPart, redoFirst, 0, 1))
	hostile := newRedoWriter(1, 0)
	hostile.op(opHole, maxBlocks-1, 1<<63, nil)
	hostile.op(opResize, 1<<63, 0, nil)
	f.Add(hostile.finish(redoCommit, 0, 1<<63, -1))
	f.Add([]byte{redoPart, 1, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := parseRedo(b, 4096)
		if err != nil {
			return
		}
		w := newRedoWriter(1<<30, 0)
		for _, op := range r.ops {
			w.op(op.kind, op.a, op.b, op.data)
		}
		kind, flags := uint8(redoPart), uint8(0)
		if r.commit {
			kind = redoCommit
		}
		if r.first {
			flags |= redoFirst
		}
		if r.reseal {
			flags |= redoReseal
		}
		require.True(t, bytes.Equal(b, w.finish(kind, flags, r.parts, r.time)))
	})
}

func FuzzAnchor(f *testing.F) {
	a := Anchor{UUID{1}, UUID{2}, 3, 4, [32]byte{5}}
	f.Add(a.String())
	f.Add(" " + a.String() + "\n")
	f.Add(anchorPrefix)
	f.Add(a.String()[:40])
	f.Fuzz(func(t *testing.T, token string) {
		a, err := ParseAnchor(token)
		if err != nil {
			require.ErrorIs(t, err, ErrUsage)
			return
		}
		require.Equal(t, strings.TrimSpace(token), a.String())
	})
}

// hostileVolume is a volume under suite none with a journal, whose label anyone can write.
var hostileVolume = sync.OnceValues(func() (disk *fsx.Mem, raw []byte) {
	fs := fsx.NewMem(1)
	o := CreateOptions{Options: attackOptions(fs), Size: attackBlocks * 4096, BlockSize: 4096, Suite: None}
	s, err := Create("v", nil, o)
	if err != nil {
		panic(err)
	}
	for i := range uint64(4) {
		if err := s.Update(func(tx *Tx) error { return tx.Write(i*50, pageOf(i+1)) }); err != nil {
			panic(err)
		}
		if i == 1 {
			if err := s.Checkpoint(context.Background()); err != nil {
				panic(err)
			}
		}
	}
	disk = fs.Kill().Clone()
	_ = s.Close()
	b, _ := disk.ReadFile("v")
	return disk, b
})

// FuzzOpen gives a label with a right MAC any content.
func FuzzOpen(f *testing.F) {
	const most = 1<<64 - 1
	f.Add([]byte{}, true)
	for _, p := range [][]byte{
		piece(12, 1), piece(32, most), piece(40, 0x1000^0x10000), piece(40, 5<<32), piece(48, 1<<60), piece(112, most),
		append(piece(120, most), piece(12, 1)...), append(piece(112, most), piece(12, 1)...), append(piece(112, 1<<61), piece(12, 1)...),
		piece(160, most), piece(168, most), piece(176, 0x0101), piece(178, 0x010002), piece(offSlots, 1<<8), piece(offSlots+40, 1),
		piece(offSlots+80, most), piece(181, 1), piece(offLineage+16, most),
	} {
		f.Add(p, true)
		f.Add(p, false)
	}
	// A length of 2^60 bytes, with nothing in them.
	const blocks = 260_000_000_000
	huge := slices.Concat(piece(48, (attackBlocks*4096)^(blocks*4096)), piece(56, attackBlocks^blocks), []byte{44, 0, 2, 1 ^ 4, 1}, piece(12, 1))
	f.Add(huge, true)
	f.Add(huge, false)
	f.Fuzz(func(t *testing.T, pieces []byte, readOnly bool) {
		src, whole := hostileVolume()
		raw := bytes.Clone(whole[:labelSize])
		patch(raw[:offLabelMAC], pieces)
		require.NoError(t, signLabel(raw, nil, UUID(raw[16:32])))
		disk := src.Clone()
		b := bytes.Clone(whole)
		copy(b, raw)
		copy(b[labelTwo:], raw)
		require.NoError(t, disk.WriteFile("v", b))
		useHostile(t, disk, readOnly)
	})
}

// useHostile uses a volume in every way; errors are fine.
func useHostile(t *testing.T, disk *fsx.Mem, readOnly bool) {
	ctx := context.Background()
	o := attackOptions(disk)
	o.ReadOnly, o.CacheBytes = readOnly, 1<<16
	_, _ = Inspect("v", &o)
	_, _ = VerifyFile(ctx, "v", nil, &o, VerifyOptions{Workers: 1})
	s, err := Open("v", nil, &o)
	if err != nil {
		return
	}
	last := s.Blocks() - 1
	for _, n := range []uint64{0, 50, 150, last} {
		_, _ = readBlock(s, n)
	}
	_, _ = s.Verify(ctx, VerifyOptions{Workers: 1})
	_ = s.Update(func(tx *Tx) error { return tx.Write(1, make([]byte, tx.BlockSize())) })
	_ = s.Update(func(tx *Tx) error { return tx.Write(last, make([]byte, tx.BlockSize())) })
	_ = s.Update(func(tx *Tx) error { return tx.Resize(10 * 4096) })
	_ = s.Checkpoint(ctx)
	_ = s.Close()
}
