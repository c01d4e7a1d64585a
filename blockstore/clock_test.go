package blockstore

import (
	"context"
	"encoding/json"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/internal/fsx"
	"github.com/cofferdb/coffer/journal"
)

// clocks are what a machine's clock may say from one moment to the next.
var clocks = map[string]func() func() time.Time{
	"before 1970": func() func() time.Time { return func() time.Time { return time.Unix(-1<<40, 0) } },
	"the far future": func() func() time.Time {
		return func() time.Time { return time.Unix(math.MaxInt64-62135596800, 999999999) }
	},
	"stands still": func() func() time.Time { return func() time.Time { return time.Unix(1e9, 0) } },
	"runs backwards": func() func() time.Time {
		now := time.Unix(2e9, 0)
		return func() time.Time { now = now.Add(-time.Hour); return now }
	},
	"jumps": func() func() time.Time {
		rng := rand.New(rand.NewPCG(1, 1))
		return func() time.Time { return time.Unix(rng.Int64()-rng.Int64(), rng.Int64N(1e9)) }
	},
	"the zero time": func() func() time.Time { return func() time.Time { return time.Time{} } },
}

// TestClock: whatever the clock says, and however it jumps between two commits,
// segments, sessions or labels, nothing is lost, refused or out of order, and
// what is printed can be printed.
func TestClock(t *testing.T) {
	for name, clock := range clocks {
		t.Run(name, func(t *testing.T) {
			now := clock()
			for _, suite := range []Suite{AESGCM, None} {
				f := faultStartUnder(t, suite)
				calls := 0
				f.now = func() time.Time { calls++; return now() }
				require.Empty(t, f.script())
				require.Greater(t, calls, 10, "the clock is asked through the seam")
				f.recovers()
			}
			fs := fsx.NewMem(1)
			keys, _ := ring(t, 1)
			o := testOptions(fs)
			o.Tune.Now = now
			s, err := Create("v", keys, CreateOptions{Options: o, Size: 40000, BlockSize: 4096})
			require.NoError(t, err)
			a := s.Anchor()
			for range 3 {
				write1(t, s, 1, page(1))
				require.NoError(t, s.SwitchJournal(context.Background()))
			}
			info, err := s.Info()
			require.NoError(t, err)
			_, err = json.Marshal(info)
			require.NoError(t, err)
			require.False(t, info.Created.Before(time.Unix(0, 0)))
			for _, g := range info.Segments {
				require.False(t, g.Created.Before(time.Unix(0, 0)))
			}
			fs = fs.Kill()
			_ = s.Close()
			o = testOptions(fs)
			o.ExpectAnchor = &a
			s, err = Open("v", keys, &o)
			require.NoError(t, err, "with another clock")
			require.Equal(t, page(1), read1(t, s, 1))
			verified(t, s)
		})
	}
}

// TestClockOfBackups: the same for the records of backups.
func TestClockOfBackups(t *testing.T) {
	for name, clock := range clocks {
		r := BackupRecord{ID: NewUUID(), Time: clock()()}
		raw := encodeRegistry([]BackupRecord{r})
		list, err := decodeRegistry(raw)
		require.NoError(t, err, name)
		_, err = json.Marshal(list)
		require.NoError(t, err, name)
		raw[registryHeader+39] = 0x40 // what nobody writes
		_, err = decodeRegistry(raw)
		require.ErrorIs(t, err, ErrDamaged, name)
	}
}

// TestStoredTimesPrint: a time that nobody writes, in a label or segment header
// that an attacker altered, can be printed.
func TestStoredTimesPrint(t *testing.T) {
	disk := fsx.NewMem(1)
	keys, _ := ring(t, 1)
	s := create(t, disk, keys, AESGCM, 40000)
	write1(t, s, 1, page(1))
	disk = disk.Kill().Clone()
	_ = s.Close()
	a := &arena{scene: &scene{keys: keys}, t: t, disk: disk}
	for _, stored := range []byte{0x7f, 0x80, 0xff} {
		a.relabel([]int{0, 1}, func(raw []byte) { raw[184+7] = stored })
		for _, g := range a.live() {
			a.edit(g.path, func(b []byte) { b[200+7] = stored; mendHeader(b) })
		}
		info, err := Inspect("v", &Options{FS: disk})
		require.NoError(t, err)
		require.NotEmpty(t, info.Segments)
		_, err = json.Marshal(info)
		require.NoError(t, err)
		list, err := journal.List(disk, "v.journal")
		require.NoError(t, err)
		_, err = json.Marshal(list)
		require.NoError(t, err)
	}
}
