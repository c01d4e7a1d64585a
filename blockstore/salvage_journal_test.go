package blockstore

import (
	"bytes"
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/fsx"
)

// journalDamages: what is there is the state of exactly one commit, and the report says of which.
var journalDamages = []struct {
	name string
	do   func(w *wreck)
	all  bool // nothing is left out
	none bool // everything behind the checkpoint is
}{
	{name: "nothing", all: true, do: func(*wreck) {}},
	{name: "folder gone", none: true, do: func(w *wreck) {
		for _, g := range w.live {
			require.NoError(w.t, w.disk.Remove(g.path))
		}
	}},
	{name: "first segment gone", none: true, do: func(w *wreck) { require.NoError(w.t, w.disk.Remove(w.live[0].path)) }},
	{name: "middle segment gone", do: func(w *wreck) { require.NoError(w.t, w.disk.Remove(w.live[1].path)) }},
	{name: "middle header damaged", do: func(w *wreck) { w.edit(w.live[1].path, func(b []byte) { b[100] ^= 1 }) }},
	{name: "middle header altered", do: func(w *wreck) { w.edit(w.live[1].path, func(b []byte) { b[100] ^= 1; mendHeader(b) }) }},
	{name: "middle segment twice", do: func(w *wreck) {
		b := bytes.Clone(w.read(w.disk, w.live[1].path))
		b[80] ^= 1
		mendHeader(b)
		w.write("v.journal/segment-000077", b)
	}},
	{name: "frame altered", do: func(w *wreck) {
		g := w.live[1]
		w.edit(g.path, func(b []byte) { b[g.frames[3].off+500] ^= 1; mendFrame(b, g.frames[3]) })
	}},
	{name: "frame damaged", do: func(w *wreck) {
		g := w.live[0]
		w.edit(g.path, func(b []byte) { b[g.frames[4].off+500] ^= 1 })
	}},
	{name: "first frame erased", none: true, do: func(w *wreck) {
		g := w.live[0]
		for i := range g.frames { // the first one behind the redo position too
			w.edit(g.path, func(b []byte) { clear(b[g.frames[i].off:g.frames[i].end]) })
		}
	}},
	{name: "middle segment unreadable", do: func(w *wreck) {
		w.bad = append(w.bad, badPlace{w.live[1].path, 0, 1 << 40})
	}},
	{name: "end of a segment unreadable", do: func(w *wreck) {
		w.bad = append(w.bad, badPlace{w.live[1].path, 30000, 1 << 40})
	}},
	{name: "segment cut short", do: func(w *wreck) {
		g := w.live[1]
		w.write(g.path, w.read(w.disk, g.path)[:g.frames[2].off+700])
	}},
}

func TestSalvageJournal(t *testing.T) {
	for _, d := range journalDamages {
		t.Run(d.name, func(t *testing.T) {
			w := newWreck(t, AESGCM, true)
			d.do(w)
			if !d.all {
				require.Error(t, w.opens(), "an ordinary open refuses")
			}
			// What the salvage says it has decides what must be there.
			probe := &wreck{arena: &arena{scene: w.scene, t: t, disk: w.disk.Clone()}, bad: w.bad}
			probe.disk.SetHook(probe.hook)
			r, err := Salvage(context.Background(), "v", w.keys, "new", SalvageOptions{Options: testOptions(probe.disk)})
			require.NoError(t, err)
			got, ok := w.states[r.Journal.Through]
			require.True(t, ok, "sequence %d is no commit", r.Journal.Through)
			r = w.salvaged(SalvageOptions{}, got.want, got.size)
			require.Zero(t, r.LostBlocks+r.UnprovenBlocks)
			last := w.states[w.redo.Seq]
			switch {
			case d.all:
				require.NoError(t, r.Err())
				require.Empty(t, r.Journal.LeftOut)
				require.Equal(t, w.size, r.Size)
				return
			case d.none:
				require.Equal(t, w.redo.Seq, r.Journal.Through)
				require.Equal(t, last.size, r.Size)
			default:
				require.Greater(t, r.Journal.Through, w.redo.Seq, "the part before the damage is there")
			}
			require.NotEmpty(t, r.Journal.LeftOut)
			require.ErrorIs(t, r.Err(), ErrDamaged)
		})
	}
}

// TestSalvageJournalAndBlocks: damage under what the journal holds does no harm; elsewhere it does.
func TestSalvageJournalAndBlocks(t *testing.T) {
	w := newWreck(t, AESGCM, true)
	for _, b := range []uint64{0, 1, 7} {
		w.edit("v", func(v []byte) { v[w.l.layout().block(b)+9] ^= 1 })
	}
	r := w.salvaged(SalvageOptions{}, w.want, w.size)
	require.Equal(t, ranges{{7, 7}}, listed(r.Lost), "0 and 1 are in the journal")
}

// TestSalvageJournalKeyGone: without the journal's key it is refused, unless the journal is left out by name.
func TestSalvageJournalKeyGone(t *testing.T) {
	disk := fsx.NewMem(1)
	keys, ids := ring(t, 2)
	s := create(t, disk, keys, AESGCM, 10*4096)
	write1(t, s, 1, pageOf(1))
	require.NoError(t, s.SetJournalKey(context.Background(), ids[1]))
	require.NoError(t, s.Checkpoint(context.Background()))
	write1(t, s, 1, pageOf(2))
	disk = disk.Kill().Clone()
	_ = s.Close()
	o := SalvageOptions{Options: testOptions(disk)}
	one := sameKeys(t, keys, ids[:1])
	_, err := Salvage(context.Background(), "v", one, "new", o)
	require.ErrorIs(t, err, ErrNotActivated)
	require.Contains(t, fault.HintOf(err), "discard-journal")
	o.DiscardJournal = true
	r, err := Salvage(context.Background(), "v", one, "new", o)
	require.NoError(t, err)
	require.ErrorIs(t, r.Err(), ErrDamaged)
	require.NotEmpty(t, r.Journal.LeftOut)
	n := reopenAs(t, disk, one, "new")
	require.Equal(t, pageOf(1), read1(t, n, 1))
	verified(t, n)
}
