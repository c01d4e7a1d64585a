package fsx

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

const seeds = 400

// tally crashes m with many seeds and counts what see makes of the images.
func tally(m *Mem, see func(img *Mem) string) map[string]int {
	seen := map[string]int{}
	for seed := range uint64(seeds) {
		seen[see(m.Crash(rand.New(rand.NewPCG(seed, 1))))]++
	}
	return seen
}

// requireExactly wants each outcome at least once, and no other.
func requireExactly(t *testing.T, seen map[string]int, outcomes ...string) {
	t.Helper()
	for _, o := range outcomes {
		require.NotZero(t, seen[o], "%q was never seen: %v", o, seen)
	}
	require.Len(t, seen, len(outcomes), "%v", seen)
}

func bytesOf(b byte, n int) []byte { return bytes.Repeat([]byte{b}, n) }

func write(t *testing.T, f File, off int64, p []byte) {
	t.Helper()
	_, err := f.WriteAt(p, off)
	require.NoError(t, err)
}

// durable makes a file system with a file /a that is durable.
func durable(t *testing.T, data []byte) (*Mem, File) {
	t.Helper()
	m := NewMem(3)
	require.NoError(t, m.WriteFile("/a", data))
	return m, open(t, m, "/a", os.O_RDWR)
}

// letters names the content of each sector: its byte, 'x' for anything else, '0' for zeros.
func letters(t *testing.T, m *Mem, name string) string {
	data, err := m.ReadFile(name)
	if err != nil {
		return "gone"
	}
	var s []byte
	for ; len(data) > 0; data = data[min(sectorSize, len(data)):] {
		sector := data[:min(sectorSize, len(data))]
		switch {
		case !bytes.Equal(sector, bytesOf(sector[0], len(sector))):
			s = append(s, 'x')
		case sector[0] == 0:
			s = append(s, '0')
		case sector[0] == 0xff:
			s = append(s, 'x')
		default:
			s = append(s, sector[0])
		}
	}
	return string(s)
}

func TestCrashKeepsWhatWasSynced(t *testing.T) {
	for _, sync := range []func(File) error{File.Sync, File.SyncData} {
		m, f := durable(t, bytesOf('o', 100_000))
		write(t, f, 50_000, bytesOf('n', 100_000))
		require.NoError(t, sync(f))
		want, err := m.ReadFile("/a")
		require.NoError(t, err)
		requireExactly(t, tally(m, func(img *Mem) string {
			got, err := img.ReadFile("/a")
			return fmt.Sprint(err == nil && bytes.Equal(got, want))
		}), "true")
	}
}

// Eight sectors are durable; of the middle four the second pair is written twice.
func TestCrashDecidesBySector(t *testing.T) {
	m, f := durable(t, bytesOf('o', 8*sectorSize))
	write(t, f, 2*sectorSize, bytesOf('a', 4*sectorSize))
	write(t, f, 4*sectorSize, bytesOf('b', 2*sectorSize))
	seen := tally(m, func(img *Mem) string { return letters(t, img, "/a") })
	each := map[string]int{}
	for s, n := range seen {
		require.Len(t, s, 8)
		require.Equal(t, "oooo", s[:2]+s[6:], "sectors that were not written")
		for i := range 4 {
			each[fmt.Sprint(i/2)+s[2+i:3+i]] += n
		}
	}
	for _, want := range []string{"0o", "0a", "0x", "1o", "1a", "1b", "1x"} {
		require.NotZero(t, each[want], "%s: %v", want, each)
	}
	require.Zero(t, each["0b"])
	for _, want := range []string{"oooooooo", "ooaabboo"} {
		require.NotZero(t, seen[want], "%s", want)
	}
	require.Greater(t, len(seen), 40, "mixtures")
	require.Equal(t, "ooaabboo", letters(t, m, "/a"), "the crashed one is as it was")
}

// A write of three units: one is torn and its neighbours garbage, all inside
// what was being written.
func TestCrashTearsAUnitAndItsNeighbours(t *testing.T) {
	m, f := durable(t, bytesOf('o', 5*pageSize))
	write(t, f, pageSize+sectorSize, bytesOf('n', 3*pageSize-2*sectorSize))
	kinds := map[string]int{}
	for s := range tally(m, func(img *Mem) string { return letters(t, img, "/a") }) {
		require.Len(t, s, 40)
		require.Equal(t, "ooooooooo"+"ooooooooo", s[:9]+s[31:])
		first, second, third := s[9:16], s[16:24], s[24:31]
		if count(first, 'x') >= 5 && count(third, 'x') >= 5 && count(second, 'x') <= 4 {
			kinds["neighbours"]++
		}
		for _, whole := range []string{"oooooooo", "nnnnnnnn"} {
			if second == whole && first != third && count(first+third, 'x') == 0 {
				kinds["units"]++
			}
		}
	}
	require.NotZero(t, kinds["neighbours"], "%v", kinds)
	require.NotZero(t, kinds["units"], "%v", kinds)
}

