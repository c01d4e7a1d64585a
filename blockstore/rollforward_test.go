package blockstore

import (
	"context"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/fsx"
)

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
	c.seqs, c.states[0] = nil, string(contentOf(t, s)) // the backup's own
	for i := range uint64(40) {                        // more than a segment
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

// Gaps and damaged segments are refused by name; what an attacker does is in TestRollForwardAttacks.
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
		c.upTo(t, fs, g.First-1, begun.Last)
		fs = c.fs.Crash(rand.New(rand.NewPCG(2, g.Number)))
		b := read(t, fs, "v.journal/"+g.Slot)
		if images > 1 || len(b) < 5000 || allZero(b[4096:5000]) == nil {
			continue
		}
		b[4096+100] ^= 1
		(&backupScene{fs: fs}).write(t, "v.journal/"+g.Slot, b)
		_, err = c.restore(t, fs, func(*RestoreOptions) {})
		require.True(t, isBad(err), "segment %d: %v", g.Number, err)
		c.upTo(t, fs, g.First-1, begun.Last)
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

// upTo checks that a journal of which nothing is left behind a frame restores to every commit up to
// there, that it says which is the last, and to none behind.
func (c *forwardScene) upTo(t testing.TB, fs fsx.FS, frame, backup uint64) {
	t.Helper()
	last, late := max(backup, 1), uint64(0)
	for _, seq := range c.seqs {
		if seq <= frame {
			last = seq
		} else if late == 0 {
			late = seq
		}
	}
	_, err := c.restore(t, fs, func(*RestoreOptions) {})
	named := regexp.MustCompile(`--until-commit (\d+) restores up to there`).FindStringSubmatch(fault.HintOf(err))
	require.Len(t, named, 2, fault.HintOf(err))
	until := named[0]
	k, err := strconv.ParseUint(named[1], 10, 64)
	require.NoError(t, err)
	require.True(t, last <= k && k <= max(frame, backup), "commit %d: conversions commit, too, between %d and %d", k, last, frame)
	for _, n := range []uint64{last, k} {
		info, err := c.restore(t, fs, func(o *RestoreOptions) { o.UntilCommit = n })
		require.NoError(t, err)
		require.Equal(t, n, info.Sequence)
	}
	_, err = c.restore(t, fs, func(o *RestoreOptions) { o.UntilCommit = late })
	require.True(t, isBad(err), "%v", err)
	require.Contains(t, fault.HintOf(err), until)
	if last == backup { // nothing before it
		return
	}
	after := time.Unix(0, c.clock).Add(time.Hour) // later than all that can be read: in the gap there may be more
	_, err = c.restore(t, fs, func(o *RestoreOptions) { o.UntilTime = after })
	require.True(t, isBad(err), "%v", err)
	require.Contains(t, fault.HintOf(err), "nothing proves")
	require.Contains(t, fault.HintOf(err), until)
	if first := c.seqs[0]; last != first { // one later than that is there, before the gap
		info, err := c.restore(t, fs, func(o *RestoreOptions) { o.UntilTime = time.Unix(0, c.times[first]) })
		require.NoError(t, err)
		require.Equal(t, first, info.Sequence)
	}
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
