package formattest

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
)

// volume is a volume that was read, as of the end of its journal.
type volume struct {
	file   io.ReaderAt
	l      *label
	size   uint64
	bs     uint64
	over   map[uint64]change // blocks that the journal changed
	meta   map[place][]byte
	replay *replay // nil where the volume is clean
}

// place is a metadata block.
type place struct{ level, index uint64 }

var errLost = errors.New("the block is lost")

// openVolume is FORMAT.md, "Opening", for a reader. journal holds slot files by name.
func openVolume(file io.ReaderAt, journal map[string][]byte, have keys) (*volume, error) {
	l, err := readLabel(file, have)
	if err != nil {
		return nil, err
	}
	v := &volume{file: file, l: l, size: l.num("size"), bs: l.num("block size"), over: map[uint64]change{}, meta: map[place][]byte{}}
	if l.num("flags")&1 != 0 {
		return v, nil
	}
	v.replay = &replay{v: v, end: position{l.num("redo segment"), l.num("redo sequence"), l.hash("redo chain")}}
	return v, v.replay.run(journal, have)
}

func (v *volume) blocks() uint64 { return (v.size + v.bs - 1) / v.bs }

func power(base, n uint64) uint64 {
	p := uint64(1)
	for range n {
		p *= base
	}
	return p
}

// The formulas of FORMAT.md, "Layout".

func tagOffset(g, bs uint64) uint64 {
	pairs := g
	for l := uint64(1); l <= 4; l++ {
		pairs += g/power(200, l) + 1
	}
	return 131072 + g*168*bs + pairs*16384
}

func pairOffset(p place, bs uint64) uint64 {
	return tagOffset(p.index*power(200, p.level), bs) - p.level*16384
}

func dataOffset(b, bs uint64) uint64 { return tagOffset(b/168, bs) + 16384 + b%168*bs }

// read returns the content of a block: FORMAT.md, "Reading a block".
func (v *volume) read(b uint64) ([]byte, error) {
	if c, ok := v.over[b]; ok {
		switch c.kind {
		case opImage:
			return c.image, nil
		case opLost:
			return nil, errLost
		}
		return make([]byte, v.bs), nil
	}
	r, err := v.record(b)
	if err != nil {
		return nil, err
	}
	switch r.num("kind") {
	case 0, 1:
		return make([]byte, v.bs), nil
	case 3:
		return nil, errLost
	}
	return v.open(b, r)
}

// record returns a block's record; a block never written has one of zeros.
func (v *volume) record(b uint64) (structure, error) {
	none := doc.in("record", make([]byte, 48))
	tag, err := v.metadata(place{0, b / 168})
	if tag == nil || err != nil {
		return none, err
	}
	records := doc.in("tag block", tag).bytes("records")
	r := doc.in("record", records[48*(b%168):][:48])
	blank := zero(r.b[:32]) && r.num("key slot") == 0 && r.num("epoch") == 0
	switch r.num("kind") {
	case 0:
		blank = zero(r.b)
	case 2:
		blank = true
	}
	if !blank || r.num("kind") > 3 {
		return none, fmt.Errorf("block %d: malformed record", b)
	}
	return r, r.check()
}

// metadata returns a tag or tree block, nil where it does not exist.
func (v *volume) metadata(p place) ([]byte, error) {
	if b, ok := v.meta[p]; ok {
		return b, nil
	}
	present, slot, hash, err := v.named(p)
	if err != nil || !present {
		return nil, err
	}
	b := make([]byte, 8192)
	if _, err := v.file.ReadAt(b, int64(pairOffset(p, v.bs)+slot*8192)); err != nil {
		return nil, err
	}
	title := "tree block"
	if p.level == 0 {
		title = "tag block"
	}
	m := doc.in(title, b)
	if sha256.Sum256(b) != hash {
		return nil, fmt.Errorf("level %d block %d is not the one its parent names", p.level, p.index)
	}
	if err := m.check(); err != nil {
		return nil, err
	}
	if m.num("level") != p.level || m.num("index") != p.index || m.uuid("volume") != v.l.uuid("volume") ||
		m.num("checksum") != crc(b[:60], b[64:]) || m.num("generation") > v.l.num("generation") {
		return nil, fmt.Errorf("level %d block %d: header", p.level, p.index)
	}
	v.meta[p] = b
	return b, nil
}

// named is what the parent, or the label, says of a metadata block.
func (v *volume) named(p place) (present bool, slot uint64, hash [32]byte, err error) {
	height := v.l.num("height")
	if p.level == height {
		return v.l.num("root present") == 1 && p.index == 0, v.l.num("root slot"), v.l.hash("root hash"), nil
	}
	if p.index >= power(200, height-p.level) {
		return false, 0, hash, nil
	}
	parent, err := v.metadata(place{p.level + 1, p.index / 200})
	if parent == nil || err != nil {
		return false, 0, hash, err
	}
	entries := doc.in("tree block", parent).bytes("entries")
	e := doc.in("tree entry", entries[40*(p.index%200):][:40])
	if err := e.check(); err != nil {
		return false, 0, hash, err
	}
	if e.num("present") == 0 && !zero(e.b) || e.num("present") > 1 || e.num("slot") > 1 {
		return false, 0, hash, errors.New("malformed tree entry")
	}
	return e.num("present") == 1, e.num("slot"), e.hash("hash"), nil
}

// open reads a data block from its place and opens it.
func (v *volume) open(b uint64, r structure) ([]byte, error) {
	c := make([]byte, v.bs)
	if _, err := v.file.ReadAt(c, int64(dataOffset(b, v.bs))); err != nil {
		return nil, err
	}
	if crc(c) != r.num("checksum") {
		return nil, fmt.Errorf("block %d: checksum", b)
	}
	k := v.l.slots[r.num("key slot")]
	if k == nil {
		return nil, fmt.Errorf("block %d: key slot is not in use", b)
	}
	salt := k.epochs[uint32(r.num("epoch"))]
	if salt == nil {
		return nil, fmt.Errorf("block %d: no such epoch", b)
	}
	s := scope{volume: v.l.uuid("volume"), key: k.key, dek: k.dek, domain: 1, suite: k.suite, epoch: uint32(r.num("epoch")), salt: salt}
	p, err := s.open(b, c, r.bytes("nonce"), r.bytes("tag"))
	if err != nil {
		return nil, fmt.Errorf("block %d: %w", b, err)
	}
	return p, nil
}

// readAnchor is FORMAT.md, "Anchor".
func readAnchor(token string) (structure, error) {
	rest, ok := strings.CutPrefix(token, "coffer-anchor-1.")
	b, err := base64.RawURLEncoding.DecodeString(rest)
	if !ok || err != nil || len(b) != 80 {
		return structure{}, errors.New("not an anchor")
	}
	return doc.in("anchor", b), nil
}
