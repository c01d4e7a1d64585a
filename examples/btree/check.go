package btree

import (
	"bytes"
	"fmt"

	"github.com/cofferdb/coffer/internal/fault"
)

// Check looks at every page: each is in the tree or in the list of free ones and
// in no other place, keys are in order and in their branch's bounds, and their number is right.
func (x *Tx) Check() error {
	c := &checker{x: x, seen: map[uint64]bool{0: true}}
	if _, err := c.tree(x.h.root, nil, nil); err != nil {
		return err
	}
	for n := x.h.free; n != 0; {
		p, err := c.page(n)
		if err != nil {
			return err
		}
		if p.kind != free {
			return bad("page %d is in the list of free pages and is none", n)
		}
		n = p.next
	}
	switch {
	case c.count != x.h.count:
		return bad("%d keys, the header says %d", c.count, x.h.count)
	case uint64(len(c.seen)) != x.h.used:
		return bad("%d pages of %d are in the tree or free", len(c.seen), x.h.used)
	}
	return nil
}

func bad(format string, args ...any) error {
	return fmt.Errorf("btree: "+format+": %w", append(args, fault.Damaged)...)
}

type checker struct {
	x     *Tx
	seen  map[uint64]bool
	count uint64
}

func (c *checker) page(n uint64) (*page, error) {
	if n >= c.x.h.used || c.seen[n] {
		return nil, bad("page %d is reached twice, or out of range", n)
	}
	c.seen[n] = true
	return c.x.read(n)
}

// tree checks page n and all below, whose keys are in [low, high), and returns the depth.
func (c *checker) tree(n uint64, low, high []byte) (depth int, err error) {
	p, err := c.page(n)
	if err != nil {
		return 0, err
	}
	for i, k := range p.keys {
		switch {
		case low != nil && bytes.Compare(k, low) < 0, high != nil && bytes.Compare(k, high) >= 0:
			return 0, bad("page %d: key %q is out of bounds", n, k)
		case i > 0 && bytes.Compare(p.keys[i-1], k) >= 0:
			return 0, bad("page %d: keys are not in order", n)
		}
	}
	switch {
	case p.kind == leaf && len(p.keys) == 0 && n != c.x.h.root:
		return 0, bad("page %d is empty", n)
	case p.kind == leaf:
		c.count += uint64(len(p.keys))
		return 1, nil
	case p.kind != branch:
		return 0, bad("page %d is free, and in the tree", n)
	}
	for i, kid := range p.kids {
		from, to := low, high
		if i > 0 {
			from = p.keys[i-1]
		}
		if i < len(p.keys) {
			to = p.keys[i]
		}
		if d, err := c.tree(kid, from, to); err != nil {
			return 0, err
		} else if i > 0 && d != depth {
			return 0, bad("page %d: kids of different depth", n)
		} else {
			depth = d
		}
	}
	return depth + 1, nil
}
