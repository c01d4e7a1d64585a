package fsx

import (
	"io/fs"
	"math/bits"
	"slices"
	"syscall"
)

const (
	pageSize    = 4096
	sectorSize  = 512
	maxContent  = 1 << 36 // bytes; no content lies beyond
	maxVersions = 12      // of one page between two syncs; enough to be unkind
	maxSizes    = 64      // of one file between two syncs
)

// page is immutable once it is in a node: copies of the file system share it.
// A nil page is all zeros.
type page [pageSize]byte

var zeroPage page

func (p *page) bytes() []byte {
	if p == nil {
		return zeroPage[:]
	}
	return p[:]
}

// sectors is a set of sectors of one page.
type sectors uint8

// version is a page as one write left it; set holds the sectors it touched.
type version struct {
	data *page
	set  sectors
}

// unsettled is a page of which some sectors are not durable for certain.
type unsettled struct {
	disk     *page     // what was durable before
	versions []version // oldest first, the last as seen; a sector in no set is as in disk
	dirty    sectors   // what the next sync writes; a failed sync clears it
	written  sectors   // touched by a write, not only by a truncation: may turn to garbage
}

func (u *unsettled) sectors() (all sectors) {
	for _, v := range u.versions {
		all |= v.set
	}
	return all
}

// forget takes sectors, now settled, out of all versions of a page, and the page
// out of n's doubts if none is left. The last version stays the page as seen.
func (n *node) forget(i int, gone sectors) {
	u := n.unset[i]
	for i := range u.versions {
		u.versions[i].set &^= gone
	}
	u.versions = slices.DeleteFunc(u.versions, func(v version) bool { return v.set == 0 })
	u.dirty &^= gone
	u.written &^= gone
	if len(u.versions) == 0 {
		delete(n.unset, i)
		return
	}
	u.versions[len(u.versions)-1].data = n.pages[i]
}

// node is a file or a directory. Mem.mu guards it.
type node struct {
	dir     bool
	mode    fs.FileMode
	changed int64 // Mem.clock of the last change
	linked  bool  // has a name, as the system sees it
	opens   int
	locks   map[*memFile]LockMode
	sqlite  *memFile // holds SQLite's locks

	entries, diskEntries map[string]*node // of a directory: as seen, and durable

	size  int64
	pages []*page // as the system sees it; the durable state is the same but for unsettled
	unset map[int]*unsettled

	diskSize  int64
	sizes     []int64 // sizes since diskSize was durable; the last is size
	sizeDirty bool    // the next sync writes the size; a failed one clears it
	dirtyEnd  int64   // the end of the furthest write that the next sync writes

	alloc, diskAlloc bitset // pages with space on the disk: now, and for certain after a cut
}

func newFile(mode fs.FileMode) *node { return &node{mode: mode} }

func newDir(mode fs.FileMode) *node {
	return &node{dir: true, mode: mode, linked: true,
		entries: map[string]*node{}, diskEntries: map[string]*node{}}
}

func (n *node) page(i int) *page {
	if i < len(n.pages) {
		return n.pages[i]
	}
	return nil
}

// setPage puts a new version of page i. written: by a write.
func (n *node) setPage(i int, p *page, touched sectors, written bool) {
	u := n.unset[i]
	if u == nil {
		if n.unset == nil {
			n.unset = map[int]*unsettled{}
		}
		u = &unsettled{disk: n.page(i)}
		n.unset[i] = u
	}
	if len(u.versions) == maxVersions {
		// One in the middle is forgotten; what it alone changed is in the next one too.
		const drop = maxVersions / 2
		u.versions[drop+1].set |= u.versions[drop].set
		u.versions = slices.Delete(u.versions, drop, drop+1)
	}
	u.versions = append(u.versions, version{p, touched})
	u.dirty |= touched
	if written {
		u.written |= touched
	}
	for i >= len(n.pages) {
		n.pages = append(n.pages, nil)
	}
	n.pages[i] = p
}

func (n *node) setSize(size int64) {
	n.size, n.sizeDirty = size, true
	if len(n.sizes) == maxSizes {
		n.sizes = slices.Delete(n.sizes, maxSizes/2, maxSizes/2+1)
	}
	n.sizes = append(n.sizes, size)
}

// write stores p at off, as far as there is space.
func (m *Mem) write(n *node, p []byte, off int64) (done int, err error) {
	if off+int64(len(p)) > maxContent {
		return 0, syscall.EFBIG
	}
	for done < len(p) {
		i, at := int(off/pageSize), int(off%pageSize)
		k := min(pageSize-at, len(p)-done)
		if err = m.space.take(n, i); err != nil {
			break
		}
		fresh := new(page)
		if k < pageSize {
			copy(fresh[:], n.page(i).bytes())
		}
		copy(fresh[at:], p[done:done+k])
		n.setPage(i, fresh, sectorRange(at, at+k), true)
		done, off = done+k, off+int64(k)
	}
	if done > 0 {
		m.clock++
		n.changed = m.clock
		n.dirtyEnd = max(n.dirtyEnd, off)
	}
	if off > n.size && done > 0 {
		n.setSize(off)
	}
	return done, err
}

