package blockstore

import "sync/atomic"

// Stats are counts since the store was opened, and sizes now.
type Stats struct {
	Commits       uint64 `json:"commits"`     // appended
	CacheHits     uint64 `json:"cache_hits"`  // blocks
	BlocksRead    uint64 `json:"blocks_read"` // opened from their place
	BlocksSealed  uint64 `json:"blocks_sealed"`
	Checkpoints   uint64 `json:"checkpoints"`
	LabelWrites   uint64 `json:"label_writes"`
	CachedBlocks  int    `json:"cached_blocks"`
	DirtyBlocks   int    `json:"dirty_blocks"` // committed since the last checkpoint
	DirtyBytes    int64  `json:"dirty_bytes"`  // of their images, in memory
	RedoBytes     int64  `json:"redo_bytes"`   // since the last checkpoint
	OpenSnapshots int    `json:"open_snapshots"`
}

type counters struct {
	commits, hits, misses, sealed, checkpoints, labels atomic.Uint64
}

// Stats returns the store's counts.
func (s *Store) Stats() Stats {
	c := &s.stats
	st := Stats{Commits: c.commits.Load(), CacheHits: c.hits.Load(), BlocksRead: c.misses.Load(), BlocksSealed: c.sealed.Load(),
		Checkpoints: c.checkpoints.Load(), LabelWrites: c.labels.Load(), CachedBlocks: s.cache.len()}
	s.mu.RLock()
	defer s.mu.RUnlock()
	st.DirtyBlocks, st.DirtyBytes, st.OpenSnapshots = len(s.over.chains), s.over.memory, len(s.snaps)
	st.RedoBytes = s.redoLocked()
	return st
}

// redoLocked returns the redo since the last checkpoint; mu is held.
func (s *Store) redoLocked() int64 {
	return s.over.bytes - s.over.settled
}
