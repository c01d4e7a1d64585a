package fsx

import (
	"maps"
	"math/rand/v2"
	"slices"
)

// Crash returns the file system that a machine finds after a power cut now,
// with everything in it durable; m stays usable. What it decides comes from
// rng, or from m's seed for nil.
//
// What was synced is there. Of what was not: each 512-byte sector is as it was
// last durable, as any unsynced write left it, or garbage; sizes are old, new
// or one in between, whatever the data are; each creation, removal and rename
// of names that were not synced has happened or has not, a rename whole. A
// sector that was not written since it was durable is never touched, but for
// being cut off by a truncation. Sectors beyond the durable size whose data
// are lost read as zeros or, if they were written, as garbage. Reservations
// that were not synced may be gone. Nothing is locked, no file is open, no hook
// is set and no fault armed; the capacity stays.
func (m *Mem) Crash(rng *rand.Rand) *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.CrashInHook(rng)
}

// CrashInHook is Crash for a hook, which holds the lock already.
func (m *Mem) CrashInHook(rng *rand.Rand) *Mem {
	if rng == nil {
		rng = m.rng
	}
	w := drawWeather(rng)
	names := m.crashNames(w)
	return m.image(rng.Uint64(), names.entries, func(n *node) *node { return n.crash(w) })
}

// fate is what becomes of a set of unsynced things.
type fate uint8

const (
	allLost   fate = iota + 1
	allKept        // in their last version
	scattered      // each for itself
	inUnits        // content by units of 4,096 bytes; names in their order, up to one
)

// weather is what one power cut is like.
type weather struct {
	rng    *rand.Rand
	common fate // for everything, or 0: drawn for each file and for the names
}

func drawWeather(rng *rand.Rand) weather {
	w := weather{rng: rng}
	switch rng.IntN(10) {
	case 0:
		w.common = allLost
	case 1:
		w.common = allKept
	case 2:
		w.common = scattered
	case 3:
		w.common = inUnits
	}
	return w
}

func (w weather) draw() fate {
	if w.common != 0 {
		return w.common
	}
	return fate(1 + w.rng.IntN(int(inUnits)))
}

// crashNames decides which changes of names happened.
func (m *Mem) crashNames(w weather) overlay {
	keep := make([]bool, len(m.dirOps))
	switch w.draw() {
	case allLost:
	case allKept:
		for i := range keep {
			keep[i] = true
		}
	case inUnits:
		for i := range w.rng.IntN(len(keep) + 1) {
			keep[i] = true
		}
	case scattered:
		for i := range keep {
			keep[i] = w.rng.IntN(2) == 0
		}
	}
	names := overlay{}
	for i, kept := range withNeeded(m.dirOps, keep, false) {
		if kept {
			m.dirOps[i].applyTo(names, m.dirOps[:i])
		}
	}
	return names
}

// image builds a file system of what is reachable through entries, all of it
// durable. Files go through settle, in the order of their names.
func (m *Mem) image(seed uint64, entries func(*node) map[string]*node, settle func(*node) *node) *Mem {
	img := NewMem(seed)
	img.clock = m.clock
	img.space.capacity, img.space.failOver = m.space.capacity, m.space.failOver
	var build func(d *node) *node
	build = func(d *node) *node {
		fresh := newDir(d.mode)
		for _, name := range sortedNames(entries(d)) {
			n := entries(d)[name]
			if n.dir {
				fresh.entries[name] = build(n)
				continue
			}
			f := settle(n)
			f.linked = true
			img.space.used += f.alloc.count() * pageSize
			fresh.entries[name] = f
		}
		fresh.diskEntries = maps.Clone(fresh.entries)
		return fresh
	}
	img.root = build(m.root)
	return img
}

// crash returns the file as it is found.
func (n *node) crash(w weather) *node {
	f := &node{mode: n.mode, changed: n.changed, pages: slices.Clone(n.pages)}
	f.crashSize(n, w)
	f.crashPages(n, w)
	f.endAt(f.size)
	f.alloc = n.diskAlloc.clone()
	if w.rng.IntN(2) == 0 {
		f.alloc = n.alloc.clone()
	}
	f.alloc.dropFrom(int((f.size + pageSize - 1) / pageSize))
	for i, p := range f.pages {
		if p != nil {
			f.alloc.add(i)
		}
	}
	f.diskSize, f.diskAlloc = f.size, f.alloc.clone()
	return f
}

func (n *node) crashSize(old *node, w weather) {
	n.size = old.diskSize
	if len(old.sizes) == 0 {
		return
	}
	what := w.common
	if what != allLost && what != allKept {
		what = fate(1 + w.rng.IntN(int(scattered))) // independent of the data
	}
	switch what {
	case allLost:
	case allKept:
		n.size = old.size
	default:
		n.size = old.sizes[w.rng.IntN(len(old.sizes))]
	}
}

// endAt makes sure that nothing lies behind the size.
func (n *node) endAt(size int64) {
	if end := int((size + pageSize - 1) / pageSize); end < len(n.pages) {
		n.pages = n.pages[:end:end]
	}
	if at := int(size % pageSize); at > 0 {
		if i := int(size / pageSize); i < len(n.pages) && n.pages[i] != nil {
			p := new(page)
			copy(p[:at], n.pages[i][:at])
			n.pages[i] = p
		}
	}
}
