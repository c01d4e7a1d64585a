package blockstore

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/internal/fsx"
)

// usableAfter checks that a store is none the worse for a backup that failed.
func usableAfter(t testing.TB, s *Store) {
	t.Helper()
	require.NoError(t, s.usable())
	write1(t, s, 7, page(7007))
	require.NoError(t, s.Checkpoint(context.Background()))
	for _, g := range s.journal.Segments() {
		require.NotEqual(t, "kept", g.State.String(), "segment %d is still held", g.Number)
	}
	_, err := s.Backup(context.Background(), io.Discard, BackupOptions{})
	require.NoError(t, err)
	have, err := s.Backups()
	require.NoError(t, err)
	require.Empty(t, have)
}

type failingWriter struct{ left int }

var errDestination = errors.New("the destination fails")

func (f *failingWriter) Write(b []byte) (int, error) {
	if f.left -= len(b); f.left < 0 {
		return 0, errDestination
	}
	return len(b), nil
}

func TestBackupFails(t *testing.T) {
	fs := fsx.NewMem(1)
	keys, _ := ring(t, 1)
	s := create(t, fs, keys, AESGCM, 400*4096)
	for b := range uint64(400) {
		write1(t, s, b, page(b))
	}
	t.Run("writer", func(t *testing.T) {
		for _, n := range []int{0, 100_000, 1_000_000} {
			_, err := s.Backup(context.Background(), &failingWriter{n}, BackupOptions{})
			require.ErrorIs(t, err, errDestination)
			usableAfter(t, s)
		}
	})
	t.Run("cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		_, err := s.BackupTo(ctx, "/b", BackupOptions{Progress: func(uint64, uint64) { cancel() }})
		require.ErrorIs(t, err, context.Canceled)
		require.False(t, exists(fs, "/b"))
		usableAfter(t, s)
	})
	t.Run("full disk", func(t *testing.T) {
		fs.SetCapacity(fs.Used() + 600<<10)
		_, err := s.BackupTo(context.Background(), "/b", BackupOptions{})
		fs.SetCapacity(0)
		require.ErrorIs(t, err, syscall.ENOSPC)
		require.False(t, exists(fs, "/b"))
		usableAfter(t, s)
	})
	t.Run("damaged block", func(t *testing.T) {
		at := s.lay.block(200)
		good := make([]byte, 1)
		require.NoError(t, readFull(s.file, good, at))
		_, err := s.file.WriteAt([]byte{^good[0]}, at)
		require.NoError(t, err)
		_, err = s.BackupTo(context.Background(), "/b", BackupOptions{})
		require.ErrorIs(t, err, ErrDamaged)
		require.ErrorContains(t, err, "block 200")
		require.False(t, exists(fs, "/b"))
		_, err = s.file.WriteAt(good, at)
		require.NoError(t, err)
		usableAfter(t, s)
	})
	t.Run("one at a time", func(t *testing.T) {
		var second error
		_, err := s.Backup(context.Background(), io.Discard, BackupOptions{Progress: func(uint64, uint64) {
			_, second = s.Backup(context.Background(), io.Discard, BackupOptions{})
		}})
		require.NoError(t, err)
		require.ErrorIs(t, second, ErrState)
	})
	t.Run("exists", func(t *testing.T) {
		_, err := s.BackupTo(context.Background(), "v", BackupOptions{})
		require.ErrorIs(t, err, ErrState)
	})
	t.Run("closed meanwhile", func(t *testing.T) {
		begun, ended := make(chan struct{}), make(chan error)
		go func() {
			n := 0
			_, err := s.Backup(context.Background(), io.Discard, BackupOptions{Progress: func(uint64, uint64) {
				if n++; n == 1 {
					close(begun)
					time.Sleep(20 * time.Millisecond)
				}
			}})
			ended <- err
		}()
		<-begun
		require.NoError(t, s.Close())
		require.ErrorIs(t, <-ended, context.Canceled)
	})
	s = reopen(t, fs, keys)
	verified(t, s)
}

