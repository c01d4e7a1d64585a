package blockstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/dek"
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

// forwardScene is a volume that keeps its segments, a backup of it, and its history after that: over clean closes, crashes and changes of the key.
type forwardScene struct {
	fs     *fsx.Mem
	keys   *dek.Keyring
	ids    []dek.ID
	clock  int64
	states map[uint64]string // by sequence of the commit
	times  map[uint64]int64
	seqs   []uint64
	anchor map[uint64]Anchor
}

func (c *forwardScene) options(fs fsx.FS) Options {
	o := testOptions(fs)
	o.Tune.Now = func() time.Time { return time.Unix(0, c.clock) }
	return o
}

func (c *forwardScene) open(t testing.TB) *Store {
	t.Helper()
	o := c.options(c.fs)
	s, err := Open("v", c.keys, &o)
	require.NoError(t, err)
	return s
}

func (c *forwardScene) commit(t testing.TB, s *Store, block uint64) {
	t.Helper()
	c.clock += int64(time.Second)
	a, err := s.UpdateAnchor(func(tx *Tx) error { return tx.Write(block, page(uint64(c.clock))) })
	require.NoError(t, err)
	c.states[a.Seq], c.times[a.Seq], c.anchor[a.Seq] = string(contentOf(t, s)), c.clock, a
	c.seqs = append(c.seqs, a.Seq)
}

func newForwardScene(t testing.TB) *forwardScene {
	c := &forwardScene{fs: fsx.NewMem(1), states: map[uint64]string{}, times: map[uint64]int64{}, anchor: map[uint64]Anchor{}, clock: time.Now().UnixNano()}
	c.keys, c.ids = ring(t, 3)
	o := c.options(c.fs)
	s, err := Create("v", c.keys, CreateOptions{Options: o, Size: 300 * 4096, BlockSize: 4096})
	require.NoError(t, err)
	require.NoError(t, s.SetRetention(-1))
	c.commit(t, s, 1)
	require.NoError(t, s.Close())
	s = c.open(t)
	c.clock += int64(2 * time.Second)
	_, err = s.BackupTo(context.Background(), "/b", BackupOptions{})
	require.NoError(t, err)
	c.seqs = nil
	for i := range uint64(40) { // more than a segment
		c.commit(t, s, 2+i)
	}
	require.NoError(t, s.Close())
	s = c.open(t)
	require.NoError(t, s.SetJournalKey(context.Background(), c.ids[1]))
	c.commit(t, s, 100)
	require.NoError(t, s.Checkpoint(context.Background()))
	c.commit(t, s, 101)
	c.fs = c.fs.Crash(rand.New(rand.NewPCG(3, 3)))
	s = c.open(t)
	c.commit(t, s, 102)
	c.clock -= int64(time.Hour) // the clock jumps
	c.commit(t, s, 103)
	require.NoError(t, s.Close())
	s = c.open(t)
	require.NoError(t, s.Close()) // a session without a commit
	s = c.open(t)
	v, err := s.Convert(context.Background(), Conversion{Key: c.ids[2]})
	require.NoError(t, err)
	_, err = v.Wait()
	require.NoError(t, err)
	c.clock += int64(2 * time.Hour)
	c.commit(t, s, 104)
	verified(t, s)
	return c
}

func (c *forwardScene) restore(t testing.TB, fs fsx.FS, change func(o *RestoreOptions)) (*RestoreInfo, error) {
	t.Helper()
	o := restoreOptions(fs)
	o.JournalDir = "v.journal"
	change(o)
	name := fmt.Sprintf("r%d", rand.Uint64())
	info, err := Restore(context.Background(), "/b", name, c.keys, o)
	require.Equal(t, err == nil, exists(fs, name))
	if err != nil {
		return nil, err
	}
	so := testOptions(fs)
	s, err := Open(name, c.keys, &so)
	require.NoError(t, err)
	var last uint64
	for _, seq := range c.seqs {
		if seq <= info.Sequence {
			last = seq
		}
	}
	require.True(t, c.states[last] == string(contentOf(t, s)), "not as of commit %d", last)
	verified(t, s)
	return info, nil
}

func TestRollForward(t *testing.T) {
	c := newForwardScene(t)
	end := c.seqs[len(c.seqs)-1]
	info, err := c.restore(t, c.fs, func(*RestoreOptions) {})
	require.NoError(t, err)
	require.GreaterOrEqual(t, info.Sequence, end)
	for i, seq := range c.seqs {
		if i%6 != 0 && i < len(c.seqs)-6 {
			continue
		}
		info, err := c.restore(t, c.fs, func(o *RestoreOptions) { o.UntilCommit = seq })
		require.NoError(t, err)
		require.Equal(t, seq, info.Sequence)
		a := c.anchor[seq]
		_, err = c.restore(t, c.fs, func(o *RestoreOptions) { o.UntilCommit, o.ExpectAnchor = seq, &a })
		require.NoError(t, err)
		if i > 0 {
			_, err = c.restore(t, c.fs, func(o *RestoreOptions) { o.UntilCommit, o.ExpectAnchor = seq-1, &a })
			require.ErrorIs(t, err, ErrTampered)
			require.ErrorContains(t, err, "does not contain")
		}
	}
	_, err = c.restore(t, c.fs, func(o *RestoreOptions) { o.UntilCommit = info.Sequence + 1 })
	require.ErrorIs(t, err, ErrState)
	require.ErrorContains(t, err, fmt.Sprint(info.Sequence))
	_, err = c.restore(t, c.fs, func(o *RestoreOptions) { o.UntilTime = time.Unix(0, c.times[c.seqs[0]]).Add(-time.Hour) })
	require.ErrorIs(t, err, ErrState)
	bare := restoreOptions(c.fs)
	bare.UntilCommit = end
	_, err = Restore(context.Background(), "/b", "bare", c.keys, bare)
	require.ErrorIs(t, err, ErrState)
}

