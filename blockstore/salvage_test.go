package blockstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/fsx"
	"github.com/cofferdb/coffer/internal/seal"
	"github.com/cofferdb/coffer/internal/tune"
)

// wreck is a volume to be damaged: several groups under a tree of two levels'
// worth of blocks, images in all of them but one, holes, a length that is no
// multiple of a block. crashed: with a journal behind its last checkpoint.
type wreck struct {
	*arena
	want   [][]byte // nil: a hole
	place  [][]byte // as of the last checkpoint
	ckpt   int64    // length as of then
	size   int64
	states map[uint64]state // after each commit behind it, by sequence
	live   []attackSegment
	l      *label
	bad    []badPlace
}

type state struct {
	want [][]byte
	size int64
}

// badPlace is where reads of a file fail.
type badPlace struct {
	name     string
	off, end int64
}

const wreckGroups = 4

func newWreck(t *testing.T, suite Suite, crashed bool) *wreck {
	t.Helper()
	disk := fsx.NewMem(1)
	keys, ids := ring(t, 2)
	o := testOptions(disk)
	o.Tune = tune.Store{Inline: true}
	s, err := Create("v", keys, CreateOptions{Options: o, Size: wreckGroups*perGroup*4096 - 77, BlockSize: 4096, Suite: suite, Key: ids[0]})
	require.NoError(t, err)
	require.NoError(t, s.Update(func(tx *Tx) error {
		for _, g := range []uint64{0, 1, 3} {
			for b := range uint64(40) {
				if err := tx.Write(g*perGroup+b, pageOf(g*1000+b+1)); err != nil {
					return err
				}
			}
		}
		return nil
	}))
	require.NoError(t, s.Checkpoint(context.Background()))
	write1(t, s, perGroup+3, pageOf(5000)) // both slots of tag block 1 have records by now
	require.NoError(t, s.Update(func(tx *Tx) error { return tx.Trim(perGroup+4, 1) }))
	require.NoError(t, s.Checkpoint(context.Background()))
	w := &wreck{place: shape(t, s), ckpt: s.Size()}
	w.states = map[uint64]state{s.journal.DurableSeq(): {w.place, w.ckpt}}
	if crashed {
		keep := func() { w.states[s.journal.DurableSeq()] = state{shape(t, s), s.Size()} }
		for i := range uint64(30) {
			write1(t, s, i%3*perGroup+50+i, pageOf(6000+i))
			keep()
			write1(t, s, i%3, pageOf(6100+i))
			keep()
		}
		require.NoError(t, s.Update(func(tx *Tx) error { return tx.Resize(wreckGroups*perGroup*4096 - 5000) }))
		keep()
	}
	w.want, w.size = shape(t, s), s.Size()
	w.arena = &arena{scene: &scene{keys: keys, ids: ids, suite: suite}, t: t}
	if crashed {
		w.redo = s.label.Load().redo
		w.disk = disk.Kill().Clone()
		_ = s.Close()
		w.live = w.arena.live()
		require.GreaterOrEqual(t, len(w.live), 3)
	} else {
		require.NoError(t, s.Close())
		w.disk = disk.Clone()
	}
	w.l = w.label()
	return w
}