// A full disk, or an error of any read or write, leaves nothing of a restore.
func TestRestoreFails(t *testing.T) {
	c := newBackupScene(t, AESGCM)
	require.NoError(t, c.s.Close())
	for space := int64(0); ; space += 40 << 10 {
		c.fs.SetCapacity(c.fs.Used() + space)
		_, err := Restore(context.Background(), "/inc", "r", c.keys, restoreOptions(c.fs))
		c.fs.SetCapacity(0)
		if err == nil {
			require.Greater(t, space, int64(100<<10))
			break
		}
		require.ErrorIs(t, err, syscall.ENOSPC)
		require.False(t, exists(c.fs, "r"))
		require.False(t, exists(c.fs, ".r.tmp0"))
	}
	ctx, cancel := context.WithCancel(context.Background())
	o := restoreOptions(c.fs)
	o.Progress = func(done, total int64) {
		if done > total/2 {
			cancel()
		}
	}
	_, err := Restore(ctx, "/inc", "r2", c.keys, o)
	require.ErrorIs(t, err, context.Canceled)
	require.False(t, exists(c.fs, "r2"))
}

// Cuts at sampled operations of a backup: the volume is whole, and the backup is there, whole and restorable, or not at all.
func TestBackupCrash(t *testing.T) {
	c := newBackupScene(t, AESGCM)
	require.NoError(t, c.s.Close())
	done := false
	for k := 1; !done; k += 1 + k/12 {
		rng := rand.New(rand.NewPCG(uint64(k), 5))
		fs := c.fs.Crash(rng)
		s := reopen(t, fs, c.keys)
		fs.CutAfter(k)
		_, err := s.BackupTo(context.Background(), "/new", BackupOptions{Base: "/full"})
		done = err == nil
		after := fs.Crash(rng)
		s = reopen(t, after, c.keys)
		have, err := s.Backups()
		require.NoError(t, err)
		switch there := exists(after, "/new"); {
		case there:
			r := restored(t, after, c.keys, "/new", "r", nil)
			require.Equal(t, string(c.want), string(contentOf(t, r)))
			verified(t, r)
		case done || len(have) > 0:
			t.Fatalf("cut %d: recorded, and not there", k)
		}
		require.True(t, !done || len(have) == 1)
		verified(t, s)
		require.Less(t, k, 5000)
	}
}

// The same for a restore: the volume is there, whole, or not at all, and another restore works.
func TestRestoreCrash(t *testing.T) {
	c := newBackupScene(t, AESGCM)
	require.NoError(t, c.s.Close())
	done := false
	for k := 1; !done; k += 1 + k/12 {
		rng := rand.New(rand.NewPCG(uint64(k), 6))
		fs := c.fs.Crash(rng)
		fs.CutAfter(k)
		_, err := Restore(context.Background(), "/inc", "r", c.keys, restoreOptions(fs))
		done = err == nil
		after := fs.Crash(rng)
		require.True(t, !done || exists(after, "r"))
		if !exists(after, "r") {
			_, err := Restore(context.Background(), "/inc", "r", c.keys, restoreOptions(after))
			require.NoError(t, err)
			require.False(t, exists(after, ".r.tmp1"), "what a cut left is taken away")
		}
		o := testOptions(after)
		s, err := Open("r", c.keys, &o)
		require.NoError(t, err, "cut %d", k)
		require.Equal(t, string(c.want), string(contentOf(t, s)))
		verified(t, s)
		require.Less(t, k, 5000)
	}
}

// failAt makes the k-th operation from now on fail, once.
func failAt(fs *fsx.Mem, k int) (hit func() bool) {
	n := 0
	fs.SetHook(func(fsx.Op) error {
		if n++; n == k {
			return syscall.EIO
		}
		return nil
	})
	return func() bool { return n >= k }
}

