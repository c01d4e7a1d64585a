package blockstore

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fsx"
)

// life is a volume to which anything may happen, and the backups that were made of it.
type life struct {
	t    *testing.T
	rng  *rand.Rand
	fs   *fsx.Mem
	keys *dek.Keyring
	ids  []dek.ID
	o    Options
	s    *Store
	h    history
	conv *Converter
	made []lifeBackup
	seen map[int]Anchor // by number of a commit, where nothing else committed
	n    int            // of names
}

// lifeBackup is a backup, and between which commits it was made.
type lifeBackup struct {
	path        string
	least, most int
}

// Anything that happens to a volume, in any order, and each backup restores to a state of the time it was made, alone or on from there to the present.
func TestBackupsAtRandom(t *testing.T) {
	seeds, steps := uint64(6), 60
	if !testing.Short() {
		seeds, steps = 12, 100
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			l := &life{t: t, rng: rand.New(rand.NewPCG(seed, 11)), fs: fsx.NewMem(seed), seen: map[int]Anchor{}}
			l.keys, l.ids = ring(t, 3)
			l.o = testOptions(l.fs)
			l.o.CheckpointBytes = 256 << 10
			suite := []Suite{AESGCM, AESCBC, AESXTS, None}[l.rng.IntN(4)]
			s, err := Create("v", l.keys, CreateOptions{Options: l.o, Size: 400 * 4096, BlockSize: 4096, Suite: suite})
			require.NoError(t, err)
			l.s = s
			require.NoError(t, s.SetRetention(-1))
			for range steps {
				l.step()
			}
			l.settle()
			for i := range l.made {
				l.check(i)
			}
			t.Logf("%d commits, %d backups", l.h.len(), len(l.made))
			require.NotEmpty(t, l.made)
			verified(t, l.s)
		})
	}
}

func (l *life) step() {
	switch k := l.rng.IntN(20); {
	case k < 9:
		l.commits(1 + l.rng.IntN(5))
	case k < 11:
		require.NoError(l.t, l.s.Checkpoint(context.Background()))
	case k < 12:
		require.NoError(l.t, l.s.Close())
		l.open()
	case k < 13:
		l.fs = l.fs.Crash(l.rng)
		l.o.FS = l.fs
		l.open()
	case k < 14:
		if l.s.label.Load().write().suite != None {
			_ = l.s.SetJournalKey(context.Background(), l.ids[l.rng.IntN(3)]) // refused where a conversion leads away from it
		}
	case k < 16:
		l.convert()
	default:
		l.backup()
	}
}

func (l *life) open() {
	var err error
	l.conv = nil
	l.s, err = Open("v", l.keys, &l.o)
	require.NoError(l.t, err)
}

func (l *life) commits(n int) {
	for range n {
		require.NoError(l.t, l.h.step(l.s, l.rng, true))
		if l.conv == nil {
			l.seen[l.h.len()] = l.s.Anchor()
		}
	}
}

// settle waits for a conversion under way.
func (l *life) settle() {
	if l.conv == nil {
		return
	}
	_, err := l.conv.Wait()
	require.True(l.t, err == nil || errors.Is(err, context.Canceled), "%v", err)
	l.conv = nil
}

func (l *life) convert() {
	if l.rng.IntN(3) == 0 {
		l.settle()
		return
	}
	c := Conversion{Key: l.ids[l.rng.IntN(3)], Suite: []Suite{AESGCM, AESXTS, None}[l.rng.IntN(3)], Back: l.rng.IntN(2) == 0}
	if l.rng.IntN(3) == 0 && l.conv != nil {
		l.conv.Stop()
	}
	if v, err := l.s.Convert(context.Background(), c); err == nil {
		l.conv = v
	} else {
		require.ErrorIs(l.t, err, ErrState)
	}
}

func (l *life) name(prefix string) string {
	l.n++
	return fmt.Sprintf("/%s%d", prefix, l.n)
}

func (l *life) backup() {
	b := lifeBackup{path: l.name("b"), least: l.h.len()}
	o := BackupOptions{Progress: func(uint64, uint64) {
		if l.rng.IntN(2) == 0 {
			l.commits(1)
		}
	}}
	if n := len(l.made); n > 0 && l.rng.IntN(4) > 0 {
		o.Base = l.made[l.rng.IntN(n)].path
	}
	_, err := l.s.BackupTo(context.Background(), b.path, o)
	if errors.Is(err, ErrState) && o.Base != "" { // the session of the base may be forgotten
		require.ErrorContains(l.t, err, "does not fit")
		return
	}
	require.NoError(l.t, err)
	b.most = l.h.len()
	l.made = append(l.made, b)
}

// check restores one backup: as it is, to the present, and to a commit in between.
func (l *life) check(i int) {
	t, b := l.t, l.made[i]
	restore := func(change func(o *RestoreOptions)) int {
		o := restoreOptions(l.fs)
		change(o)
		name := l.name("r")
		_, err := Restore(context.Background(), b.path, name, l.keys, o)
		require.NoError(t, err)
		so := testOptions(l.fs)
		s, err := Open(name, l.keys, &so)
		require.NoError(t, err)
		n := l.h.holds(t, s)
		verified(t, s)
		require.NoError(t, l.fs.Remove(name))
		return n
	}
	n := restore(func(*RestoreOptions) {})
	require.GreaterOrEqual(t, n, b.least)
	require.LessOrEqual(t, n, b.most)
	require.Equal(t, l.h.len(), restore(func(o *RestoreOptions) { o.JournalDir = "v.journal" }))
	if a, ok := l.seen[b.most+(l.h.len()-b.most)/2]; ok && b.most < l.h.len() {
		require.Equal(t, b.most+(l.h.len()-b.most)/2, restore(func(o *RestoreOptions) { o.JournalDir, o.UntilCommit = "v.journal", a.Seq }))
	}
	for _, k := range []*dek.Keyring{l.keys, nil} {
		o := testOptions(l.fs)
		r, err := VerifyBackup(context.Background(), b.path, k, &o, VerifyOptions{})
		require.NoError(t, err)
		require.NoError(t, r.Err())
	}
}
