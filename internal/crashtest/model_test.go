package crashtest

import (
	"bytes"
	"math/rand/v2"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/internal/fsx"
)

// TestUntouched: whatever a reader does to a disk is seen, through its operations or past them.
func TestUntouched(t *testing.T) {
	disk := fsx.NewMem(1)
	require.NoError(t, disk.WriteFile("f", []byte("content")))
	open := func(name string, flag int) fsx.File {
		f, err := disk.Open(name, flag, 0o600)
		require.NoError(t, err)
		return f
	}
	f := open("f", os.O_RDWR)
	ignored := func(error) error { return nil }
	for name, do := range map[string]func() error{
		"write":         func() error { _, err := f.WriteAt([]byte("x"), 0); return ignored(err) },
		"sync":          func() error { return ignored(f.Sync()) },
		"truncate":      func() error { return ignored(f.Truncate(1)) },
		"create":        func() error { _, err := disk.Open("g", os.O_CREATE|os.O_RDWR, 0o600); return ignored(err) },
		"remove":        func() error { return ignored(disk.Remove("f")) },
		"past the hook": func() error { return disk.WriteFile("f", []byte("kontent")) },
		"its own error": func() error { return syscall.EIO },
	} {
		require.Error(t, untouched(disk, do), name)
	}
	require.NoError(t, untouched(disk, func() error {
		tmp, err := disk.TempFile("")
		require.NoError(t, err)
		_, err = tmp.WriteAt([]byte("x"), 0)
		require.NoError(t, err)
		_, err = open("f", os.O_RDONLY).ReadAt(make([]byte, 1), 0)
		require.NoError(t, err)
		return tmp.Close()
	}))
}

// TestStateBytes compares a state with a slice of bytes through lengths and writes at any offset.
func TestStateBytes(t *testing.T) {
	const bs = 16
	s, plain := newState(0, bs), []byte(nil)
	check := func() {
		t.Helper()
		require.EqualValues(t, len(plain), s.size)
		got, ok := s.bytes(0, len(plain), bs)
		require.True(t, ok)
		require.True(t, bytes.Equal(plain, got))
		require.Len(t, s.blocks, (len(plain)+bs-1)/bs)
	}
	write := func(off, n int) {
		p := make([]byte, n)
		fill(p, uint32(off+1), uint64(n))
		if grow := off + n - len(plain); grow > 0 {
			plain = append(plain, make([]byte, grow)...)
		}
		copy(plain[off:], p)
		require.True(t, s.writeBytes(p, int64(off), bs))
		check()
	}
	resize := func(n int) {
		plain = append(plain[:min(n, len(plain))], make([]byte, max(0, n-len(plain)))...)
		s.resize(int64(n), bs)
		check()
	}
	for i := range 200 {
		write(i*7%90, 1+i*13%50)
		resize(i * 11 % 130)
		resize(i * 17 % 130)
	}
}

func TestStateDamage(t *testing.T) {
	const bs = 16
	s := newState(40, bs)
	s.blocks[1] = badContent
	require.Equal(t, []uint64{1}, s.bad())
	_, ok := s.bytes(10, 8, bs)
	require.False(t, ok)
	require.False(t, s.writeBytes([]byte("x"), 17, bs), "it is read to be changed")
	require.True(t, s.cutsBad(20, bs))
	require.False(t, s.cutsBad(16, bs))
	require.True(t, s.writeBytes(make([]byte, 16), 16, bs), "replaced as a whole")
	require.Empty(t, s.bad())
}

func TestLedger(t *testing.T) {
	var l ledger
	sizes := func(states []state) (out []int64) {
		for _, s := range states {
			out = append(out, s.size)
		}
		return out
	}
	l.reset(state{size: 0})
	a, b := l.begin(state{size: 1}), l.begin(state{size: 2})
	require.Equal(t, []int64{0, 1, 2}, sizes(l.possible()))
	require.False(t, l.withdraw(a), "another is built on it")
	require.True(t, l.withdraw(b))
	l.done(a)
	require.Equal(t, a, l.last())
	c := l.begin(state{size: 3})
	require.Equal(t, a, l.last(), "a commit that has not returned is in nobody's sync")
	n := l.watch()
	l.settle(a)
	require.Equal(t, []int64{1, 3}, sizes(l.possible()))
	require.Equal(t, []int64{0, 1, 3}, sizes(l.since(n)))
	l.unwatch()
	l.settle(c)
	require.Equal(t, []int64{3}, sizes(l.possible()))
	require.False(t, l.withdraw(c), "it was acknowledged")
	l.reset(state{size: 9})
	require.Equal(t, []int64{9}, sizes(l.possible()))
}

// TestEvents runs programs until each rare thing that they are for has happened.
func TestEvents(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	var n counts
	wanted := []string{"checkpoints under a snapshot", "conversions complete", "conversions complete with losses", "conversions incomplete for damage",
		"crowds", "damaged blocks", "no space to recover", "old epochs re-sealed", "opens that failed", "refused for space", "refused until opened again"}
	missing := func() (out []string) {
		seen := n.seen()
		for _, w := range wanted {
			if seen[w] == 0 {
				out = append(out, w)
			}
		}
		return out
	}
	for seed := uint64(1); len(missing()) > 0; seed++ {
		require.Less(t, seed, uint64(2000), "%v never happened", missing())
		rng := rand.New(rand.NewPCG(seed, 0))
		c := randomConfig(rng)
		c.crowds, c.trouble, c.damage, c.every = true, true, seed%2 == 0, 100
		o := runConfig(seed, c, rng, &n, time.Now().Add(time.Hour), replay{})
		require.NoError(t, o.err, "seed %d: %v\n%v", seed, o.config, o.trace)
	}
	t.Logf("%d cuts, %v", n.cuts.Load(), n.seen())
}