// An error of any write or sync leaves nothing of a restore, and the next one works.
func TestRestoreFaults(t *testing.T) {
	c := newBackupScene(t, AESGCM)
	require.NoError(t, c.s.Close())
	for k := 1; ; k += 1 + k/20 {
		hit := failAt(c.fs, k)
		_, err := Restore(context.Background(), "/inc", "r", c.keys, restoreOptions(c.fs))
		c.fs.SetHook(nil)
		there := exists(c.fs, "r")
		switch {
		case err == nil, errors.Is(err, ErrOutcomeUnknown):
			require.True(t, there)
		default:
			require.ErrorIs(t, err, syscall.EIO)
			require.False(t, there, "operation %d", k)
		}
		if !there {
			_, err = Restore(context.Background(), "/inc", "r", c.keys, restoreOptions(c.fs))
			require.NoError(t, err)
		}
		o := testOptions(c.fs)
		s, err := Open("r", c.keys, &o)
		require.NoError(t, err)
		require.Equal(t, string(c.want), string(contentOf(t, s)))
		verified(t, s)
		require.NoError(t, c.fs.Remove("r"))
		if !hit() {
			require.Greater(t, k, 20)
			return
		}
	}
}

// An error of any write or sync: there is no backup, or a whole one that the volume lists or says it does not; and the volume is whole.
func TestBackupFaults(t *testing.T) {
	c := newBackupScene(t, AESGCM)
	for k := 1; ; k += 1 + k/20 {
		hit := failAt(c.fs, k)
		info, err := c.s.BackupTo(context.Background(), "/new", BackupOptions{Base: "/full"})
		c.fs.SetHook(nil)
		there := exists(c.fs, "/new")
		switch {
		case err == nil, errors.Is(err, ErrUnrecorded):
			require.True(t, there && !info.ID.IsZero())
		case !errors.Is(err, ErrOutcomeUnknown):
			require.ErrorIs(t, err, syscall.EIO)
			require.False(t, there, "operation %d", k)
		}
		if c.s.usable() != nil { // the volume's own write failed
			require.Error(t, err)
			_ = c.s.Close()
			c.s = reopen(t, c.fs, c.keys)
		}
		have, listErr := c.s.Backups()
		require.NoError(t, listErr)
		if err == nil {
			require.Len(t, have, 1)
		}
		if there {
			r := restored(t, c.fs, c.keys, "/new", "r", nil)
			require.Equal(t, string(c.want), string(contentOf(t, r)))
			verified(t, r)
			require.NoError(t, c.fs.Remove("r"))
			require.NoError(t, c.fs.Remove("/new"))
		}
		require.NoError(t, c.s.ForgetAllBackups())
		if !hit() {
			require.Greater(t, k, 20)
			break
		}
	}
	verified(t, c.s)
}

// A backup and the end of a conversion keep out of each other's way, in the order they come.
func TestBackupGate(t *testing.T) {
	var g backupGate
	ctx := context.Background()
	quick, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
	defer cancel()
	_, err := g.begin(ctx)
	require.NoError(t, err)
	_, err = g.begin(ctx)
	require.ErrorIs(t, err, ErrState)
	waits := 0
	require.ErrorIs(t, g.drop(quick, func() { waits++ }, func() error { t.Error("dropped under a backup"); return nil }), context.DeadlineExceeded)
	require.Positive(t, waits)

	order := make(chan string, 3)
	waiting, dropping, goOn := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		_ = g.drop(ctx, func() { close(waiting) }, func() error {
			close(dropping)
			<-goOn
			order <- "dropped"
			return nil
		})
	}()
	<-waiting
	g.end()
	<-dropping
	begun := make(chan context.Context)
	go func() {
		c, err := g.begin(ctx)
		order <- "begun"
		if err != nil {
			t.Error(err)
		}
		begun <- c
	}()
	_, err = g.begin(quick) // its time is over while keys are being dropped
	require.ErrorIs(t, err, context.DeadlineExceeded)
	close(goOn)
	running := <-begun
	require.Equal(t, "dropped", <-order)
	require.Equal(t, "begun", <-order)
	g.stop()
	require.ErrorIs(t, running.Err(), context.Canceled)
	g.end()
	_, err = g.begin(ctx)
	require.ErrorIs(t, err, ErrClosed)
}
