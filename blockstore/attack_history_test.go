package blockstore

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fsx"
)

func openWith(fs *fsx.Mem, keys *dek.Keyring, change func(o *Options)) (*Store, error) {
	o := attackOptions(fs)
	if change != nil {
		change(&o)
	}
	return Open("v", keys, &o)
}

// requireRefused opens in both ways: each is refused with err and leaves every file as it was.
func requireRefused(t *testing.T, fs *fsx.Mem, keys *dek.Keyring, change func(o *Options), err error) {
	t.Helper()
	before := filesOf(t, fs)
	for _, readOnly := range []bool{true, false} {
		_, got := openWith(fs, keys, func(o *Options) {
			o.ReadOnly = readOnly
			if change != nil {
				change(o)
			}
		})
		require.ErrorIs(t, got, err, "readOnly=%v", readOnly)
		requireSameFiles(t, before, fs)
	}
}

func requireOpens(t *testing.T, fs *fsx.Mem, keys *dek.Keyring, change func(o *Options), want contents) {
	t.Helper()
	s, err := openWith(fs, keys, change)
	require.NoError(t, err)
	requireHolds(t, s, want, nil)
	require.NoError(t, s.Close())
}

// TestAttackRollbackOfEverything: without an anchor an older copy of the whole
// opens as what it is; with one it is refused.
func TestAttackRollbackOfEverything(t *testing.T) {
	for _, suite := range []Suite{AESGCM, None} {
		for name, sc := range map[string]*scene{"clean": cleanScene(t, suite), "crashed": crashedScene(t, suite)} {
			t.Run(suite.String()+"/"+name, func(t *testing.T) {
				expect := func(o *Options) { o.ExpectAnchor = &sc.anchor }
				requireRefused(t, sc.past.Clone(), sc.keys, expect, ErrTampered)
				requireOpens(t, sc.past.Clone(), sc.keys, nil, sc.old)
				disk := sc.now.Clone()
				requireOpens(t, disk, sc.keys, expect, sc.last())
				requireOpens(t, disk, sc.keys, expect, sc.last()) // as of the session that recovered
				other := sc.anchor
				other.Chain[0] ^= 1
				requireRefused(t, sc.now.Clone(), sc.keys, func(o *Options) { o.ExpectAnchor = &other }, ErrTampered)
				other = sc.anchor
				other.Volume[0] ^= 1
				requireRefused(t, sc.now.Clone(), sc.keys, func(o *Options) { o.ExpectAnchor = &other }, ErrTampered)
			})
		}
	}
}

// TestAttackFork: two lives of one volume from one state on. An anchor of
// one, from behind the fork, refuses the other, however far that has gone on.
func TestAttackFork(t *testing.T) {
	sc := crashedScene(t, AESGCM)
	expect := func(o *Options) { o.ExpectAnchor = &sc.anchor }
	requireRefused(t, sc.fork.Clone(), sc.keys, expect, ErrTampered)
	for range 3 {
		s, err := openWith(sc.fork, sc.keys, nil)
		require.NoError(t, err)
		for i := range uint64(40) {
			write1(t, s, i, pageOf(800+i))
		}
		require.NoError(t, s.Close())
		requireRefused(t, sc.fork.Clone(), sc.keys, expect, ErrTampered)
	}
	// From before the fork it holds for both.
	disk := sc.past.Clone()
	s, err := openWith(disk, sc.keys, nil)
	require.NoError(t, err)
	early := s.Anchor()
	require.NoError(t, s.Close())
	left, right := disk.Clone(), disk.Clone()
	for i, fs := range []*fsx.Mem{left, right} {
		s, err := openWith(fs, sc.keys, func(o *Options) { o.ExpectAnchor = &early })
		require.NoError(t, err)
		write1(t, s, 1, pageOf(uint64(900+i)))
		late := s.Anchor()
		require.NoError(t, s.Close())
		other := []*fsx.Mem{right, left}[i]
		requireRefused(t, other.Clone(), sc.keys, func(o *Options) { o.ExpectAnchor = &late }, ErrTampered)
	}
}

// TestAttackAnchorTooOld: the lineage forgets after 64 sessions, and says so.
func TestAttackAnchorTooOld(t *testing.T) {
	fs := fsx.NewMem(1)
	keys, _ := ring(t, 1)
	s := create(t, fs, keys, AESGCM, 4096)
	a := s.Anchor()
	require.NoError(t, s.Close())
	for i := range maxLineage {
		if i == maxLineage-1 {
			_, err := openWith(fs.Clone(), keys, func(o *Options) { o.ReadOnly, o.ExpectAnchor = true, &a })
			require.NoError(t, err)
		}
		s = reopen(t, fs, keys)
		require.NoError(t, s.Close())
	}
	requireRefused(t, fs, keys, func(o *Options) { o.ExpectAnchor = &a }, ErrTooOld)
}

// TestAttackCutShort cuts the volume file at many lengths. What is missing is
// never read as something else.
func TestAttackCutShort(t *testing.T) {
	for _, suite := range []Suite{AESGCM, None} {
		sc := cleanScene(t, suite)
		whole, err := sc.now.ReadFile("v")
		require.NoError(t, err)
		lengths := []int{0, 1, 7, 8, 100, 4096, 8191, 8192, 8193, labelTwo, labelTwo + 1, labelTwo + 8191, labelTwo + 8192, dataStart - 1, dataStart, len(whole) - 1}
		for n := dataStart + 1000; n < len(whole); n += 61_000 {
			lengths = append(lengths, n)
		}
		for _, n := range lengths {
			disk := sc.now.Clone()
			require.NoError(t, disk.WriteFile("v", whole[:n]))
			before := filesOf(t, disk)
			checkCut(t, sc, disk, n)
			requireSameFiles(t, before, disk)
			_, err := openWith(disk, sc.keys, nil)
			if n < dataStart {
				require.Error(t, err, "%d bytes", n)
				requireSameFiles(t, before, disk)
			}
		}
	}
}

func checkCut(t *testing.T, sc *scene, disk *fsx.Mem, n int) {
	s, err := openWith(disk, sc.keys, func(o *Options) { o.ReadOnly = true })
	if n < 8 {
		require.ErrorIs(t, err, ErrNotVolume, "%d bytes", n)
		return
	}
	if n < labelSize {
		require.ErrorIs(t, err, ErrDamaged, "%d bytes", n)
		return
	}
	require.NoError(t, err, "%d bytes", n)
	failed := 0
	for b := range uint64(attackBlocks) {
		got, err := readBlock(s, b)
		if err != nil {
			require.ErrorIs(t, err, ErrTampered)
			require.ErrorIs(t, err, ErrDamaged)
			failed++
			continue
		}
		require.Equal(t, pageOf(sc.last()[b]), got, "%d bytes, block %d", n, b)
	}
	require.Positive(t, failed, "%d bytes", n)
	r, err := s.Verify(context.Background(), VerifyOptions{})
	require.NoError(t, err)
	require.ErrorIs(t, r.Err(), ErrDamaged, "%d bytes", n)
	require.NoError(t, s.Close())
}
