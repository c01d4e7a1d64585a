package blockstore

import (
	"bytes"
	"context"
	"io/fs"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/fsx"
)

// damages of the volume's file: exactly these blocks are lost, or unproven; nothing else is.
var damages = []struct {
	name           string
	do             func(w *wreck)
	lost, unproven ranges
	refused        bool // an ordinary open for writing refuses it
}{
	{name: "nothing", do: func(*wreck) {}},
	{name: "first label zeroed", do: func(w *wreck) { w.edit("v", func(b []byte) { clear(b[:labelSize]) }) }},
	{name: "second label damaged", do: func(w *wreck) { w.edit("v", func(b []byte) { b[labelTwo+300] ^= 1 }) }},
	{name: "first label altered, checksum right", refused: true, do: func(w *wreck) {
		w.relabel([]int{0}, func(raw []byte) { raw[48] ^= 1 })
	}},
	{name: "first label altered to a newer one", refused: true, do: func(w *wreck) {
		w.relabel([]int{0}, func(raw []byte) { raw[32]++ })
	}},
	{name: "blocks altered", lost: ranges{{0, 0}, {perGroup + 7, perGroup + 8}}, do: func(w *wreck) {
		for _, b := range []uint64{0, perGroup + 7, perGroup + 8} {
			w.edit("v", func(v []byte) { v[w.l.layout().block(b)+1000] ^= 4 })
		}
	}},
	{name: "blocks exchanged", lost: ranges{{5, 6}}, do: func(w *wreck) {
		w.edit("v", func(v []byte) {
			x, y := v[w.l.layout().block(5):][:4096], v[w.l.layout().block(6):][:4096]
			keep := bytes.Clone(x)
			copy(x, y)
			copy(y, keep)
		})
	}},
	{name: "unreadable sectors", lost: ranges{{1, 3}, {3*perGroup + 39, 3*perGroup + 39}}, do: func(w *wreck) {
		w.unreadable(w.l.layout().block(1)+4095, 4098)
		w.unreadable(w.l.layout().block(3*perGroup+39)+8, 8)
	}},
	{name: "an unreadable label", refused: true, do: func(w *wreck) { w.unreadable(100, 10) }},
	{name: "an unreadable tag block", do: func(w *wreck) { now, _ := w.tagOffset(0); w.unreadable(now, 512) },
		lost: ranges{{0, perGroup - 1}}},
	{name: "tag block: its header", do: func(w *wreck) { w.harmTag(1, 0, 64) },
		unproven: ranges{{perGroup, perGroup + 39}}, lost: ranges{{perGroup + 40, 2*perGroup - 1}}},
	{name: "tag block: one record", do: func(w *wreck) { w.harmTag(3, offMetaBody+20*recordSize+3, 1) },
		unproven: ranges{{3 * perGroup, 3*perGroup + 19}, {3*perGroup + 21, 3*perGroup + 39}},
		lost:     ranges{{3*perGroup + 20, 3*perGroup + 20}, {3*perGroup + 40, 4*perGroup - 1}}},
	{name: "tag block zeroed", do: func(w *wreck) { w.harmTag(1, -1, metaSize) }, // its other slot knows all but the block written since
		unproven: ranges{{perGroup, perGroup + 2}, {perGroup + 4, perGroup + 39}}, lost: ranges{{perGroup + 3, perGroup + 3}, {perGroup + 40, 2*perGroup - 1}}},
	{name: "the root", refused: true, do: func(w *wreck) {
		w.edit("v", func(b []byte) { b[w.l.layout().slot(metaKey{1, 0}, w.l.root.slot)+70] ^= 1 })
	},
		unproven: ranges{{0, 39}, {perGroup, perGroup + 39}, {3 * perGroup, 3*perGroup + 39}},
		lost:     ranges{{40, perGroup - 1}, {perGroup + 40, 3*perGroup - 1}, {3*perGroup + 40, 4*perGroup - 1}}},
	{name: "file cut short in a block", do: func(w *wreck) { w.cut(w.l.layout().block(3*perGroup+10) + 5) },
		lost: ranges{{3*perGroup + 10, 3*perGroup + 39}}},
	{name: "file cut short before a tag block", do: func(w *wreck) { w.cut(w.l.layout().tagPair(1)) },
		lost: ranges{{perGroup, 2*perGroup - 1}, {3 * perGroup, 4*perGroup - 1}}},
	{name: "file ends inside the labels", refused: true, do: func(w *wreck) { w.cut(labelSize + 10) },
		lost: ranges{{0, 4*perGroup - 1}}},
}