// salvaged runs a salvage and checks what always holds: the volume is as it was,
// what is in the new one is what the volume held, or zeros where it is listed.
func (w *wreck) salvaged(o SalvageOptions, want [][]byte, size int64) *SalvageReport {
	w.t.Helper()
	before := map[string][]byte{}
	for _, name := range w.disk.Files() {
		before[name] = w.read(w.disk, name)
	}
	discard := o.DiscardJournal
	o.Options = testOptions(w.disk)
	o.DiscardJournal = discard
	ops := w.disk.Ops()
	w.disk.SetHook(w.hook)
	r, err := Salvage(context.Background(), "v", w.keys, "new", o)
	w.disk.SetHook(nil)
	require.NoError(w.t, err)
	require.Greater(w.t, w.disk.Ops(), ops)
	for name, b := range before {
		require.True(w.t, bytes.Equal(b, w.read(w.disk, name)), "%s is as it was", name)
	}
	require.Equal(w.t, len(before)+1, len(w.disk.Files()), "nothing but the new volume was made")
	require.Equal(w.t, r.Blocks, r.Copied+r.Holes+r.LostBlocks+r.UnprovenBlocks)
	listed := statesOf(w.t, r)
	require.Equal(w.t, r.LostBlocks+r.UnprovenBlocks, uint64(len(listed)))
	n := testOptions(w.disk)
	s, err := Open("new", w.keys, &n)
	require.NoError(w.t, err)
	defer func() { verified(w.t, s) }()
	require.Equal(w.t, size, s.Size())
	require.NotEqual(w.t, w.l.volume, s.UUID())
	require.Equal(w.t, r.New, s.UUID())
	require.Equal(w.t, w.l.write().suite, s.label.Load().write().suite)
	require.Equal(w.t, w.l.write().key, s.label.Load().write().key)
	got := shape(w.t, s)
	for b := range got {
		switch state := listed[uint64(b)]; {
		case state == isLost, state == isUnproven && !o.AcceptStale:
			require.Nil(w.t, got[b], "block %d is listed and not zeros", b)
		case state == isUnproven:
		default:
			require.True(w.t, (want[b] == nil) == (got[b] == nil) && bytes.Equal(want[b], got[b]), "block %d is not what it was", b)
		}
	}
	return r
}

// hook lets reads of bad places fail, and every write to the source.
func (w *wreck) hook(op fsx.Op) error {
	if op.Kind != fsx.OpRead {
		if op.Name == "v" || strings.HasPrefix(op.Name, "v.journal") {
			return fmt.Errorf("the source is written to: %v", op)
		}
		return nil
	}
	for _, p := range w.bad {
		if op.Name == p.name && op.Off < p.end && op.Off+int64(op.Len) > p.off {
			return syscall.EIO
		}
	}
	return nil
}

// opens says what an ordinary open for writing does.
func (w *wreck) opens() error {
	disk := w.disk.Clone()
	disk.SetHook(func(op fsx.Op) error {
		if op.Kind == fsx.OpRead {
			return w.hook(op)
		}
		return nil
	})
	o := testOptions(disk)
	o.Tune = tune.Store{Inline: true}
	s, err := Open("v", w.keys, &o)
	if err == nil {
		_ = s.Close()
	}
	return err
}

// What a block is listed as.
const (
	isLost     = "lost"
	isUnproven = "unproven"
)

// statesOf says of each block that is listed as what.
func statesOf(t testing.TB, r *SalvageReport) map[uint64]string {
	t.Helper()
	states := map[uint64]string{}
	for state, list := range map[string][]SalvageRange{isLost: r.Lost, isUnproven: r.Unproven} {
		for _, g := range list {
			require.NotEmpty(t, g.Why)
			for b := range g.Blocks {
				require.Empty(t, states[g.First+b], "listed twice")
				states[g.First+b] = state
			}
		}
	}
	return states
}

// listed returns the blocks of a list, neighbours as one.
func listed(list []SalvageRange) (out [][2]uint64) {
	for _, g := range list {
		if n := len(out); n > 0 && out[n-1][1]+1 == g.First {
			out[n-1][1] = g.First + g.Blocks - 1
			continue
		}
		out = append(out, [2]uint64{g.First, g.First + g.Blocks - 1})
	}
	return out
}

type ranges = [][2]uint64

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

func (w *wreck) cut(n int64) { w.write("v", w.read(w.disk, "v")[:n]) }

func (w *wreck) harmTag(g uint64, at, n int) {
	now, _ := w.tagOffset(g)
	w.edit("v", func(b []byte) {
		if at < 0 {
			clear(b[now:][:n])
			return
		}
		for i := range n {
			b[now+int64(at+i)] ^= 0x55
		}
	})
}

