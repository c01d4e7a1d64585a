package blockstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/fsx"
	"github.com/cofferdb/coffer/internal/tune"
)

// TestExportCutAtEveryOperation cuts the power at the k-th operation, for every
// k, changes the source, and runs again: the volume of that state is there.
func TestExportCutAtEveryOperation(t *testing.T) {
	start := fsx.NewMem(1)
	s, keys, ids := exportScene(t, start, AESGCM)
	require.NoError(t, s.Close())
	total, resumed, placed := 0, 0, 0
	run := func(k int, kill bool) {
		disk, keys := start.Clone(), sameKeys(t, keys, ids)
		o := testOptions(disk)
		o.Tune = tune.Store{Inline: true}
		s, err := Open("v", keys, &o)
		require.NoError(t, err)
		began := disk.Ops()
		disk.CutAfter(k)
		_, err = s.Export(context.Background(), "plain", ExportOptions{})
		if k < 0 {
			require.NoError(t, err)
			total = disk.Ops() - began
			require.NoError(t, s.Close())
			return
		}
		require.ErrorIs(t, err, fsx.ErrPowerCut, "cut %d", k)
		_ = s.Close()
		if kill {
			disk = disk.Kill()
		} else {
			disk = disk.Crash(rand.New(rand.NewPCG(uint64(k), 3)))
		}
		o.FS = disk
		s, err = Open("v", keys, &o)
		require.NoError(t, err)
		if k%2 == 0 {
			require.NoError(t, s.Update(func(tx *Tx) error { return errors.Join(tx.Trim(0, 1), tx.Write(5, pageOf(77))) }))
		}
		want, size := shape(t, s), s.Size()
		r, err := s.Export(context.Background(), "plain", ExportOptions{})
		if errors.Is(err, fs.ErrExist) {
			placed++ // the cut came behind the renaming: what is there is whole
			o := testOptions(disk)
			p, err := Open("plain", nil, &o)
			require.NoError(t, err)
			rep, err := p.Verify(context.Background(), VerifyOptions{})
			require.NoError(t, err)
			require.NoError(t, rep.Err())
			require.NoError(t, p.Close())
			require.NotContains(t, disk.Files(), "/plain"+jobSuffix)
			require.NoError(t, s.Close())
			return
		}
		require.NoError(t, err, "cut %d", k)
		if r.Resumed {
			resumed++
		}
		require.NoError(t, s.Close())
		requireExport(t, disk, "plain", size, want)
	}
	run(-1, false)
	step := 1
	if testing.Short() {
		step = 5
	}
	for k := 0; k < total; k += step {
		run(k, false)
		run(k, true)
	}
	t.Logf("%d operations; resumed %d, in place already %d", total, resumed, placed)
	require.Positive(t, resumed)
}

