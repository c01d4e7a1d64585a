package fsx

import (
	"bytes"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// contentModel is an independent, slow account of one file: what is seen, and
// for each sector everything that a crash may leave there.
type contentModel struct {
	seen      []byte
	disk      []byte // longer than diskSize where a sector went there whole
	diskSize  int
	sizes     map[int]bool            // that a crash may find
	sectors   map[int]map[string]bool // contents a crash may find, of sectors in doubt
	written   map[int]bool            // in doubt by a write: garbage is possible
	dirty     map[int]bool            // the next sync settles it
	sizeDirty bool
	dirtyEnd  int
}

const modelSize = 40 * sectorSize

func newContentModel(data []byte) *contentModel {
	c := &contentModel{seen: data}
	c.settleAll()
	return c
}

func (c *contentModel) settleAll() {
	c.disk, c.diskSize = bytes.Clone(c.seen), len(c.seen)
	c.sizes = map[int]bool{len(c.disk): true}
	c.sectors, c.written, c.dirty = map[int]map[string]bool{}, map[int]bool{}, map[int]bool{}
	c.sizeDirty, c.dirtyEnd = false, 0
}

func sector(p []byte, i int) string {
	s := make([]byte, sectorSize)
	if i*sectorSize < len(p) {
		copy(s, p[i*sectorSize:])
	}
	return string(s)
}

// touch notes that sectors from first up to end are now as seen, in doubt.
func (c *contentModel) touch(first, end int, written bool) {
	for i := first; i < end; i++ {
		if c.sectors[i] == nil {
			c.sectors[i] = map[string]bool{sector(c.disk, i): true}
		}
		c.sectors[i][sector(c.seen, i)] = true
		c.dirty[i] = true
		c.written[i] = c.written[i] || written
	}
}

func (c *contentModel) write(off int, p []byte) {
	if end := off + len(p); end > len(c.seen) {
		c.seen = append(c.seen, make([]byte, end-len(c.seen))...)
		c.sizes[end], c.sizeDirty = true, true
	}
	copy(c.seen[off:], p)
	c.dirtyEnd = max(c.dirtyEnd, off+len(p))
	c.touch(off/sectorSize, (off+len(p)+sectorSize-1)/sectorSize, true)
}

func (c *contentModel) truncate(size int) {
	old := len(c.seen)
	c.seen = append(bytes.Clone(c.seen[:min(size, old)]), make([]byte, max(0, size-old))...)
	c.sizes[size], c.sizeDirty = true, true
	if size < old {
		c.touch(size/sectorSize, (old+sectorSize-1)/sectorSize, false)
	}
	for i := range c.sectors { // an earlier cut that was synced in vain is done again
		if i >= min(size, old)/sectorSize {
			c.touch(i, i+1, false)
		}
	}
}

func (c *contentModel) sync() {
	size := max(c.diskSize, c.dirtyEnd)
	if c.sizeDirty {
		size = len(c.seen)
	}
	disk := make([]byte, modelSize)
	copy(disk, c.disk)
	for i := range c.dirty {
		copy(disk[i*sectorSize:], sector(c.seen, i))
		delete(c.sectors, i)
		delete(c.written, i)
	}
	c.disk, c.diskSize, c.dirty = disk, size, map[int]bool{}
	if size == len(c.seen) {
		c.sizes = map[int]bool{}
	}
	for s := range c.sizes { // what was just synced cannot be cut off
		if s < c.dirtyEnd && !c.sizeDirty {
			delete(c.sizes, s)
		}
	}
	c.sizes[size], c.sizeDirty, c.dirtyEnd = true, false, 0
}

func (c *contentModel) failSync() { c.dirty, c.sizeDirty, c.dirtyEnd = map[int]bool{}, false, 0 }

// check compares what a crash left with what it may leave.
func (c *contentModel) check(t *testing.T, got []byte) {
	t.Helper()
	require.True(t, c.sizes[len(got)], "size %d is none of %v", len(got), c.sizes)
	for i := 0; i*sectorSize < len(got); i++ {
		n := min(sectorSize, len(got)-i*sectorSize)
		is := string(got[i*sectorSize : i*sectorSize+n])
		switch {
		case c.sectors[i] == nil:
			require.True(t, sector(c.disk, i)[:n] == is, "sector %d was settled", i)
		case !c.written[i]:
			possible := false
			for s := range c.sectors[i] {
				possible = possible || s[:n] == is
			}
			require.True(t, possible, "sector %d is garbage though nothing wrote it", i)
		}
	}
}

// Random operations on one file, with failed syncs, kills, lost caches and
// crashes, against the account.
func TestContentAgainstAModel(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 3))
		data := make([]byte, rng.IntN(modelSize))
		m, f := durable(t, data)
		c := newContentModel(bytes.Clone(data))
		for step := range 60 {
			off := rng.IntN(modelSize - 1)
			switch rng.IntN(12) {
			case 0:
				require.NoError(t, f.Truncate(int64(off)))
				c.truncate(off)
			case 1:
				require.NoError(t, f.Sync())
				c.sync()
			case 2:
				m.Inject(Fault{Kind: OpSync, Once: true})
				require.Error(t, f.SyncData())
				m.ClearFaults()
				c.failSync()
			case 3:
				m = m.Kill()
				f = open(t, m, "/a", os.O_RDWR)
			case 4:
				if rng.IntN(4) == 0 {
					m = m.Crash(rng)
					f = open(t, m, "/a", os.O_RDWR)
					c.seen = content(t, f)
					c.settleAll()
				}
			default:
				p := bytesOf(byte(1+rng.IntN(250)), 1+rng.IntN(min(modelSize-off, 6000)))
				if rng.IntN(2) == 0 { // whole sectors
					off = off / sectorSize * sectorSize
				}
				write(t, f, int64(off), p)
				c.write(off, p)
			}
			require.True(t, bytes.Equal(c.seen, content(t, f)), "seed %d step %d", seed, step)
			for range 2 {
				got, err := m.Crash(rng).ReadFile("/a")
				require.NoError(t, err)
				c.check(t, got)
			}
			if t.Failed() {
				t.Fatalf("seed %d step %d", seed, step)
			}
		}
		write(t, f, 0, bytesOf(1, modelSize))
		require.NoError(t, f.Truncate(modelSize-7))
		require.NoError(t, f.Sync())
		got, err := m.Crash(rng).ReadFile("/a")
		require.NoError(t, err)
		require.True(t, bytes.Equal(bytesOf(1, modelSize-7), got), "written again, all of it is durable")
	}
}

// An image of ten files and 1 MiB, an eighth of it unsynced, as the crash
// campaign takes it; beside it the same copied byte by byte.
func BenchmarkCrash(b *testing.B) {
	m := NewMem(1)
	rng := rand.New(rand.NewPCG(1, 1))
	const fileSize = 1 << 20 / 10
	var total int
	for i := range 10 {
		name := string(rune('a' + i))
		if err := m.WriteFile(name, bytesOf(1, fileSize)); err != nil {
			b.Fatal(err)
		}
		f, err := m.Open(name, os.O_RDWR, 0)
		if err != nil {
			b.Fatal(err)
		}
		for range 3 {
			if _, err := f.WriteAt(bytesOf(2, pageSize), rng.Int64N(fileSize/pageSize)*pageSize); err != nil {
				b.Fatal(err)
			}
		}
		total += fileSize
	}
	b.Run("Crash", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(total))
		for b.Loop() {
			m.Crash(rng)
		}
	})
	b.Run("copying", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(total))
		for b.Loop() {
			for _, name := range m.Files() {
				if _, err := m.ReadFile(name); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
}
