package blockstore

import (
	"fmt"

	"github.com/cofferdb/coffer/internal/fault"
)

// The layout of a volume, FORMAT.md section "Volume". Every position is
// computed from the block size alone.
const (
	labelSize = 8192          // one copy of the label
	labelTwo  = 64 << 10      // offset of the second copy
	dataStart = 128 << 10     // offset of the first pair of metadata blocks
	metaSize  = 8192          // a tag block or tree block
	pairSize  = 2 * metaSize  // its two slots
	perGroup  = 168           // data blocks whose records one tag block holds
	fanOut    = 200           // children of a tree block
	maxLevel  = 4             // highest level of the tree; tag blocks are level 0
	maxGroups = 1_600_000_000 // fanOut^maxLevel
	maxBlocks = maxGroups * perGroup

	// MinBlockSize, MaxBlockSize and DefaultBlockSize bound the block size, in bytes.
	MinBlockSize     = 4096
	MaxBlockSize     = 65536
	DefaultBlockSize = 8192
)

// span is the number of groups under one block of each level.
var span = [maxLevel + 1]uint64{1, fanOut, fanOut * fanOut, fanOut * fanOut * fanOut, maxGroups}

// layout computes positions for one block size.
type layout struct{ blockSize int64 }

func newLayout(blockSize int64) (layout, error) {
	if blockSize < MinBlockSize || blockSize > MaxBlockSize || blockSize&(blockSize-1) != 0 {
		return layout{}, fmt.Errorf("blockstore: block size %d is not a power of two from %d to %d: %w",
			blockSize, MinBlockSize, MaxBlockSize, fault.Usage)
	}
	return layout{blockSize}, nil
}

// blocks returns how many blocks hold size bytes.
func (l layout) blocks(size int64) uint64 {
	return uint64(size/l.blockSize) + uint64((size%l.blockSize+l.blockSize-1)/l.blockSize)
}

func (l layout) checkSize(size int64) error {
	if size < 0 || l.blocks(size) > maxBlocks {
		return fmt.Errorf("blockstore: size %d is out of range, at most %d blocks of %d bytes: %w",
			size, int64(maxBlocks), l.blockSize, fault.Usage)
	}
	return nil
}

// tagPair returns the offset of the pair of slots of group g's tag block.
func (l layout) tagPair(g uint64) int64 {
	pairs := g
	for level := 1; level <= maxLevel; level++ {
		pairs += g/span[level] + 1
	}
	return dataStart + int64(g)*perGroup*l.blockSize + int64(pairs)*pairSize
}

// pair returns the offset of the pair of slots of a metadata block. A tree
// block lies before the first group it covers, higher levels first.
func (l layout) pair(k metaKey) int64 {
	return l.tagPair(k.index*span[k.level]) - int64(k.level)*pairSize
}

func (l layout) slot(k metaKey, slot uint8) int64 { return l.pair(k) + int64(slot)*metaSize }

// block returns the offset of data block b.
func (l layout) block(b uint64) int64 {
	return l.tagPair(b/perGroup) + pairSize + int64(b%perGroup)*l.blockSize
}

// end returns the length of a volume file of n blocks.
func (l layout) end(n uint64) int64 {
	if n == 0 {
		return dataStart
	}
	return l.block(n-1) + l.blockSize
}

// groupsFor returns the number of groups that n blocks occupy.
func groupsFor(n uint64) uint64 { return (n + perGroup - 1) / perGroup }

// heightFor returns the level of the root for n blocks: the lowest that covers them.
func heightFor(n uint64) uint8 {
	g := groupsFor(n)
	for level := uint8(1); level < maxLevel; level++ {
		if g <= span[level] {
			return level
		}
	}
	return maxLevel
}
