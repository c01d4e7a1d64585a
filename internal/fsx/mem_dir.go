package fsx

import "maps"

// slot is the place of a name: a directory and a base name in it.
type slot struct {
	dir  *node
	name string
}

type dirOpKind uint8

const (
	opLink   dirOpKind = iota + 1 // a new node appears at to
	opUnlink                      // what is at from goes
	opRename                      // node moves from from to to, and replaces what is there
)

// dirOp is one change of directories that a power cut may keep or lose, whole.
type dirOp struct {
	kind     dirOpKind
	node     *node
	gone     *node // what lost its name by it, or nil
	from, to slot  // the zero slot where there is none
}

// change does op in what the system sees, and notes that it is not durable.
func (m *Mem) change(op dirOp) {
	m.clock++
	switch op.kind {
	case opLink:
		op.to.dir.entries[op.to.name] = op.node
		op.node.linked, op.node.changed = true, m.clock
	case opUnlink:
		op.gone = op.node
		delete(op.from.dir.entries, op.from.name)
	case opRename:
		op.gone = op.to.dir.entries[op.to.name]
		delete(op.from.dir.entries, op.from.name)
		op.to.dir.entries[op.to.name] = op.node
	}
	m.dirOps = append(m.dirOps, op)
	if op.gone != nil {
		op.gone.linked = false
		m.reclaim(op.gone)
	}
}

// namespace is a set of directories that dirOps are applied to.
type namespace interface {
	get(slot) *node
	set(slot, *node) // nil removes
}

// applyTo does op in a namespace in which some of the earlier operations may
// be missing. A node never has two names there.
func (op dirOp) applyTo(ns namespace, earlier []dirOp) {
	switch op.kind {
	case opLink:
		ns.set(op.to, op.node)
	case opUnlink:
		ns.set(op.from, nil)
	case opRename:
		// Wherever it still is, because an earlier move was lost, it leaves.
		for _, e := range earlier {
			if e.node == op.node {
				leave(ns, e.from, op.node)
				leave(ns, e.to, op.node)
			}
		}
		leave(ns, op.from, op.node)
		ns.set(op.to, op.node)
	}
}

func leave(ns namespace, at slot, n *node) {
	if at.dir != nil && ns.get(at) == n {
		ns.set(at, nil)
	}
}

// withNeeded adds to the chosen operations those earlier ones without which a
// rename would not be atomic, that is, a file that was only moved would be
// found neither under its old name nor under its new one:
//
//   - a move away from a place that a chosen operation fills or clears;
//   - the removal of a directory from such a place;
//   - everything in a directory that a chosen operation removes;
//   - the making of a directory that a chosen operation moves a file into.
//
// ordered adds too every earlier operation in the same place, and so on the same
// node: what it takes for the rest to be applied later on top.
func withNeeded(ops []dirOp, chosen []bool, ordered bool) []bool {
	places := map[slot]bool{}
	removed, entered := map[*node]bool{}, map[*node]bool{}
	for i := len(ops) - 1; i >= 0; i-- {
		op := ops[i]
		placed := places[op.from] || places[op.to]
		switch {
		case chosen[i]:
		case ordered && placed:
		case op.kind == opRename && places[op.from]:
		case placed && op.gone != nil && op.gone.dir:
		case removed[op.from.dir] || removed[op.to.dir]:
		case op.kind == opLink && entered[op.node]:
		default:
			continue
		}
		chosen[i] = true
		for _, s := range []slot{op.from, op.to} {
			if s.dir != nil {
				places[s] = true
			}
		}
		if op.gone != nil && op.gone.dir {
			removed[op.gone] = true
		}
		if op.kind == opRename && op.from.dir != op.to.dir {
			entered[op.to.dir] = true
		}
	}
	return chosen
}

// settle makes the chosen operations durable, and what they need.
func (m *Mem) settle(choose func(dirOp) bool) {
	take := make([]bool, len(m.dirOps))
	for i, op := range m.dirOps {
		take[i] = choose(op)
	}
	take = withNeeded(m.dirOps, take, true)
	var rest []dirOp
	for i, op := range m.dirOps {
		if take[i] {
			op.applyTo(diskNames{}, m.dirOps[:i])
		} else {
			rest = append(rest, op)
		}
	}
	m.dirOps = rest
}

// diskNames is the durable state of the directories themselves.
type diskNames struct{}

func (diskNames) get(s slot) *node { return s.dir.diskEntries[s.name] }

func (diskNames) set(s slot, n *node) {
	if n == nil {
		delete(s.dir.diskEntries, s.name)
		return
	}
	s.dir.diskEntries[s.name] = n
}

// overlay is the durable state with some changes on top that does not alter it.
type overlay map[*node]map[string]*node

func (o overlay) entries(d *node) map[string]*node {
	if e, ok := o[d]; ok {
		return e
	}
	return d.diskEntries
}

func (o overlay) get(s slot) *node { return o.entries(s.dir)[s.name] }

func (o overlay) set(s slot, n *node) {
	if _, ok := o[s.dir]; !ok {
		o[s.dir] = maps.Clone(s.dir.diskEntries)
	}
	if n == nil {
		delete(o[s.dir], s.name)
		return
	}
	o[s.dir][s.name] = n
}