func count(s string, c byte) int { return bytes.Count([]byte(s), []byte{c}) }

func TestCrashOfAGrowingFile(t *testing.T) {
	m, f := durable(t, bytesOf('o', 2*sectorSize))
	write(t, f, 2*sectorSize, bytesOf('n', sectorSize))
	write(t, f, 3*sectorSize, bytesOf('n', sectorSize))
	seen := tally(m, func(img *Mem) string { return letters(t, img, "/a") })
	for _, want := range []string{"oo", "oon", "oonn", "oo0", "oo00", "oon0", "oo0n", "oox", "ooxx"} {
		require.NotZero(t, seen[want], "%s: %v", want, seen)
	}
	for s := range seen {
		require.Equal(t, "oo", s[:2])
	}

	// Some machines show what the disk held before where new data are lost.
	m, f = durable(t, nil)
	write(t, f, 0, bytesOf('n', 64*sectorSize))
	stale := 0
	for s, times := range tally(m, func(img *Mem) string { return letters(t, img, "/a") }) {
		if len(s) == 64 && count(s, 'n') == 0 && count(s, 'x') >= 48 {
			stale += times
		}
	}
	require.NotZero(t, stale)

	// What was added by a truncation or a reservation, and not written, is zeros.
	for _, grow := range []func(File) error{
		func(f File) error { return f.Truncate(4 * sectorSize) },
		func(f File) error { return f.Allocate(0, 4*sectorSize) },
	} {
		m, f = durable(t, bytesOf('o', 2*sectorSize))
		require.NoError(t, grow(f))
		requireExactly(t, tally(m, func(img *Mem) string { return letters(t, img, "/a") }), "oo", "oo00")
		require.NoError(t, f.SyncData())
		requireExactly(t, tally(m, func(img *Mem) string { return letters(t, img, "/a") }), "oo00")
	}
}

func TestCrashOfAFileCutShort(t *testing.T) {
	m, f := durable(t, bytesOf('o', 4*sectorSize))
	require.NoError(t, f.Truncate(sectorSize+100))
	require.NoError(t, f.Truncate(4*sectorSize))
	seen := tally(m, func(img *Mem) string { return letters(t, img, "/a") })
	for s := range seen {
		require.Equal(t, byte('o'), s[0])
		data := []byte(s)
		require.Subset(t, []byte("ox0"), data, "%s", s)
	}
	for _, want := range []string{"oooo", "ox00", "oo", "ox0o"} {
		require.NotZero(t, seen[want], "%s: %v", want, seen)
	}
	for seed := range uint64(seeds) { // what lies before the cut is never touched
		got, err := m.Crash(rand.New(rand.NewPCG(seed, 1))).ReadFile("/a")
		require.NoError(t, err)
		require.Equal(t, bytesOf('o', sectorSize+100), got[:sectorSize+100])
		for _, b := range got {
			require.Contains(t, []byte{'o', 0}, b, "a truncation makes no garbage")
		}
	}
}

func TestCrashTwiceIsOneCrash(t *testing.T) {
	m, f := durable(t, bytesOf('o', 64*sectorSize))
	write(t, f, 0, bytesOf('n', 80*sectorSize))
	img := m.Crash(nil)
	want := letters(t, img, "/a")
	requireExactly(t, tally(img, func(again *Mem) string { return letters(t, again, "/a") }), want)
	seed := func() *rand.Rand { return rand.New(rand.NewPCG(9, 9)) }
	require.Equal(t, letters(t, m.Crash(seed()), "/a"), letters(t, m.Crash(seed()), "/a"), "seeds replay")
}

// After a failed sync the cache is new and the disk old, or not; a later sync
// that succeeds changes nothing about it, writing again does.
func TestFailedSync(t *testing.T) {
	m, f := durable(t, bytesOf('o', 4*sectorSize))
	write(t, f, 0, bytesOf('n', 2*sectorSize))
	write(t, f, 4*sectorSize, bytesOf('n', sectorSize)) // grows
	m.Inject(Fault{Kind: OpSync, Once: true})
	require.Error(t, f.SyncData())
	require.NoError(t, f.SyncData())
	require.NoError(t, f.Sync())
	require.Equal(t, "nnoon", letters(t, m, "/a"), "the cache is new")
	see := func(img *Mem) string { return letters(t, img, "/a") }
	seen := tally(m, see)
	for _, want := range []string{"oooo", "nnoon", "nooo"} {
		require.NotZero(t, seen[want], "%s: %v", want, seen)
	}
	killed := tally(m.Clone(), see)
	requireExactly(t, killed, "nnoon")

	write(t, f, 0, bytesOf('m', sectorSize))
	require.NoError(t, f.SyncData())
	seen = tally(m, see)
	require.NotZero(t, seen["mooo"], "%v", seen)
	require.NotZero(t, seen["mnoon"], "%v", seen)
	for s := range seen {
		require.Equal(t, "m", s[:1], "written again")
	}
	write(t, f, sectorSize, bytesOf('m', sectorSize))
	write(t, f, 4*sectorSize, bytesOf('m', sectorSize))
	require.NoError(t, f.Sync())
	requireExactly(t, tally(m, see), "mmoom")
}

