package blockstore

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/seal"
)

// metaKey names a metadata block: level 0 is a tag block, above it tree blocks.
type metaKey struct {
	level uint8
	index uint64
}

func (k metaKey) String() string {
	if k.level == 0 {
		return fmt.Sprintf("tag block %d", k.index)
	}
	return fmt.Sprintf("tree block %d of level %d", k.index, k.level)
}

// Offsets inside metadata blocks, FORMAT.md "Tag blocks" and "Tree blocks".
const (
	metaMagicTag  = "CFTG"
	metaMagicTree = "CFTR"
	offMetaLevel  = 4
	offMetaVolume = 8
	offMetaIndex  = 24
	offMetaGen    = 32
	offMetaCRC    = 60
	offMetaBody   = 64
	recordSize    = 48
	entrySize     = 40
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// recordKind says what a block is. The zero kind is a block never written.
type recordKind uint8

const (
	recordNever recordKind = iota // never written: reads as zeros, every byte of the record is zero
	recordHole                    // trimmed: reads as zeros
	recordData                    // sealed under slot and epoch
	recordLost                    // given up by explicit acceptance: reads fail
)

// record is what a tag block holds for one data block.
type record struct {
	nonce   [seal.NonceSize]byte
	tag     [seal.TagSize]byte
	crc     uint32 // CRC32C of the ciphertext
	kind    recordKind
	slot    uint8  // index of the key slot in the label
	epoch   uint32 // epoch of that slot
	version uint64 // journal sequence of the commit that wrote it
}

func (r *record) encode(b []byte) {
	copy(b[0:12], r.nonce[:])
	copy(b[12:28], r.tag[:])
	binary.LittleEndian.PutUint32(b[28:], r.crc)
	b[32], b[33], b[34], b[35] = byte(r.kind), r.slot, 0, 0
	binary.LittleEndian.PutUint32(b[36:], r.epoch)
	binary.LittleEndian.PutUint64(b[40:], r.version)
}

func decodeRecord(b []byte) (r record, err error) {
	copy(r.nonce[:], b[0:12])
	copy(r.tag[:], b[12:28])
	r.crc = binary.LittleEndian.Uint32(b[28:])
	r.kind, r.slot = recordKind(b[32]), b[33]
	r.epoch = binary.LittleEndian.Uint32(b[36:])
	r.version = binary.LittleEndian.Uint64(b[40:])
	switch {
	case r.kind > recordLost, b[34] != 0, b[35] != 0, r.kind == recordData && r.slot >= maxSlots:
		err = fmt.Errorf("blockstore: malformed record: %w", fault.Damaged)
	case r.kind == recordNever && r != (record{}),
		(r.kind == recordHole || r.kind == recordLost) && r != (record{kind: r.kind, version: r.version}):
		err = fmt.Errorf("blockstore: record of an empty block carries data: %w", fault.Damaged)
	}
	return r, err
}

// childRef is how a parent, or the label for the root, names a metadata block.
type childRef struct {
	present bool
	slot    uint8
	hash    [sha256.Size]byte
}

// metaBlock is one metadata block in memory. Once published it is immutable.
type metaBlock struct {
	key  metaKey
	slot uint8 // where it lies
	data []byte
}

func newMetaBlock(k metaKey, volume UUID) *metaBlock {
	m := &metaBlock{key: k, data: make([]byte, metaSize)}
	if k.level == 0 {
		copy(m.data, metaMagicTag)
	} else {
		copy(m.data, metaMagicTree)
		m.data[offMetaLevel] = k.level
	}
	copy(m.data[offMetaVolume:], volume[:])
	binary.LittleEndian.PutUint64(m.data[offMetaIndex:], k.index)
	return m
}

func (m *metaBlock) clone() *metaBlock {
	return &metaBlock{m.key, m.slot, append([]byte(nil), m.data...)}
}

func (m *metaBlock) rawRecord(i int) []byte {
	return m.data[offMetaBody+i*recordSize:][:recordSize:recordSize]
}

func (m *metaBlock) record(i int) (record, error) { return decodeRecord(m.rawRecord(i)) }
func (m *metaBlock) setRecord(i int, r *record)   { r.encode(m.rawRecord(i)) }
func (m *metaBlock) generation() uint64           { return binary.LittleEndian.Uint64(m.data[offMetaGen:]) }
func (m *metaBlock) hash() (h [sha256.Size]byte)  { return sha256.Sum256(m.data) }
func (m *metaBlock) rawEntry(i int) []byte {
	return m.data[offMetaBody+i*entrySize:][:entrySize:entrySize]
}

func (m *metaBlock) entry(i int) (childRef, error) {
	e := m.rawEntry(i)
	var c childRef
	copy(c.hash[:], e[:32])
	c.present, c.slot = e[32] == 1, e[33]
	if e[32] > 1 || c.slot > 1 || [6]byte(e[34:40]) != [6]byte{} || !c.present && c != (childRef{}) {
		return childRef{}, fmt.Errorf("blockstore: malformed entry %d of %v: %w", i, m.key, fault.Damaged)
	}
	return c, nil
}

func (m *metaBlock) setEntry(i int, c childRef) {
	e := m.rawEntry(i)
	clear(e)
	if !c.present {
		return
	}
	copy(e[:32], c.hash[:])
	e[32], e[33] = 1, c.slot
}

// empty reports whether the body is all zero: nothing below was ever written.
func (m *metaBlock) empty() bool {
	for _, b := range m.data[offMetaBody:] {
		if b != 0 {
			return false
		}
	}
	return true
}

// finish stamps the generation and the checksum; the block is then ready to be written and hashed.
func (m *metaBlock) finish(generation uint64) {
	binary.LittleEndian.PutUint64(m.data[offMetaGen:], generation)
	binary.LittleEndian.PutUint32(m.data[offMetaCRC:], metaCRC(m.data))
}

// metaCRC is the CRC32C over the block with the checksum's own bytes left out.
func metaCRC(b []byte) uint32 {
	c := crc32.Update(0, castagnoli, b[:offMetaCRC])
	return crc32.Update(c, castagnoli, b[offMetaCRC+4:])
}

// checkMeta decides whether data is the block that its parent names: the hash
// is what counts; checksum and header only tell damage from alteration.
func checkMeta(k metaKey, volume UUID, want childRef, data []byte) error {
	if sha256.Sum256(data) == want.hash {
		return checkMetaHeader(k, volume, data)
	}
	if binary.LittleEndian.Uint32(data[offMetaCRC:]) != metaCRC(data) {
		return fmt.Errorf("blockstore: %v does not match its parent and its checksum is wrong: %w", k,
			fault.Both(fault.Tampered, fault.Damaged))
	}
	return fmt.Errorf("blockstore: %v is intact but not the one its parent names: %w", k, fault.Tampered)
}

// metaEnd is where the records or entries of a metadata block end.
func metaEnd(level uint8) int {
	if level == 0 {
		return offMetaBody + perGroup*recordSize
	}
	return offMetaBody + fanOut*entrySize
}

func checkMetaHeader(k metaKey, volume UUID, data []byte) error {
	magic := metaMagicTree
	if k.level == 0 {
		magic = metaMagicTag
	}
	ok := string(data[:4]) == magic && data[offMetaLevel] == k.level &&
		[3]byte(data[5:8]) == [3]byte{} && allZero(data[offMetaGen+8:offMetaCRC]) == nil && allZero(data[metaEnd(k.level):]) == nil && UUID(data[offMetaVolume:offMetaIndex]) == volume &&
		binary.LittleEndian.Uint64(data[offMetaIndex:]) == k.index
	if !ok {
		return fmt.Errorf("blockstore: %v has the header of another block: %w", k, fault.Tampered)
	}
	return nil
}