// unreadable makes reads of a place of the volume fail.
func (w *wreck) unreadable(off int64, n int) {
	w.bad = append(w.bad, badPlace{"v", off, off + int64(n)})
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

func reopenAs(t testing.TB, disk *fsx.Mem, keys *dek.Keyring, name string) *Store {
	t.Helper()
	o := testOptions(disk)
	s, err := Open(name, keys, &o)
	require.NoError(t, err)
	return s
}

// TestSalvageTakesNoForgery: who can write to the disk but has no key gets
// nothing of their own into the new volume, accepted stale or not: neither by
// records of suite none in a volume that is on its way from there, nor from
// another place or volume.
func TestSalvageTakesNoForgery(t *testing.T) {
	for _, stale := range []bool{false, true} {
		disk := fsx.NewMem(1)
		keys, ids := ring(t, 1)
		s := create(t, disk, nil, None, attackBlocks*4096)
		for b := range uint64(20) {
			write1(t, s, b, pageOf(b+1))
		}
		require.NoError(t, s.Close())
		a := &arena{scene: &scene{keys: keys, ids: ids}, t: t, disk: disk}
		at := a.block(19)
		a.edit("v", func(b []byte) { b[at] ^= 1 }) // a bad block keeps the conversion from its end
		s = reopen(t, disk, keys)
		c, err := s.Convert(context.Background(), Conversion{Key: ids[0], Suite: AESGCM, Workers: 1})
		require.NoError(t, err)
		res, err := c.Wait()
		require.NoError(t, err)
		require.False(t, res.Complete)
		require.NoError(t, s.Close())
		l := a.label()
		require.Equal(t, opEncrypt, l.conv.op)
		forged, lay := page(31337), l.layout()
		now, other := a.tagOffset(0)
		cipher := forgedCipher(t, l)
		a.edit("v", func(b []byte) {
			for _, at := range []int64{now, other} {
				for blk := range uint64(20) {
					copy(b[lay.block(blk):], forged)
					r := record{kind: recordData, slot: l.conv.from, epoch: l.slots[l.conv.from].current().number, version: 1 << 40}
					r.tag, r.crc = cipher(blk, forged)
					r.encode(b[at+offMetaBody+int64(blk)*recordSize:])
				}
				mendMeta(b[at:])
			}
		})
		o := SalvageOptions{Options: testOptions(disk), AcceptStale: stale}
		r, err := Salvage(context.Background(), "v", keys, "new", o)
		require.NoError(t, err)
		require.Zero(t, r.Copied)
		require.Zero(t, r.UnprovenBlocks)
		require.Equal(t, uint64(perGroup), r.LostBlocks)
		n := reopenAs(t, disk, keys, "new")
		for b := range uint64(attackBlocks) {
			require.Equal(t, make([]byte, 4096), read1(t, n, b))
		}
		verified(t, n)
	}
}

// forgedCipher seals as suite none does, which needs no key.
func forgedCipher(t *testing.T, l *label) func(block uint64, data []byte) ([seal.TagSize]byte, uint32) {
	c, err := seal.New(None, nil, seal.Scope{Volume: l.volume, Domain: seal.DomainVolume, Epoch: l.slots[l.conv.from].current().number})
	require.NoError(t, err)
	return func(block uint64, data []byte) ([seal.TagSize]byte, uint32) {
		b := []seal.Block{{Position: block, Src: data, Dst: make([]byte, len(data))}}
		require.NoError(t, c.Seal(b))
		return b[0].Tag, b[0].CRC
	}
}

// TestSalvageHalfConverted: blocks under both keys are taken, and the new volume is under the one that is written with.
func TestSalvageHalfConverted(t *testing.T) {
	w := newWreck(t, AESGCM, false)
	s := w.open(t, w.disk, "v")
	c, err := s.Convert(context.Background(), Conversion{Key: w.ids[1], Workers: 1})
	require.NoError(t, err)
	c.Stop()
	_, _ = c.Wait()
	require.NoError(t, s.Close())
	w.l = w.label()
	w.edit("v", func(v []byte) { v[w.l.layout().block(9)+9] ^= 1 })
	r := w.salvaged(SalvageOptions{}, w.want, w.size)
	require.Equal(t, ranges{{9, 9}}, listed(r.Lost))
}

// TestSalvageCutAtEveryOperation: a cut leaves nothing under the new name, or all
// of it; the next run finishes, and the source is as it was.
func TestSalvageCutAtEveryOperation(t *testing.T) {
	start := newWreck(t, AESGCM, false)
	start.harmTag(1, 10, 1)
	before := start.read(start.disk, "v")
	run := func(disk *fsx.Mem) (*SalvageReport, error) {
		o := testOptions(disk)
		o.Tune = tune.Store{Inline: true}
		return Salvage(context.Background(), "v", sameKeys(t, start.keys, start.ids), "new", SalvageOptions{Options: o})
	}
	dry := start.disk.Clone()
	began := dry.Ops()
	want, err := run(dry)
	require.NoError(t, err)
	total, step := dry.Ops()-began, 1
	if testing.Short() {
		step = 6
	}
	placed := 0
	for k := 0; k < total; k += step {
		disk := start.disk.Clone()
		disk.CutAfter(k)
		_, err := run(disk)
		require.ErrorIs(t, err, fsx.ErrPowerCut)
		if k%2 == 0 {
			disk = disk.Kill()
		} else {
			disk = disk.Crash(rand.New(rand.NewPCG(uint64(k), 9)))
		}
		r, err := run(disk)
		if errors.Is(err, fs.ErrExist) {
			placed++
		} else {
			require.NoError(t, err, "cut %d", k)
			want.New = r.New
			require.Equal(t, want, r, "cut %d", k)
		}
		n := reopenAs(t, disk, start.keys, "new")
		got := shape(t, n)
		for b := range got {
			if g := b / perGroup; g == 1 {
				require.Nil(t, got[b])
			} else {
				require.True(t, bytes.Equal(start.want[b], got[b]), "cut %d, block %d", k, b)
			}
		}
		verified(t, n)
		require.True(t, bytes.Equal(before, start.arena.read(disk, "v")))
		require.ElementsMatch(t, []string{"/v", "/new"}, disk.Files(), "cut %d", k)
	}
	require.Less(t, placed, 6)
}

// TestSalvageTall: a tree of two levels over a volume that is mostly holes. A tree
// block takes the blocks below it along, and no others.
func TestSalvageTall(t *testing.T) {
	const groups = 205
	disk := fsx.NewMem(1)
	keys, _ := ring(t, 1)
	s := create(t, disk, keys, AESGCM, groups*perGroup*4096)
	held := []uint64{3, 199*perGroup + 1, 200 * perGroup, 204*perGroup + 167}
	for _, b := range held {
		write1(t, s, b, pageOf(b+1))
	}
	require.NoError(t, s.Close())
	l := s.label.Load()
	require.Equal(t, uint8(2), l.height)
	for _, c := range []struct {
		at       metaKey
		first, n uint64 // groups under it
		unproven uint64
	}{{metaKey{1, 0}, 0, 200, 2}, {metaKey{1, 1}, 200, 5, 2}, {metaKey{2, 0}, 0, groups, 4}} {
		w := &wreck{arena: &arena{scene: &scene{keys: keys}, t: t, disk: disk.Clone()}, l: l}
		f, err := w.disk.Open("v", os.O_RDWR, 0)
		require.NoError(t, err)
		for slot := range uint8(2) {
			_, err = f.WriteAt([]byte("damage"), l.layout().slot(c.at, slot)+100)
			require.NoError(t, err)
		}
		require.NoError(t, f.Close())
		want := make([][]byte, groups*perGroup)
		for _, b := range held {
			want[b] = pageOf(b + 1)
		}
		r := w.salvaged(SalvageOptions{AcceptStale: c.first == 0}, want, groups*perGroup*4096)
		require.Equal(t, c.unproven, r.UnprovenBlocks)
		require.Equal(t, c.n*perGroup-c.unproven, r.LostBlocks)
		require.Equal(t, uint64(len(held))-c.unproven, r.Copied)
		states := statesOf(t, r)
		for b := range uint64(groups * perGroup) {
			require.Equal(t, b/perGroup >= c.first && b/perGroup < c.first+c.n, states[b] != "", "block %d", b)
		}
	}
}
