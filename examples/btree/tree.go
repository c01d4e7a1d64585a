package btree

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cofferdb/coffer/blockstore"
	"github.com/cofferdb/coffer/internal/fault"
)

// Tree is a tree in a volume that is open.
type Tree struct{ s *blockstore.Store }

const magic = "COFFERBT"

// header is block 0.
type header struct {
	root  uint64
	free  uint64 // first page of the list of free ones, 0 if there is none
	used  uint64 // pages from here on were never used
	count uint64 // keys
}

// growth is how many pages the volume grows by.
const growth = 64

// Open returns the tree of a volume, and makes an empty one in a volume that reads as zeros.
func Open(s *blockstore.Store) (*Tree, error) {
	t := &Tree{s}
	err := s.View(func(tx *blockstore.Tx) error {
		if tx.Blocks() == 0 {
			return errEmpty
		}
		_, err := readHeader(tx)
		return err
	})
	if errors.Is(err, errEmpty) {
		err = s.Update(func(tx *blockstore.Tx) error {
			if err := tx.Resize(max(tx.Size(), growth*int64(tx.BlockSize()))); err != nil {
				return err
			}
			x := &Tx{tx: tx, h: header{root: 1, used: 2}}
			return x.finish(x.write(1, &page{kind: leaf}))
		})
	}
	return t, err
}

var errEmpty = fmt.Errorf("btree: no tree yet: %w", fault.State)

func readHeader(tx *blockstore.Tx) (h header, err error) {
	b, err := tx.Read(0)
	switch {
	case err != nil:
		return h, err
	case len(bytes.Trim(b, "\x00")) == 0:
		return h, errEmpty
	case string(b[:8]) != magic:
		return h, fmt.Errorf("btree: the volume holds no tree: %w", fault.NotFormat)
	}
	for i, v := range []*uint64{&h.root, &h.free, &h.used, &h.count} {
		*v = binary.LittleEndian.Uint64(b[8+8*i:])
	}
	return h, nil
}

// Update runs fn as the one writer. What it changed is one atomic, durable commit; an error undoes it.
func (t *Tree) Update(fn func(*Tx) error) error {
	return t.s.Update(func(tx *blockstore.Tx) error {
		h, err := readHeader(tx)
		if err != nil {
			return err
		}
		x := &Tx{tx: tx, h: h}
		return x.finish(fn(x))
	})
}

// View runs fn on a snapshot.
func (t *Tree) View(fn func(*Tx) error) error {
	return t.s.View(func(tx *blockstore.Tx) error {
		h, err := readHeader(tx)
		if err != nil {
			return err
		}
		return fn(&Tx{tx: tx, h: h})
	})
}

// Tx is a transaction. Slices that it returns are the caller's to read until it ends.
type Tx struct {
	tx *blockstore.Tx
	h  header
}

// finish writes the header.
func (x *Tx) finish(err error) error {
	if err != nil {
		return err
	}
	b := make([]byte, x.tx.BlockSize())
	copy(b, magic)
	for i, v := range []uint64{x.h.root, x.h.free, x.h.used, x.h.count} {
		binary.LittleEndian.PutUint64(b[8+8*i:], v)
	}
	return x.tx.Write(0, b)
}

func (x *Tx) read(n uint64) (*page, error) {
	b, err := x.tx.Read(n)
	if err != nil {
		return nil, err
	}
	p, err := decode(b)
	if err != nil {
		return nil, fmt.Errorf("page %d: %w", n, err)
	}
	return p, nil
}

func (x *Tx) write(n uint64, p *page) error {
	b := make([]byte, x.tx.BlockSize())
	p.encode(b)
	return x.tx.Write(n, b)
}

// add writes a page that is new, where one is free.
func (x *Tx) add(p *page) (n uint64, err error) {
	if n = x.h.free; n != 0 {
		f, err := x.read(n)
		if err != nil {
			return 0, err
		}
		x.h.free = f.next
		return n, x.write(n, p)
	}
	n = x.h.used
	if n == x.tx.Blocks() {
		if err := x.tx.Resize(x.tx.Size() + growth*int64(x.tx.BlockSize())); err != nil {
			return 0, err
		}
	}
	x.h.used++
	return n, x.write(n, p)
}

func (x *Tx) release(n uint64) error {
	p := &page{kind: free, next: x.h.free}
	x.h.free = n
	return x.write(n, p)
}

// Len returns the number of keys.
func (x *Tx) Len() uint64 { return x.h.count }

