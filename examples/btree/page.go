package btree

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/cofferdb/coffer/internal/fault"
)

// kind of a page. A page never written is zeros and has no kind.
type kind byte

const (
	leaf   kind = iota + 1
	branch      // kids, and between two of them the first key under the right one
	free        // next in the list of free pages
)

const headSize = 3 // kind, number of cells

// page is a page taken apart.
type page struct {
	kind kind
	keys [][]byte
	vals [][]byte // of a leaf, as many as keys
	kids []uint64 // of a branch, one more than keys
	next uint64   // of a free page; 0 is the end
}

// size is how many bytes a page takes up.
func (p *page) size() int {
	n := headSize + 8*len(p.kids) + 2*len(p.keys) + 2*len(p.vals)
	for _, k := range p.keys {
		n += len(k)
	}
	for _, v := range p.vals {
		n += len(v)
	}
	return n
}

// encode writes a page into a whole block. All numbers are little-endian.
func (p *page) encode(block []byte) {
	le := binary.LittleEndian
	b := append(block[:0], byte(p.kind))
	switch p.kind {
	case free:
		b = le.AppendUint64(append(b, 0, 0), p.next)
	case branch:
		b = le.AppendUint16(b, uint16(len(p.keys)))
		for _, kid := range p.kids {
			b = le.AppendUint64(b, kid)
		}
		for _, k := range p.keys {
			b = append(le.AppendUint16(b, uint16(len(k))), k...)
		}
	default:
		b = le.AppendUint16(b, uint16(len(p.keys)))
		for i, k := range p.keys {
			b = append(le.AppendUint16(b, uint16(len(k))), k...)
			b = append(le.AppendUint16(b, uint16(len(p.vals[i]))), p.vals[i]...)
		}
	}
	clear(block[len(b):])
}

// decode takes a block apart. Slices point into it.
func decode(block []byte) (*page, error) {
	r := reader{b: block}
	p := &page{kind: kind(r.take(1)[0])}
	n := int(binary.LittleEndian.Uint16(r.take(2)))
	switch p.kind {
	case free:
		p.next = r.u64()
	case branch:
		for range n + 1 {
			p.kids = append(p.kids, r.u64())
		}
		for range n {
			p.keys = append(p.keys, r.text())
		}
	case leaf:
		for range n {
			p.keys = append(p.keys, r.text())
			p.vals = append(p.vals, r.text())
		}
	default:
		r.bad = true
	}
	if r.bad || !slices.IsSortedFunc(p.keys, slices.Compare[[]byte]) {
		return nil, fmt.Errorf("btree: not a page: %w", fault.Damaged)
	}
	return p, nil
}

// reader takes fields off a block; what is not there sets bad.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) take(n int) []byte {
	if n > len(r.b) {
		r.bad, r.b = true, nil
		return make([]byte, n)
	}
	out := r.b[:n:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) u64() uint64 { return binary.LittleEndian.Uint64(r.take(8)) }

func (r *reader) text() []byte { return r.take(int(binary.LittleEndian.Uint16(r.take(2)))) }

// insert puts v at i.
func insert[T any](s []T, i int, v T) []T { return slices.Insert(s, i, v) }

// split moves the upper half of a page's bytes into a new one and returns it
// with the key that goes between the two.
func (p *page) split() (right *page, between []byte) {
	half, i := 0, 0
	for want := p.size() / 2; i < len(p.keys)-1 && half < want; i++ {
		half += len(p.keys[i]) + 12
		if p.kind == leaf {
			half += len(p.vals[i]) - 8
		}
	}
	i = max(i, 1)
	right = &page{kind: p.kind}
	if p.kind == leaf {
		right.keys, right.vals = slices.Clone(p.keys[i:]), slices.Clone(p.vals[i:])
		p.keys, p.vals = p.keys[:i], p.vals[:i]
		return right, right.keys[0]
	}
	between = p.keys[i]
	right.keys, right.kids = slices.Clone(p.keys[i+1:]), slices.Clone(p.kids[i+1:])
	p.keys, p.kids = p.keys[:i], p.kids[:i+1]
	return right, between
}

// find returns where a key is in a leaf, or would be.
func (p *page) find(key []byte) (i int, ok bool) {
	return slices.BinarySearchFunc(p.keys, key, slices.Compare[[]byte])
}

// child returns under which kid of a branch a key is.
func (p *page) child(key []byte) int {
	i, ok := p.find(key)
	if ok {
		i++
	}
	return i
}
