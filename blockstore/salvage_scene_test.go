package blockstore

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fsx"
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
	images := slices.DeleteFunc(slices.Clone(got), func(b []byte) bool { return b == nil })
	require.Len(w.t, images, int(r.Taken))
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

func reopenAs(t testing.TB, disk *fsx.Mem, keys *dek.Keyring, name string) *Store {
	t.Helper()
	o := testOptions(disk)
	s, err := Open(name, keys, &o)
	require.NoError(t, err)
	return s
}