// Get returns the value of a key.
func (x *Tx) Get(key []byte) (value []byte, ok bool, err error) {
	for n := x.h.root; ; {
		p, err := x.read(n)
		if err != nil {
			return nil, false, err
		}
		if p.kind == branch {
			n = p.kids[p.child(key)]
			continue
		}
		i, ok := p.find(key)
		if !ok {
			return nil, false, nil
		}
		return p.vals[i], true, nil
	}
}

// Put sets the value of a key. Both together may take up a quarter of a page.
func (x *Tx) Put(key, value []byte) error {
	if most := (x.tx.BlockSize() - headSize) / 4; len(key)+len(value)+12 > most {
		return fmt.Errorf("btree: key and value have %d bytes, at most %d are possible: %w", len(key)+len(value), most-12, fault.Usage)
	}
	right, between, err := x.put(x.h.root, key, value)
	if err != nil || right == 0 {
		return err
	}
	x.h.root, err = x.add(&page{kind: branch, keys: [][]byte{between}, kids: []uint64{x.h.root, right}})
	return err
}

// put puts a key under page n. Where the page had to be split it returns the
// new page to the right of it, with the key between them.
func (x *Tx) put(n uint64, key, value []byte) (right uint64, between []byte, err error) {
	p, err := x.read(n)
	if err != nil {
		return 0, nil, err
	}
	if p.kind == branch {
		i := p.child(key)
		r, k, err := x.put(p.kids[i], key, value)
		if err != nil || r == 0 {
			return 0, nil, err
		}
		p.keys, p.kids = insert(p.keys, i, k), insert(p.kids, i+1, r)
	} else if i, ok := p.find(key); ok {
		p.vals[i] = value
	} else {
		p.keys, p.vals = insert(p.keys, i, key), insert(p.vals, i, value)
		x.h.count++
	}
	if p.size() <= x.tx.BlockSize() {
		return 0, nil, x.write(n, p)
	}
	upper, between := p.split()
	if right, err = x.add(upper); err != nil {
		return 0, nil, err
	}
	return right, between, x.write(n, p)
}

// Delete removes a key and reports whether it was there.
func (x *Tx) Delete(key []byte) (found bool, err error) {
	found, empty, err := x.delete(x.h.root, key)
	if err != nil || !found {
		return found, err
	}
	x.h.count--
	if empty { // the only leaf: as root it stays, and a root with kids has two of them or more
		return true, nil
	}
	for { // a root with one kid is none
		p, err := x.read(x.h.root)
		if err != nil || p.kind == leaf || len(p.kids) > 1 {
			return true, err
		}
		old := x.h.root
		x.h.root = p.kids[0]
		if err := x.release(old); err != nil {
			return true, err
		}
	}
}

// delete removes a key under page n, and says whether that has nothing left. An
// empty page is the caller's to release.
func (x *Tx) delete(n uint64, key []byte) (found, empty bool, err error) {
	p, err := x.read(n)
	if err != nil {
		return false, false, err
	}
	if p.kind == leaf {
		i, ok := p.find(key)
		if !ok {
			return false, false, nil
		}
		p.keys, p.vals = append(p.keys[:i], p.keys[i+1:]...), append(p.vals[:i], p.vals[i+1:]...)
		return true, len(p.keys) == 0, x.write(n, p)
	}
	i := p.child(key)
	found, empty, err = x.delete(p.kids[i], key)
	if err != nil || !empty {
		return found, false, err
	}
	if err := x.release(p.kids[i]); err != nil {
		return found, false, err
	}
	p.kids = append(p.kids[:i], p.kids[i+1:]...)
	if len(p.kids) == 0 {
		return found, true, nil
	}
	k := max(i-1, 0)
	p.keys = append(p.keys[:k], p.keys[k+1:]...)
	return found, false, x.write(n, p)
}

// Range calls fn for the keys from from on, in order, until it returns false.
func (x *Tx) Range(from []byte, fn func(key, value []byte) bool) error {
	_, err := x.walk(x.h.root, from, fn)
	return err
}

func (x *Tx) walk(n uint64, from []byte, fn func(key, value []byte) bool) (on bool, err error) {
	p, err := x.read(n)
	if err != nil {
		return false, err
	}
	if p.kind == leaf {
		for i, _ := p.find(from); i < len(p.keys); i++ {
			if !fn(p.keys[i], p.vals[i]) {
				return false, nil
			}
		}
		return true, nil
	}
	for i := p.child(from); i < len(p.kids); i++ {
		if on, err := x.walk(p.kids[i], from, fn); err != nil || !on {
			return false, err
		}
	}
	return true, nil
}