func TestSalvage(t *testing.T) {
	for _, suite := range []Suite{AESGCM, orGCM(AESXTS), None} {
		for _, d := range damages {
			t.Run(suite.String()+"/"+d.name, func(t *testing.T) {
				if suite == None && strings.Contains(d.name, "altered") && strings.Contains(d.name, "label") {
					t.Skip("without a key anyone can make a label")
				}
				for _, stale := range []bool{false, true} {
					w := newWreck(t, suite, false)
					d.do(w)
					if d.refused {
						require.Error(t, w.opens(), "an ordinary open refuses")
					}
					r := w.salvaged(SalvageOptions{AcceptStale: stale}, w.want, w.size)
					require.Equal(t, d.lost, listed(r.Lost), "lost")
					require.Equal(t, d.unproven, listed(r.Unproven), "unproven")
					if d.lost == nil && d.unproven == nil {
						require.NoError(t, r.Err())
					} else {
						require.ErrorIs(t, r.Err(), ErrDamaged)
					}
				}
			})
		}
	}
}

// TestSalvageUnproven: what is taken on acceptance was really in its place once, and of this volume.
func TestSalvageUnproven(t *testing.T) {
	w := newWreck(t, AESGCM, false)
	w.harmTag(1, 10, 1)
	w.salvaged(SalvageOptions{AcceptStale: true}, w.want, w.size)
	n := testOptions(w.disk)
	s, err := Open("new", w.keys, &n)
	require.NoError(t, err)
	for b := range uint64(40) {
		want := pageOf(1000 + b + 1)
		if b == 3 {
			want = pageOf(5000)
		}
		require.True(t, bytes.Equal(want, read1(t, s, perGroup+b)), "block %d", b) // 4 was trimmed since: it is back, and listed
	}
	require.NoError(t, s.Close())
}

func TestSalvageNoLabel(t *testing.T) {
	for name, do := range map[string]func(w *wreck){
		"damaged":    func(w *wreck) { w.edit("v", func(b []byte) { b[200] ^= 1; b[labelTwo+200] ^= 1 }) },
		"zeroed":     func(w *wreck) { w.edit("v", func(b []byte) { clear(b[:dataStart]) }) },
		"altered":    func(w *wreck) { w.relabel([]int{0, 1}, func(raw []byte) { raw[48] ^= 1 }) },
		"unreadable": func(w *wreck) { w.unreadable(0, dataStart) },
	} {
		w := newWreck(t, AESGCM, false)
		do(w)
		files := w.disk.Files()
		w.disk.SetHook(w.hook)
		_, err := Salvage(context.Background(), "v", w.keys, "new", SalvageOptions{Options: testOptions(w.disk)})
		require.Error(t, err, name)
		require.Contains(t, fault.HintOf(err), "label restore", name)
		require.Equal(t, files, w.disk.Files(), name)
		w.disk.SetHook(nil)
	}
	// A copy of the label brings everything back.
	w := newWreck(t, AESGCM, false)
	o := testOptions(w.disk)
	require.NoError(t, BackupLabel("v", "copy", &o))
	w.edit("v", func(b []byte) { clear(b[:dataStart]) })
	require.NoError(t, RestoreLabel("v", "copy", &o))
	require.NoError(t, w.salvaged(SalvageOptions{}, w.want, w.size).Err())
}

func TestSalvageRefusals(t *testing.T) {
	ctx := context.Background()
	w := newWreck(t, AESGCM, true)
	o := SalvageOptions{Options: testOptions(w.disk)}
	_, err := Salvage(ctx, "v", dek.NewKeyring(), "new", o)
	require.ErrorIs(t, err, ErrNotActivated)
	require.NoError(t, w.disk.WriteFile("new", nil))
	_, err = Salvage(ctx, "v", w.keys, "new", o)
	require.ErrorIs(t, err, ErrState)
	require.ErrorIs(t, err, fs.ErrExist)
	_, err = Salvage(ctx, "v", w.keys, "v", o)
	require.ErrorIs(t, err, fs.ErrExist)
	require.NoError(t, w.disk.Remove("new"))
	s := w.open(t, w.disk.Clone(), "v")
	locked := s.opts.FS.(*fsx.Mem)
	o.FS = locked
	_, err = Salvage(ctx, "v", w.keys, "new", o)
	require.ErrorIs(t, err, ErrInUse)
	require.NoError(t, s.Close())

	other := o
	other.FS, other.ExpectUUID = w.disk, NewUUID()
	_, err = Salvage(ctx, "v", w.keys, "new", other)
	require.ErrorIs(t, err, ErrTampered)
	for _, name := range w.disk.Files() {
		require.NotContains(t, name, "new")
	}

	// A volume that is not encrypted needs the opener's word.
	plain := newWreck(t, None, false)
	o = SalvageOptions{Options: testOptions(plain.disk)}
	o.AllowPlain = false
	_, err = Salvage(ctx, "v", nil, "new", o)
	require.ErrorIs(t, err, ErrPlain)
}