// The first commit that is too late ends it; one behind it, with an earlier time since the clock jumped, does not come in.
func TestRollForwardToTime(t *testing.T) {
	c := newForwardScene(t)
	for i, seq := range c.seqs[:len(c.seqs)-3] {
		if i%10 == 0 {
			info, err := c.restore(t, c.fs, func(o *RestoreOptions) { o.UntilTime = time.Unix(0, c.times[seq]) })
			require.NoError(t, err)
			require.GreaterOrEqual(t, info.Sequence, seq)
			require.Less(t, info.Sequence, c.seqs[i+1])
			require.Equal(t, c.times[seq], info.Last.UnixNano())
		}
	}
	jumped := c.seqs[len(c.seqs)-2]
	require.Less(t, c.times[jumped], c.times[c.seqs[0]])
	info, err := c.restore(t, c.fs, func(o *RestoreOptions) { o.UntilTime = time.Unix(0, c.times[c.seqs[0]]) })
	require.NoError(t, err)
	require.Less(t, info.Sequence, c.seqs[1])
}

// Gaps, altered and planted segments are refused by name.
func TestRollForwardRefuses(t *testing.T) {
	c := newForwardScene(t)
	names, err := c.fs.ReadDir("v.journal")
	require.NoError(t, err)
	require.Greater(t, len(names), 6)
	o := c.options(c.fs)
	info, err := Inspect("v", &o)
	require.NoError(t, err)
	begun, err := InspectBackup("/b", &o)
	require.NoError(t, err)
	gaps, altered := 0, 0
	last := info.Segments[len(info.Segments)-1].Number
	for _, g := range info.Segments {
		require.Equal(t, "kept", g.State)
		require.GreaterOrEqual(t, g.Last+1, g.First, "segment %d: where it ends is known from the next, or the label", g.Number)
		if g.Last <= begun.Last || g.Number == last {
			continue
		}
		fs := c.fs.Crash(rand.New(rand.NewPCG(1, g.Number)))
		images := 0
		for _, other := range info.Segments { // a recovery copies a segment that it cannot trust to be durable
			if other.Number == g.Number {
				require.NoError(t, fs.Remove("v.journal/"+other.Slot))
				images++
			}
		}
		_, err := c.restore(t, fs, func(*RestoreOptions) {})
		require.ErrorIs(t, err, ErrDamaged, "segment %d", g.Number)
		require.ErrorContains(t, err, fmt.Sprintf("segment %d", g.Number))
		gaps++
		fs = c.fs.Crash(rand.New(rand.NewPCG(2, g.Number)))
		b := read(t, fs, "v.journal/"+g.Slot)
		if images > 1 || len(b) < 5000 || allZero(b[4096:5000]) == nil {
			continue
		}
		b[4096+100] ^= 1
		(&backupScene{fs: fs}).write(t, "v.journal/"+g.Slot, b)
		_, err = c.restore(t, fs, func(*RestoreOptions) {})
		require.True(t, isBad(err), "segment %d: %v", g.Number, err)
		altered++
	}
	require.Greater(t, gaps, 4)
	require.Greater(t, altered, 3)
	_, err = c.restore(t, c.fs, func(o *RestoreOptions) { o.JournalDir = "nowhere" })
	require.Error(t, err)
	without := dek.NewKeyring()
	copyKey(t, c.keys, without, c.ids[0])
	all := c.keys
	c.keys = without
	_, err = c.restore(t, c.fs, func(*RestoreOptions) {})
	require.ErrorIs(t, err, ErrNotActivated)
	require.ErrorContains(t, err, c.ids[1].String())
	c.keys = all
}

func TestRetention(t *testing.T) {
	fs := fsx.NewMem(1)
	keys, _ := ring(t, 1)
	s := create(t, fs, keys, AESGCM, 300*4096)
	fill := func() {
		for i := range uint64(60) {
			write1(t, s, i, page(i))
		}
		require.NoError(t, s.Checkpoint(context.Background()))
	}
	kept := func() (n int) {
		if !exists(fs, "v.journal") {
			return 0
		}
		names, err := fs.ReadDir("v.journal")
		require.NoError(t, err)
		return len(names)
	}
	fill()
	require.NoError(t, s.SetRetention(3))
	fill()
	require.NoError(t, s.Close())
	require.Equal(t, 3, kept())
	for range 3 { // an open and a close keep the newest
		s = reopen(t, fs, keys)
		info, err := s.Info()
		require.NoError(t, err)
		require.Equal(t, 3, info.Retain)
		require.NoError(t, s.Close())
		require.Equal(t, 3, kept())
	}
	require.ErrorIs(t, reopenedRetention(t, fs, keys, -2), ErrUsage)
	require.NoError(t, reopenedRetention(t, fs, keys, 0))
	require.Zero(t, kept())
	s = reopen(t, fs, keys)
	verified(t, s)
}

func reopenedRetention(t testing.TB, fs fsx.FS, keys *dek.Keyring, n int) error {
	t.Helper()
	s := reopen(t, fs, keys)
	defer func() { require.NoError(t, s.Close()) }()
	return s.SetRetention(n)
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
	running, err := g.begin(ctx)
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
	running = <-begun
	require.Equal(t, "dropped", <-order)
	require.Equal(t, "begun", <-order)
	g.stop()
	require.ErrorIs(t, running.Err(), context.Canceled)
	g.end()
	_, err = g.begin(ctx)
	require.ErrorIs(t, err, ErrClosed)
}
