package fsx

import (
	"io/fs"
	"maps"
	"path"
	"slices"
	"syscall"
)

// Kill ends the process that m serves and returns what the next one finds: the
// machine lives, so that contents and names are as they were seen, no more
// durable than before; a later Crash may still lose them. Files without a name
// are gone, nothing is locked, no hook is set and no fault armed; the capacity
// stays. Every operation on m, and on files opened through it, fails with
// ErrKilled from then on.
func (m *Mem) Kill() *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.KillInHook()
}

// KillInHook is Kill for a hook, which holds the lock already. The operation
// that called the hook does not happen any more.
func (m *Mem) KillInHook() *Mem {
	k := NewMem(m.rng.Uint64())
	k.clock = m.clock
	k.space.capacity, k.space.failOver = m.space.capacity, m.space.failOver
	c := copier{}
	k.root = c.node(m.root)
	for _, op := range m.dirOps {
		op.node, op.gone = c.node(op.node), c.node(op.gone)
		op.from.dir, op.to.dir = c.node(op.from.dir), c.node(op.to.dir)
		k.dirOps = append(k.dirOps, op)
	}
	for _, n := range c {
		if n.linked && !n.dir {
			k.space.used += n.alloc.count() * pageSize
		}
	}
	m.dead = ErrKilled
	return k
}

// copier copies nodes with all their unsettled state, each once.
type copier map[*node]*node

func (c copier) node(n *node) *node {
	if n == nil {
		return nil
	}
	if done := c[n]; done != nil {
		return done
	}
	k := &node{dir: n.dir, mode: n.mode, changed: n.changed, linked: n.linked,
		size: n.size, pages: slices.Clone(n.pages),
		diskSize: n.diskSize, sizes: slices.Clone(n.sizes), sizeDirty: n.sizeDirty, dirtyEnd: n.dirtyEnd,
		alloc: n.alloc.clone(), diskAlloc: n.diskAlloc.clone()}
	c[n] = k
	if len(n.unset) > 0 {
		k.unset = make(map[int]*unsettled, len(n.unset))
		for i, u := range n.unset {
			v := *u
			v.versions = slices.Clone(u.versions)
			k.unset[i] = &v
		}
	}
	if n.dir {
		k.entries, k.diskEntries = c.entries(n.entries), c.entries(n.diskEntries)
	}
	return k
}

func (c copier) entries(from map[string]*node) map[string]*node {
	to := make(map[string]*node, len(from))
	for name, n := range from {
		to[name] = c.node(n)
	}
	return to
}

// Clone returns a copy in which everything that m's users see is durable. m is
// not changed, and may be one whose power was cut.
func (m *Mem) Clone() *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.image(m.rng.Uint64(), func(d *node) map[string]*node { return d.entries }, (*node).settled)
}

// settled returns a copy of a file whose content, as seen, is durable.
func (n *node) settled() *node {
	return &node{mode: n.mode, changed: n.changed, size: n.size, diskSize: n.size,
		pages: slices.Clone(n.pages), alloc: n.alloc.clone(), diskAlloc: n.alloc.clone()}
}

// DropCaches makes the system forget what it can read again: content that a
// failed sync left clean in the cache is as it last was durable, as it is when
// memory runs short. What a sync has not been tried on stays.
func (m *Mem) DropCaches() {
	m.mu.Lock()
	defer m.mu.Unlock()
	var visit func(d *node)
	visit = func(d *node) {
		for _, n := range d.entries {
			if n.dir {
				visit(n)
				continue
			}
			m.evict(n)
		}
	}
	visit(m.root)
}

func (m *Mem) evict(n *node) {
	for i, u := range n.unset {
		clean := u.sectors() &^ u.dirty
		n.pages[i] = mix(n.pages[i], u.disk, clean)
		n.forget(i, clean)
	}
	if n.sizeDirty || n.size == n.diskSize {
		return
	}
	n.size = max(n.diskSize, n.dirtyEnd)
	n.sizes = nil
	if n.size != n.diskSize {
		n.sizes = []int64{n.size}
	}
	for i, p := range n.pages {
		if p != nil && !n.alloc.has(i) { // a truncation that was lost gave it away
			n.alloc.add(i)
			m.space.used += pageSize
		}
	}
}

// ReadFile returns the content of a file as it is seen. No hook runs, no
// operation is counted, and it works with the power cut: it is for tests that
// look at and alter what lies on the disk.
func (m *Mem) ReadFile(name string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, n, err := m.lookup(name)
	switch {
	case err != nil:
	case n == nil:
		err = fs.ErrNotExist
	case n.dir:
		err = syscall.EISDIR
	}
	if err != nil {
		return nil, pathError("read", name, err)
	}
	p := make([]byte, n.size)
	n.read(p, 0)
	return p, nil
}

// WriteFile makes a file hold data, durable at once, with its name; it makes a
// new file of mode 0600 if there is none, in a directory that exists. Open
// files see the new content. Neither hooks, faults nor the capacity matter.
func (m *Mem) WriteFile(name string, data []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	at, n, err := m.lookup(name)
	if err == nil && n != nil && n.dir {
		err = syscall.EISDIR
	}
	if err == nil && len(data) > maxContent {
		err = syscall.EFBIG
	}
	if err != nil {
		return pathError("write", name, err)
	}
	if n == nil {
		n = newFile(0o600)
		m.change(dirOp{kind: opLink, node: n, to: at})
	}
	m.put(n, data)
	for p := clean(name); p != "/"; p = path.Dir(p) {
		at, _, _ := m.lookup(p)
		m.settle(func(op dirOp) bool { return op.from == at || op.to == at })
	}
	return nil
}

// put replaces the content, durably.
func (m *Mem) put(n *node, data []byte) {
	m.space.give(n, 0)
	m.clock++
	n.changed = m.clock
	n.unset, n.sizes, n.sizeDirty, n.dirtyEnd = nil, nil, false, 0
	n.pages = make([]*page, (len(data)+pageSize-1)/pageSize)
	for i := range n.pages {
		n.pages[i] = new(page)
		copy(n.pages[i][:], data[i*pageSize:])
		n.alloc.add(i)
	}
	m.space.used += n.alloc.count() * pageSize
	n.size, n.diskSize, n.diskAlloc = int64(len(data)), int64(len(data)), n.alloc.clone()
}

// Files returns the cleaned names of all files, sorted.
func (m *Mem) Files() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var names []string
	var visit func(dir string, d *node)
	visit = func(dir string, d *node) {
		for _, name := range slices.Sorted(maps.Keys(d.entries)) {
			n, full := d.entries[name], path.Join(dir, name)
			if n.dir {
				visit(full, n)
				continue
			}
			names = append(names, full)
		}
	}
	visit("/", m.root)
	return names
}