func TestExportRefusals(t *testing.T) {
	ctx := context.Background()
	disk := fsx.NewMem(1)
	s, _, _ := exportScene(t, disk, AESGCM)
	require.NoError(t, s.View(func(*Tx) error {
		_, err := s.Export(ctx, "plain", ExportOptions{})
		require.ErrorIs(t, err, ErrNested)
		return nil
	}))
	for _, name := range []string{"plain" + makingSuffix, "plain" + jobSuffix} {
		require.NoError(t, disk.WriteFile(name, []byte("somebody's")))
		_, err := s.Export(ctx, "plain", ExportOptions{})
		require.ErrorIs(t, err, ErrState)
		require.Contains(t, fault.HintOf(err), "move it away")
		got, err := disk.ReadFile(name)
		require.NoError(t, err)
		require.Equal(t, "somebody's", string(got), "what is not ours is not touched")
		require.NoError(t, disk.Remove(name))
	}
	// The job of another volume's export.
	require.NoError(t, disk.WriteFile("plain"+jobSuffix, fmt.Appendf(nil, "coffer job 1\nexport\n%s\n", NewUUID())))
	_, err := s.Export(ctx, "plain", ExportOptions{})
	require.ErrorIs(t, err, ErrState)
	require.NoError(t, disk.Remove("plain"+jobSuffix))

	// Stopped: goes on, and meanwhile another run is kept out.
	stop, cancel := context.WithCancel(ctx)
	_, err = s.Export(stop, "plain", ExportOptions{Progress: func(string, uint64, uint64) {
		elsewhere(func() {
			_, err := s.Export(ctx, "plain", ExportOptions{})
			require.ErrorIs(t, err, ErrInUse)
		})
		cancel()
	}})
	require.ErrorIs(t, err, context.Canceled)
	require.Contains(t, disk.Files(), "/plain"+makingSuffix)
	require.NotContains(t, disk.Files(), "/plain")
	r, err := s.Export(ctx, "plain", ExportOptions{})
	require.NoError(t, err)
	require.True(t, r.Resumed)
	requireExport(t, disk, "plain", s.Size(), shape(t, s))

	// What was built is damaged meanwhile: it is begun anew.
	stop, cancel = context.WithCancel(ctx)
	_, err = s.Export(stop, "plain2", ExportOptions{Progress: func(stage string, _, _ uint64) {
		if stage == stageCheck {
			cancel()
		}
	}})
	require.ErrorIs(t, err, context.Canceled)
	b, err := disk.ReadFile("plain2" + makingSuffix)
	require.NoError(t, err)
	b[s.lay.block(63)] ^= 1
	require.NoError(t, disk.WriteFile("plain2"+makingSuffix, b))
	_, err = s.Export(ctx, "plain2", ExportOptions{})
	require.NoError(t, err)
	requireExport(t, disk, "plain2", s.Size(), shape(t, s))

	// A full disk: refused, kept, and it goes on.
	disk.SetCapacity(disk.Used() + 256<<10)
	_, err = s.Export(ctx, "plain3", ExportOptions{})
	require.ErrorIs(t, err, syscall.ENOSPC)
	disk.SetCapacity(0)
	_, err = s.Export(ctx, "plain3", ExportOptions{})
	require.NoError(t, err)
	requireExport(t, disk, "plain3", s.Size(), shape(t, s))
	require.NoError(t, s.Close())
}

// TestExportBadBlock: nothing in plain text stays, and the error says where and what to do.
func TestExportBadBlock(t *testing.T) {
	for _, stage := range []string{"start", stageCheck} {
		disk := fsx.NewMem(1)
		s, _, _ := exportScene(t, disk, AESGCM)
		require.NoError(t, s.Checkpoint(context.Background()))
		harm := func() {
			b := volumeBytes(t, disk)
			b[s.lay.block(64)+5] ^= 1
			require.NoError(t, disk.WriteFile("v", b))
		}
		if stage == "start" {
			harm()
		}
		files := disk.Files()
		_, err := s.Export(context.Background(), "plain", ExportOptions{Progress: func(at string, done, _ uint64) {
			if at == stageCopy && done == exportBlocks && stage != "start" {
				harm()
			}
		}})
		require.ErrorIs(t, err, ErrTampered)
		var bad *BlockError
		require.ErrorAs(t, err, &bad)
		require.Equal(t, uint64(64), bad.Block)
		require.Contains(t, fault.HintOf(err), "salvage")
		require.Equal(t, files, disk.Files(), "nothing in place, nothing left")
		_ = s.Close()
	}
}

// TestExportAfterFailure: a store that refuses writes still gives everything that is durable.
func TestExportAfterFailure(t *testing.T) {
	disk := fsx.NewMem(1)
	s, _, _ := exportScene(t, disk, AESGCM)
	want, size := shape(t, s), s.Size()
	disk.Inject(fsx.Fault{Kind: fsx.OpSync, Name: "segment-*", Once: true})
	err := s.Update(func(tx *Tx) error { return tx.Write(7, pageOf(1)) })
	require.ErrorIs(t, err, ErrOutcomeUnknown)
	require.ErrorIs(t, s.Update(func(tx *Tx) error { return tx.Write(7, pageOf(1)) }), ErrState)
	_, err = s.Export(context.Background(), "plain", ExportOptions{})
	require.NoError(t, err)
	requireExport(t, disk, "plain", size, want)
	_ = s.Close()
}
