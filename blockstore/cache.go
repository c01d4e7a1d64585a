package blockstore

import "sync"

const cacheShards = 16

// pageCache holds plaintext of blocks as they lie in place on disk, bounded in
// bytes. Pages in it are immutable.
type pageCache struct {
	shards [cacheShards]struct {
		mu    sync.Mutex // guards pages
		pages *lru[uint64, []byte]
	}
}

func newPageCache(bytes int64, blockSize int) *pageCache {
	c := new(pageCache)
	n := int(bytes / int64(blockSize) / cacheShards)
	for i := range c.shards {
		c.shards[i].pages = newLRU[uint64, []byte](max(n, 1))
	}
	return c
}

func (c *pageCache) get(block uint64) ([]byte, bool) {
	s := &c.shards[block%cacheShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pages.get(block)
}

func (c *pageCache) put(block uint64, page []byte) {
	s := &c.shards[block%cacheShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pages.put(block, page)
}

func (c *pageCache) drop(block uint64) {
	s := &c.shards[block%cacheShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pages.drop(block)
}

// dropRange forgets blocks from first on, n of them.
func (c *pageCache) dropRange(first, n uint64) {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		for b := range s.pages.items {
			if b >= first && b-first < n {
				s.pages.drop(b)
			}
		}
		s.mu.Unlock()
	}
}

func (c *pageCache) len() (n int) {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		n += s.pages.len()
		s.mu.Unlock()
	}
	return n
}