// sectorRange is the sectors of the bytes from to to of a page.
func sectorRange(from, to int) sectors {
	first, end := from/sectorSize, (to+sectorSize-1)/sectorSize
	return sectors(1<<end-1) &^ sectors(1<<first-1)
}

func (n *node) read(p []byte, off int64) int {
	k := int(max(0, min(int64(len(p)), n.size-off)))
	for done := 0; done < k; {
		i, at := int((off+int64(done))/pageSize), int((off+int64(done))%pageSize)
		done += copy(p[done:k], n.page(i).bytes()[at:])
	}
	return k
}

// truncate cuts or grows. What lies behind the smaller size becomes zeros, not
// yet durably; where an earlier truncation was synced in vain it is done again.
func (m *Mem) truncate(n *node, size int64) {
	m.clock++
	n.changed = m.clock
	n.zeroFrom(min(size, n.size), size < n.size)
	if size < n.size {
		m.space.give(n, int((size+pageSize-1)/pageSize))
	}
	n.setSize(size)
}

// zeroFrom zeroes what lies behind size; unless cut is set only where sectors
// are in doubt, since all the rest is zeros.
func (n *node) zeroFrom(size int64, cut bool) {
	first := int(size / pageSize)
	for i := first; i < len(n.pages); i++ {
		at := 0
		if i == first {
			at = int(size % pageSize)
		}
		touched := sectorRange(at, pageSize)
		u := n.unset[i]
		doubt := u != nil && u.sectors()&touched != 0
		switch {
		case !doubt && (n.pages[i] == nil || !cut):
		case n.pages[i] == nil || at == 0:
			n.setPage(i, nil, touched, false)
		default:
			fresh := new(page)
			copy(fresh[:at], n.pages[i][:at])
			n.setPage(i, fresh, touched, false)
		}
	}
}

// sync makes durable what has been written since the last sync, failed or not.
func (n *node) sync() {
	for i, u := range n.unset {
		if u.sectors() == u.dirty {
			delete(n.unset, i)
			continue
		}
		u.disk = mix(u.disk, n.page(i), u.dirty)
		n.forget(i, u.dirty)
	}
	n.syncSize()
	n.diskAlloc = n.alloc.clone()
}

// syncSize makes the size durable; one that a failed sync left in doubt only as
// far as what was written since reaches.
func (n *node) syncSize() {
	if n.sizeDirty {
		n.diskSize = n.size
	} else {
		n.diskSize = max(n.diskSize, n.dirtyEnd)
		n.sizes = slices.DeleteFunc(n.sizes, func(size int64) bool { return size < n.dirtyEnd })
	}
	if n.diskSize == n.size {
		n.sizes = nil
	}
	n.sizeDirty, n.dirtyEnd = false, 0
}

// failSync is what a failed fsync does on Linux: the pages stay in the cache
// and are clean, though the disk may have the old ones, the new ones, or some.
func (n *node) failSync() {
	for _, u := range n.unset {
		u.dirty = 0
	}
	n.sizeDirty, n.dirtyEnd = false, 0
}

// mix returns base with the sectors in set taken from top.
func mix(base, top *page, set sectors) *page {
	switch set {
	case 0:
		return base
	case 0xff:
		return top
	}
	p := new(page)
	copy(p[:], base.bytes())
	for s := range pageSize / sectorSize {
		if set&(1<<s) != 0 {
			copy(p[s*sectorSize:(s+1)*sectorSize], top.bytes()[s*sectorSize:])
		}
	}
	return p
}

// bitset is a set of page numbers.
type bitset []uint64

func (b bitset) has(i int) bool { return i/64 < len(b) && b[i/64]&(1<<(i%64)) != 0 }
func (b bitset) clone() bitset  { return slices.Clone(b) }

func (b *bitset) add(i int) {
	for i/64 >= len(*b) {
		*b = append(*b, 0)
	}
	(*b)[i/64] |= 1 << (i % 64)
}

func (b bitset) count() (n int64) {
	for _, w := range b {
		n += int64(bits.OnesCount64(w))
	}
	return n
}

// dropFrom removes i and all above.
func (b *bitset) dropFrom(i int) {
	if i/64 < len(*b) {
		*b = (*b)[:i/64+1]
		(*b)[i/64] &= 1<<(i%64) - 1
	}
}
