package secmem

import (
	"math/bits"
	"sync"
)

const (
	unit       = 64        // bytes; a cache line, and the alignment of every buffer
	chunkBytes = 32 * 1024 // half of the smallest limit on locked memory in use
)

// region is the place of one buffer: whole units of one chunk.
type region struct {
	chunk       *chunk
	first, size int // in units
	mem         []byte
}

// chunk is one mapping, cut into units. A set bit in used is a unit in use.
type chunk struct {
	mem   []byte
	used  []uint64
	free  int // units
	state Status
}

// arena hands out regions, first fit. Chunks are kept once they are mapped.
type arena struct {
	mu     sync.Mutex // guards everything below and all chunks
	chunks []*chunk
	mapper func(n int) ([]byte, Status)
}

var defaultArena = &arena{mapper: mapLocked}

// alloc returns zeroed memory for n bytes; its mem is at least n long.
func (a *arena) alloc(n int) *region {
	size := max(1, (n+unit-1)/unit)
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, c := range a.chunks {
		if first, ok := c.find(size); ok {
			return c.take(first, size)
		}
	}
	return a.grow(size).take(0, size)
}

// grow adds a chunk with room for size units. The caller holds mu.
func (a *arena) grow(size int) *chunk {
	n := max(chunkBytes, (size*unit+chunkBytes-1)/chunkBytes*chunkBytes)
	mem, state := a.mapper(n)
	units := n / unit
	c := &chunk{mem: mem, used: make([]uint64, (units+63)/64), free: units, state: state}
	a.chunks = append(a.chunks, c)
	return c
}

// free wipes a region before anybody else can get it.
func (a *arena) free(r *region) {
	a.mu.Lock()
	defer a.mu.Unlock()
	Wipe(r.mem)
	for i := r.first; i < r.first+r.size; i++ {
		r.chunk.used[i/64] &^= 1 << (i % 64)
	}
	r.chunk.free += r.size
}

// find looks for size free units in a row.
func (c *chunk) find(size int) (first int, ok bool) {
	if c.free < size {
		return 0, false
	}
	run := 0
	for i := 0; i < len(c.mem)/unit; i++ {
		word := c.used[i/64]
		if i%64 == 0 && bits.OnesCount64(word) == 64 {
			run, i = 0, i+63
			continue
		}
		if word&(1<<(i%64)) != 0 {
			run = 0
			continue
		}
		if run++; run == size {
			return i - size + 1, true
		}
	}
	return 0, false
}

func (c *chunk) take(first, size int) *region {
	for i := first; i < first+size; i++ {
		c.used[i/64] |= 1 << (i % 64)
	}
	c.free -= size
	return &region{chunk: c, first: first, size: size,
		mem: c.mem[first*unit : (first+size)*unit : (first+size)*unit]}
}
