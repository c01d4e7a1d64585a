package blockstore

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/internal/fsx"
)

// A process that dies again and again before its first checkpoint writes more
// sessions than the lineage holds; frames of the first are still needed.
func TestManySessionsWithoutCheckpoint(t *testing.T) {
	fs := fsx.NewMem(1)
	keys, _ := ring(t, 1)
	s := create(t, fs, keys, AESGCM, 200*4096)
	for i := range uint64(maxLineage * 2) {
		write1(t, s, i, page(i))
		dead := fs.Kill()
		_ = s.Close() // its files are dead
		fs = dead
		s = reopen(t, fs, keys)
		for b := uint64(0); b <= i; b += 5 {
			require.Equal(t, page(b), read1(t, s, b))
		}
	}
	verified(t, s)
}

// A clean label that only the system's cache holds is written again before a
// journal is begun on the strength of it.
func TestKillInCloseThenPowerCut(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	cuts := 0
	for at := 1; at < 40; at++ {
		fs := fsx.NewMem(uint64(at))
		keys, _ := ring(t, 1)
		s := create(t, fs, keys, AESGCM, 10*4096)
		write1(t, s, 3, page(3))
		var killed *fsx.Mem
		n := at
		fs.SetHook(func(op fsx.Op) error {
			if op.Kind == fsx.OpRead {
				return nil
			}
			if n--; n > 0 {
				return nil
			}
			if killed == nil {
				killed = fs.KillInHook()
			}
			return fsx.ErrKilled
		})
		err := s.Close()
		if killed == nil {
			require.NoError(t, err)
			break
		}
		for later := 1; later < 20; later++ {
			second := killed.Kill()
			var cut []*fsx.Mem
			n := later
			second.SetHook(func(op fsx.Op) error {
				if op.Kind != fsx.OpRead {
					if n--; n == 0 {
						for range 4 {
							cut = append(cut, second.CrashInHook(rng))
						}
					}
				}
				return nil
			})
			s := reopen(t, second, keys)
			require.Equal(t, page(3), read1(t, s, 3))
			require.NoError(t, s.Close())
			for _, disk := range cut {
				cuts++
				s := reopen(t, disk, keys)
				require.Equal(t, page(3), read1(t, s, 3))
				verified(t, s)
			}
		}
	}
	require.Positive(t, cuts)
}

func TestDiscardJournal(t *testing.T) {
	fs := fsx.NewMem(1)
	keys, _ := ring(t, 1)
	s := create(t, fs, keys, AESGCM, 10*4096)
	write1(t, s, 1, page(1))
	require.NoError(t, s.Close())
	clean, err := fs.ReadFile("v")
	require.NoError(t, err)
	s = reopen(t, fs, keys)
	write1(t, s, 2, page(2))
	fs = fs.Kill()
	require.NoError(t, fs.WriteFile("v", clean)) // an older state beside a newer journal
	o := testOptions(fs)
	_, err = Open("v", keys, &o)
	require.ErrorIs(t, err, ErrJournalGoesOn)
	o.DiscardJournal = true
	s, err = Open("v", keys, &o)
	require.NoError(t, err)
	require.Equal(t, page(1), read1(t, s, 1))
	require.Equal(t, make([]byte, 4096), read1(t, s, 2))
	write1(t, s, 4, page(4))
	verified(t, s)
}
