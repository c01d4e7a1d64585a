package crashtest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"
)

// content is what a block holds. Contents are immutable and shared by states; a
// nil one is zeros.
type content struct {
	data []byte
	bad  bool // damaged on the disk, or given up since: reads fail
}

// badContent is all there is to say about a damaged block.
var badContent = &content{bad: true}

// newContent takes data over.
func newContent(data []byte) *content {
	if isZero(data) {
		return nil
	}
	return &content{data: data}
}

var zeros [65536]byte

func isZero(p []byte) bool {
	for len(p) > len(zeros) {
		if !bytes.Equal(p[:len(zeros)], zeros[:]) {
			return false
		}
		p = p[len(zeros):]
	}
	return bytes.Equal(p, zeros[:len(p)])
}

func (c *content) isBad() bool { return c != nil && c.bad }

// copyTo writes the content into p, which may be shorter than a block.
func (c *content) copyTo(p []byte) {
	if c == nil {
		clear(p)
		return
	}
	copy(p, c.data)
}

// state is what a volume must hold after one commit.
type state struct {
	size   int64
	blocks []*content
}

func newState(size int64, blockSize int) state {
	return state{size, make([]*content, blocksFor(size, blockSize))}
}

func blocksFor(size int64, blockSize int) int {
	return int((size + int64(blockSize) - 1) / int64(blockSize))
}

func (s state) clone() state { return state{s.size, slices.Clone(s.blocks)} }

// resize sets the byte length: what is cut off is gone, what is added reads as zeros.
func (s *state) resize(size int64, blockSize int) {
	n := blocksFor(size, blockSize)
	if end := min(s.size, size); end%int64(blockSize) != 0 && s.size != size {
		s.zeroFrom(int(end/int64(blockSize)), int(end%int64(blockSize)), blockSize)
	}
	for len(s.blocks) < n {
		s.blocks = append(s.blocks, nil)
	}
	s.blocks, s.size = s.blocks[:n], size
}

func (s *state) zeroFrom(block, at, blockSize int) {
	c := s.blocks[block]
	if c == nil || c.bad {
		return
	}
	page := make([]byte, blockSize)
	copy(page[:at], c.data)
	s.blocks[block] = newContent(page)
}

// cutsBad reports whether a change of the length to size has to read a damaged block.
func (s state) cutsBad(size int64, blockSize int) bool {
	end := min(s.size, size)
	return s.size != size && end%int64(blockSize) != 0 && s.blocks[end/int64(blockSize)].isBad()
}

// writeBytes writes at any offset and grows as needed. It reports false, and
// has changed nothing, where it would have to read a damaged block.
func (s *state) writeBytes(p []byte, off int64, blockSize int) bool {
	bs, end := int64(blockSize), off+int64(len(p))
	for b := off / bs; b*bs < min(end, s.size); b++ {
		if whole := off <= b*bs && end >= (b+1)*bs; !whole && s.blocks[b].isBad() {
			return false
		}
	}
	if end > s.size {
		s.resize(end, blockSize)
	}
	for len(p) > 0 {
		b, in := off/bs, off%bs
		page := make([]byte, bs)
		s.blocks[b].copyTo(page)
		n := copy(page[in:], p)
		s.blocks[b] = newContent(page)
		p, off = p[n:], off+int64(n)
	}
	return true
}

// bytes returns n bytes at off, and whether none of their blocks is damaged.
func (s state) bytes(off int64, n, blockSize int) ([]byte, bool) {
	p := make([]byte, n)
	for rest, bs := p, int64(blockSize); len(rest) > 0; {
		b, in := off/bs, off%bs
		k := int(min(bs-in, int64(len(rest))))
		if c := s.blocks[b]; c.isBad() {
			return nil, false
		} else if c != nil {
			copy(rest[:k], c.data[in:])
		}
		rest, off = rest[k:], off+int64(k)
	}
	return p, true
}

// bad lists the damaged blocks.
func (s state) bad() []uint64 {
	var out []uint64
	for b, c := range s.blocks {
		if c.isBad() {
			out = append(out, uint64(b))
		}
	}
	return out
}

// fill writes the contents that id stands for in block b.
func fill(p []byte, id uint32, b uint64) {
	x := uint64(id)<<32 | b
	i := 0
	for ; i+8 <= len(p); i += 8 {
		binary.LittleEndian.PutUint64(p[i:], x)
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
	}
	var last [8]byte
	binary.LittleEndian.PutUint64(last[:], x)
	copy(p[i:], last[:])
}

// describe says in a few words what a block holds; contents of whole pages begin with their ID.
func describe(p []byte) string {
	if isZero(p) {
		return "zeros"
	}
	x := binary.LittleEndian.Uint64(p)
	return fmt.Sprintf("(ID %d of block %d, checksum %08x)", x>>32, uint32(x), crc32.ChecksumIEEE(p))
}