func TestDropCachesAfterAFailedSync(t *testing.T) {
	m, f := durable(t, bytesOf('o', 4*sectorSize))
	write(t, f, 0, bytesOf('n', 2*sectorSize))
	write(t, f, 4*sectorSize, bytesOf('n', sectorSize))
	m.Inject(Fault{Kind: OpSync, Once: true})
	require.Error(t, f.Sync())
	write(t, f, sectorSize, bytesOf('m', sectorSize))
	m.DropCaches()
	require.Equal(t, "omoo", letters(t, m, "/a"))
	require.NoError(t, f.Sync())
	requireExactly(t, tally(m, func(img *Mem) string { return letters(t, img, "/a") }), "omoo")

	m, f = durable(t, bytesOf('o', 4*pageSize))
	require.NoError(t, f.Truncate(0))
	m.Inject(Fault{Kind: OpSync, Once: true})
	require.Error(t, f.Sync())
	m.DropCaches()
	require.Len(t, letters(t, m, "/a"), 32)
	require.EqualValues(t, 4*pageSize, m.Used())
}

func TestKillThenPowerCut(t *testing.T) {
	m, f := durable(t, bytesOf('o', sectorSize))
	require.NoError(t, f.Lock(Exclusive))
	write(t, f, 0, bytesOf('n', sectorSize))
	put(t, m, "/b", "new")
	require.NoError(t, m.Rename("/b", "/c"))
	temp, err := m.TempFile("/")
	require.NoError(t, err)
	write(t, temp, 0, bytesOf('t', pageSize))

	k := m.Kill()
	for _, err := range []error{f.Sync(), f.Truncate(0), m.Remove("/a"), func() error { _, err := m.Stat("/a"); return err }()} {
		require.ErrorIs(t, err, ErrKilled)
	}
	require.NoError(t, f.Close())
	require.Equal(t, []string{"/a", "/c"}, k.Files())
	require.Equal(t, "n", letters(t, k, "/a"))
	require.EqualValues(t, 2*pageSize, k.Used(), "the anonymous file is gone")
	require.NoError(t, open(t, k, "/a", os.O_RDWR).Lock(Exclusive))
	seen := tally(k, func(img *Mem) string {
		return letters(t, img, "/a") + " " + fmt.Sprint(img.Files())
	})
	for _, want := range []string{"o [/a]", "n [/a]", "n [/a /c]", "o [/a /c]", "n [/a /b]", "x [/a]"} {
		require.NotZero(t, seen[want], "%s: %v", want, seen)
	}
	g := open(t, k, "/a", os.O_RDWR)
	require.NoError(t, g.Sync())
	for s := range tally(k, func(img *Mem) string { return letters(t, img, "/a") }) {
		require.Equal(t, "n", s, "what the dead process wrote is synced by the next")
	}
}

func TestCrashForgetsReservationsThatWereNotSynced(t *testing.T) {
	m, f := durable(t, nil)
	require.NoError(t, f.Truncate(16*pageSize))
	require.NoError(t, f.Sync())
	require.NoError(t, f.Allocate(0, 16*pageSize))
	see := func(img *Mem) string { return fmt.Sprint(img.Used() / pageSize) }
	requireExactly(t, tally(m, see), "0", "16")
	require.NoError(t, f.SyncData())
	requireExactly(t, tally(m, see), "16")
}

func TestManyVersionsBetweenSyncs(t *testing.T) {
	m, f := durable(t, bytesOf('o', 2*sectorSize))
	for b := byte('a'); b < 'y'; b++ {
		write(t, f, 0, bytesOf(b, sectorSize))
		if b == 'a'+maxVersions/2-1 { // the one that will be forgotten
			write(t, f, sectorSize, bytesOf('z', sectorSize))
		}
	}
	first, second, apart := map[byte]bool{}, map[byte]bool{}, false
	for s := range tally(m, func(img *Mem) string { return letters(t, img, "/a") }) {
		first[s[0]], second[s[1]] = true, true
		apart = apart || s == "oz"
	}
	require.Greater(t, len(first), 8)
	require.True(t, first['o'] && first['x'] && second['o'] && second['z'] && apart,
		"forgetting versions loses no sector")
}
