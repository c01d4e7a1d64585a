package pebblefs

import (
	"encoding/binary"
	"hash/maphash"
	"sync"
	"sync/atomic"
)

// DefaultCache is how many bytes of opened pages an FS keeps.
const DefaultCache = 32 << 20

// A cache keeps opened pages of appended files, which never change: a page is known by its file's identity and
// its index. It is set-associative, so that looking costs one lock that hardly anybody else wants.
type cache struct {
	seed maphash.Seed
	sets []cacheSet
}

const cacheWays = 8

type cacheSet struct {
	mu   sync.Mutex // guards everything below
	hand int        // of the clock: the way that is next looked at for room
	ways [cacheWays]cacheWay
}

type cacheWay struct {
	file  [16]byte
	index int64
	in    inner
	used  bool // since the hand passed
	data  *[pageData]byte
}

// newCache returns a cache of so many bytes, nil for less than one set.
func newCache(bytes int64) *cache {
	sets := bytes / (cacheWays * pageSize)
	if sets < 1 {
		return nil
	}
	return &cache{seed: maphash.MakeSeed(), sets: make([]cacheSet, sets)}
}

func (c *cache) set(file *[16]byte, index int64) *cacheSet {
	var key [24]byte
	copy(key[:], file[:])
	binary.LittleEndian.PutUint64(key[16:], uint64(index))
	return &c.sets[maphash.Bytes(c.seed, key[:])%uint64(len(c.sets))]
}

// read copies content from off on out of a page into p and returns how much, and false where the page is not
// there or does not hold off. once: the page will not be wanted again.
func (c *cache) read(p []byte, file *[16]byte, index, off int64, once bool) (n int, ok bool) {
	s := c.set(file, index)
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.ways {
		w := &s.ways[i]
		if w.data == nil || w.index != index || w.file != *file {
			continue
		}
		w.used = !once
		if off < w.in.offset || off >= w.in.end() {
			return 0, false
		}
		return copy(p, w.data[off-w.in.offset:w.in.length]), true
	}
	return 0, false
}

// put keeps an opened page.
func (c *cache) put(file *[16]byte, index int64, in inner, data []byte) {
	s := c.set(file, index)
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.ways {
		if w := &s.ways[i]; w.data != nil && w.index == index && w.file == *file {
			return
		}
	}
	for s.ways[s.hand].used {
		s.ways[s.hand].used = false
		s.hand = (s.hand + 1) % cacheWays
	}
	w := &s.ways[s.hand]
	s.hand = (s.hand + 1) % cacheWays
	if w.data == nil {
		w.data = new([pageData]byte)
	}
	w.file, w.index, w.in = *file, index, in
	copy(w.data[:], data)
}

// clear forgets everything.
func (c *cache) clear() {
	if c == nil {
		return
	}
	for i := range c.sets {
		s := &c.sets[i]
		s.mu.Lock()
		for j := range s.ways {
			if s.ways[j].data != nil {
				clear(s.ways[j].data[:])
			}
			s.ways[j] = cacheWay{}
		}
		s.mu.Unlock()
	}
}

// ahead notices reads that go on where one ended: a few at a time, since several scans may go through one file.
type ahead struct {
	next  atomic.Uint32
	scans [4]struct{ end, reads atomic.Int64 }
}

// pages returns how many pages at least are worth reading for a read of n bytes at off: none beyond those it needs, unless it goes on
// where another ended, and then as many as went before, from 4 to a batch.
func (a *ahead) pages(off int64, n int) int {
	for i := range a.scans {
		s := &a.scans[i]
		if off > 0 && s.end.CompareAndSwap(off, off+int64(n)) {
			return int(min(batch, max(4, s.reads.Add(1))))
		}
	}
	s := &a.scans[a.next.Add(1)%uint32(len(a.scans))]
	s.reads.Store(0)
	s.end.Store(off + int64(n))
	return 0
}
