package blockstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
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

func TestExport(t *testing.T) {
	for _, suite := range []Suite{AESGCM, orGCM(AESCBC), orGCM(AESXTS), None} {
		t.Run(suite.String(), func(t *testing.T) {
			disk := fsx.NewMem(1)
			s, keys, _ := exportScene(t, disk, suite)
			want, size := shape(t, s), s.Size()
			held := 0
			for _, p := range want {
				if p != nil {
					held++
				}
			}
			require.Equal(t, 11, held, "the scene has holes and images, zeros among them")
			stages := map[string]uint64{}
			before := volumeBytes(t, disk)
			r, err := s.Export(context.Background(), "plain", ExportOptions{Progress: func(stage string, done, total uint64) {
				require.Equal(t, uint64(exportBlocks), total)
				stages[stage] = done
			}})
			require.NoError(t, err)
			require.Equal(t, map[string]uint64{stageCopy: exportBlocks, stageCheck: exportBlocks}, stages)
			require.Equal(t, before, volumeBytes(t, disk), "nothing is written to the source")
			require.NotEqual(t, s.UUID(), r.Volume)
			require.Equal(t, s.Anchor(), r.Anchor)
			require.False(t, r.Resumed)
			requireExport(t, disk, "plain", size, want)
			_, err = s.Export(context.Background(), "plain", ExportOptions{})
			require.ErrorIs(t, err, ErrState)
			require.ErrorIs(t, err, fs.ErrExist)
			requireExport(t, disk, "plain", size, want)

			// After the process died, read-only: from what a replay in memory gives.
			dead := disk.Kill()
			_ = s.Close()
			o := testOptions(dead)
			o.ReadOnly = true
			files := dead.Files()
			s, err = Open("v", keys, &o)
			require.NoError(t, err)
			_, err = s.Export(context.Background(), "plain2", ExportOptions{})
			require.NoError(t, err)
			require.NoError(t, s.Close())
			requireExport(t, dead, "plain2", size, want)
			require.ElementsMatch(t, append(files, "/plain2"), dead.Files(), "the source's files are as they were")
			require.Equal(t, before, volumeBytes(t, dead))
		})
	}
}

// TestExportIsOneState: an export sees one state, whatever is written, trimmed,
// cut off and checkpointed meanwhile, past its snapshot.
func TestExportIsOneState(t *testing.T) {
	for seed := range uint64(30) {
		exportOneState(t, seed)
	}
}

func exportOneState(t *testing.T, seed uint64) {
	disk := fsx.NewMem(1)
	s, _, _ := exportScene(t, disk, AESGCM)
	s.opts.CheckpointBytes = 1 // checkpoints pass the snapshot, and old images are saved
	want, size := shape(t, s), s.Size()
	rng := rand.New(rand.NewPCG(seed, 7))
	change := func() {
		require.NoError(t, s.Update(func(tx *Tx) error {
			switch b := rng.Uint64N(tx.Blocks()); rng.IntN(5) {
			case 0:
				return tx.Trim(b, 1+rng.Uint64N(tx.Blocks()-b))
			case 1:
				return tx.Resize(int64(exportBlocks)*4096 - rng.Int64N(100*4096))
			default:
				return tx.Write(b, pageOf(2000+b))
			}
		}))
		require.NoError(t, s.Checkpoint(context.Background()))
	}
	n := 0
	_, err := s.Export(context.Background(), "plain", ExportOptions{Progress: func(string, uint64, uint64) {
		elsewhere(func() {
			for range 3 {
				change()
			}
		})
		n++
	}})
	require.NoError(t, err)
	require.Greater(t, n, 5)
	requireExport(t, disk, "plain", size, want)
	verified(t, s)
}

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

// TestExportOnDisk: for the owner only, and never into a file that others can have opened.
func TestExportOnDisk(t *testing.T) {
	dir := t.TempDir()
	keys, _ := ring(t, 1)
	s, err := Create(filepath.Join(dir, "v"), keys, CreateOptions{Size: 50000})
	require.NoError(t, err)
	dest := filepath.Join(dir, "plain")
	r, err := s.Export(context.Background(), dest, ExportOptions{})
	require.NoError(t, err)
	fi, err := os.Stat(dest)
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o600), fi.Mode().Perm())

	job := fmt.Appendf(nil, "coffer job 1\nexport\n%s\n", r.Source)
	for what, plant := range map[string]func(name string) error{
		"readable": func(name string) error { return errors.Join(os.WriteFile(name, nil, 0o600), os.Chmod(name, 0o644)) },
		"link":     func(name string) error { return os.Symlink(dest, name) },
		"dangling": func(name string) error { return os.Symlink(filepath.Join(dir, "nowhere"), name) },
		"hard link": func(name string) error {
			return errors.Join(os.WriteFile(name+".2", nil, 0o600), os.Link(name+".2", name))
		},
		"folder": func(name string) error { return os.Mkdir(name, 0o700) },
	} {
		p := filepath.Join(dir, what)
		require.NoError(t, os.WriteFile(p+jobSuffix, job, 0o600))
		require.NoError(t, plant(p+makingSuffix))
		_, err := s.Export(context.Background(), p, ExportOptions{})
		require.ErrorIs(t, err, ErrState, what)
		_, err = os.Lstat(p + makingSuffix)
		require.NoError(t, err, what)
	}
	require.NoError(t, s.Close())
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

// TestExportBesideWriters: writers, readers and checkpoints go on, and the export is of one state.
func TestExportBesideWriters(t *testing.T) {
	disk := fsx.NewMem(1)
	keys, ids := ring(t, 2)
	o := testOptions(disk)
	o.CheckpointBytes = 64 << 10
	const pairs = 100
	s, err := Create("v", keys, CreateOptions{Options: o, Size: 2 * pairs * 4096, BlockSize: 4096, Key: ids[0]})
	require.NoError(t, err)
	stop := make(chan struct{})
	var work sync.WaitGroup
	for w := range uint64(2) {
		work.Go(func() {
			rng := rand.New(rand.NewPCG(w, 1))
			for n := uint64(1); ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				b, p := rng.Uint64N(pairs), pageOf(1+rng.Uint64N(50))
				err := s.Update(func(tx *Tx) error { // both halves of a pair, or none
					if n%7 == 0 {
						return errors.Join(tx.Trim(b, 1), tx.Trim(pairs+b, 1))
					}
					return errors.Join(tx.Write(b, p), tx.Write(pairs+b, p))
				})
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	c, err := s.Convert(context.Background(), Conversion{Key: ids[1]})
	require.NoError(t, err)
	for i := range 5 {
		name := fmt.Sprintf("plain%d", i)
		r, err := s.Export(context.Background(), name, ExportOptions{})
		require.NoError(t, err)
		p := reopenAs(t, disk, nil, name)
		got := shape(t, p)
		for b := range pairs {
			require.True(t, (got[b] == nil) == (got[pairs+b] == nil) && bytes.Equal(got[b], got[pairs+b]), "pair %d is torn", b)
		}
		require.NoError(t, p.Close())
		require.Equal(t, s.UUID(), r.Source)
	}
	close(stop)
	work.Wait()
	_, err = c.Wait()
	require.NoError(t, err)
	verified(t, s)
}
