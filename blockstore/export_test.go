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
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/internal/fsx"
)

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
