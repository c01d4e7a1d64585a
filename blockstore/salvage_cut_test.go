package blockstore

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/internal/fsx"
	"github.com/cofferdb/coffer/internal/tune"
)

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
		return Salvage(context.Background(), "v", sameKeys(t, start.keys, start.ids), "new", SalvageOptions{Options: o, ReportFile: "new.coffer-lost"})
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
		if k > total-16 {
			step = 1 // about the renaming
		}
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
		require.ElementsMatch(t, []string{"/v", "/new", "/new.coffer-lost"}, disk.Files(), "cut %d", k)
		report, err := disk.ReadFile("/new.coffer-lost") // also where the run that made it is gone
		require.NoError(t, err)
		var told struct {
			New   string
			Lost  []SalvageRange
			Taken uint64
		}
		require.NoError(t, json.Unmarshal(report, &told))
		require.Equal(t, n.UUID().String(), told.New)
		require.Equal(t, want.Lost, told.Lost)
		require.Equal(t, want.Taken, told.Taken)
	}
	require.Positive(t, placed)
	require.Less(t, placed, 8)
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
