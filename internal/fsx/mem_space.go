package fsx

import "syscall"

// space counts the pages that contents occupy, those reserved included.
type space struct {
	used     int64 // bytes
	capacity int64 // bytes; 0: no bound
	failOver bool  // a full disk refuses overwrites too
}

// SetCapacity makes the disk n bytes large; 0 takes the bound away. On a full
// disk writes to places that have no space yet, Allocate and growth fail with
// syscall.ENOSPC; a write may have happened in part. Overwrites succeed.
func (m *Mem) SetCapacity(n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.space.capacity = n
}

// SetFailOverwrite makes overwrites fail too while the disk is full, as on
// file systems that never overwrite in place.
func (m *Mem) SetFailOverwrite(on bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.space.failOver = on
}

// Used returns how many bytes contents and reservations occupy.
func (m *Mem) Used() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.space.used
}

func (s *space) free() int64 {
	if s.capacity == 0 {
		return 1 << 50
	}
	return max(0, s.capacity-s.used)
}

func (s *space) full() bool { return s.free() < pageSize }

// take gives page i of n its space, if it has none.
func (s *space) take(n *node, i int) error {
	if n.alloc.has(i) {
		if s.failOver && s.full() {
			return syscall.ENOSPC
		}
		return nil
	}
	if s.full() {
		return syscall.ENOSPC
	}
	n.alloc.add(i)
	s.used += pageSize
	return nil
}

// reserve takes the pages from first up to end, all or none.
func (s *space) reserve(n *node, first, end int) error {
	var need int64
	for i := first; i < end; i++ {
		if !n.alloc.has(i) {
			need += pageSize
		}
	}
	if need > s.free() {
		return syscall.ENOSPC
	}
	for i := first; i < end; i++ {
		n.alloc.add(i)
	}
	s.used += need
	return nil
}

// give returns the pages of n from first on.
func (s *space) give(n *node, first int) {
	before := n.alloc.count()
	n.alloc.dropFrom(first)
	s.used -= (before - n.alloc.count()) * pageSize
}

// reclaim returns the space of a file that has neither a name nor users.
func (m *Mem) reclaim(n *node) {
	if !n.linked && n.opens == 0 {
		m.space.give(n, 0)
	}
}
