package formattest

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
)

// The kinds of records of FORMAT.md, "Backup".
const (
	kindBeginning = iota + 1
	kindGroup
	kindList
	kindSegment
	kindFrame
	kindLabel
	kindEnd
)

// backup is a backup that was read.
type backup struct {
	start, end structure
	l          *label
	groups     map[uint64]structure
	listed     map[uint64][32]byte
	slots      map[string][]byte // what the slot files of its segments would hold
	keys       map[[16]byte]bool // of the segments
}

// sparse is a file of which some places are known.
type sparse map[int64][]byte

func (s sparse) ReadAt(b []byte, off int64) (int, error) {
	have, ok := s[off]
	if !ok || len(have) != len(b) {
		return 0, fmt.Errorf("nothing is at %d", off)
	}
	return copy(b, have), nil
}

// readBackup is FORMAT.md, "Backup": structure, checksums, hash and counts.
func readBackup(b []byte) (*backup, error) {
	p := doc.in("backup preamble", b)
	if len(b) < 16 || p.check() != nil || p.num("version") != 1 {
		return nil, errors.New("not a backup")
	}
	k := &backup{groups: map[uint64]structure{}, listed: map[uint64][32]byte{}, slots: map[string][]byte{}, keys: map[[16]byte]bool{}}
	counts := map[uint64]uint64{}
	number := uint64(0)
	for off := 16; off < len(b); number++ {
		if k.end.b != nil || len(b)-off < 24 {
			return nil, errors.New("something behind the end, or cut short")
		}
		rec := doc.in("backup record", b[off:])
		n := int(rec.num("length"))
		if rec.check() != nil || rec.num("number") != number || n > len(b)-off-24 {
			return nil, fmt.Errorf("record %d", number)
		}
		raw := b[off : off+24+n]
		if at := rec.off("checksum"); rec.num("checksum") != crc(raw[:at], raw[at+4:]) {
			return nil, fmt.Errorf("checksum of record %d", number)
		}
		counts[rec.num("kind")]++
		if err := k.record(rec.num("kind"), raw[24:], sha256.Sum256(b[:off])); err != nil {
			return nil, fmt.Errorf("record %d: %w", number, err)
		}
		off += 24 + n
	}
	if k.end.b == nil || k.l == nil {
		return nil, errors.New("no end")
	}
	blocks := uint64(0)
	for _, g := range k.groups {
		blocks += uint64(len(g.b)-8224) / k.start.num("block size")
	}
	for name, n := range map[string]uint64{"groups": counts[kindGroup], "segments": counts[kindSegment], "frames": counts[kindFrame],
		"records": number, "blocks": blocks, "listed": uint64(len(k.listed))} {
		if k.end.num(name) != n {
			return nil, fmt.Errorf("%s: %d, the end says %d", name, n, k.end.num(name))
		}
	}
	return k, nil
}

func (k *backup) record(kind uint64, b []byte, before [32]byte) (err error) {
	switch kind {
	case kindBeginning:
		k.start = doc.in("backup beginning", b)
		if int(k.start.num("path length")) != len(b)-216 {
			return errors.New("path length")
		}
		return k.start.check()
	case kindGroup:
		g := doc.in("backup group", b)
		k.groups[g.num("group")] = g
	case kindList:
		for ; len(b) > 0; b = b[40:] {
			e := doc.in("backup list entry", b[:40])
			k.listed[e.num("group")] = e.hash("hash")
		}
	case kindSegment:
		name := fmt.Sprintf("segment-%06d", len(k.slots)+1)
		k.slots[name] = bytes.Clone(b)
		k.keys[doc.in("segment header", b).uuid("key")] = true
	case kindFrame:
		k.frame(b)
	case kindLabel:
		k.l, err = parseLabel(b)
	case kindEnd:
		k.end = doc.in("backup end", b)
		if k.end.hash("hash") != before || k.end.uuid("backup") != k.start.uuid("backup") {
			return errors.New("hash or ID")
		}
		return k.end.check()
	default:
		return errors.New("unknown kind")
	}
	return err
}

// frame puts a frame where it lies in its slot file: behind the one before, padded.
func (k *backup) frame(b []byte) {
	name := fmt.Sprintf("segment-%06d", len(k.slots))
	slot := append(k.slots[name], b...)
	if f := doc.in("frame", b); f.num("flags")&1 != 0 {
		unit := int(doc.in("segment header", slot).num("unit"))
		slot = append(slot, make([]byte, (unit-len(slot)%unit)%unit)...)
	}
	k.slots[name] = slot
}

// restore is FORMAT.md, "Restoring": the newest backup first. What comes back is read, not written.
func restore(chain []*backup, have keys) (*volume, error) {
	k := chain[0]
	if err := k.l.authenticate(have); err != nil {
		return nil, err
	}
	mac := macOf("coffer/1 backup mac", k.l.slots[k.l.num("MAC slot")].dek, k.start.uuid("volume"), k.end.b[:1200])
	if !hmac.Equal(mac, k.end.bytes("MAC")) {
		return nil, errors.New("the backup is altered")
	}
	for i, base := range chain[1:] {
		if sha256.Sum256(base.end.b) != chain[i].start.hash("base hash") || base.start.uuid("backup") != chain[i].start.uuid("base") {
			return nil, errors.New("another base")
		}
	}
	file := sparse{}
	v := &volume{file: file, l: k.l, size: k.start.num("size"), bs: k.start.num("block size"), over: map[uint64]change{}, meta: map[place][]byte{}}
	for g, hash := range k.listed {
		if err := v.group(g, hash, chain, file); err != nil {
			return nil, fmt.Errorf("group %d: %w", g, err)
		}
	}
	for g := range uint64(1000) { // groups that are not listed do not exist
		if _, ok := k.listed[g]; !ok {
			v.meta[place{0, g}] = nil
		}
	}
	return v, v.frames(k, have)
}

// group takes a tag block with the hash listed, and its blocks, from the newest backup that has them.
func (v *volume) group(g uint64, hash [32]byte, chain []*backup, file sparse) error {
	var tag []byte
	for _, k := range chain {
		have, ok := k.groups[g]
		if !ok {
			continue
		}
		own := have.bytes("tag block")
		if tag == nil && sha256.Sum256(own) == hash {
			tag = own
			v.meta[place{0, g}] = own
		}
		if tag == nil {
			return errors.New("a base has another tag block than is listed, and nothing newer has it")
		}
		data := have.b[8224:]
		for i := range uint64(168) {
			if have.bytes("blocks")[i/8]>>(i%8)&1 == 0 {
				continue
			}
			at := 64 + 48*i
			off := int64(dataOffset(168*g+i, v.bs))
			if _, known := file[off]; !known && bytes.Equal(own[at:at+48], tag[at:at+48]) {
				file[off] = data[:v.bs]
			}
			data = data[v.bs:]
		}
	}
	if tag == nil {
		return errors.New("no tag block")
	}
	return nil
}

// frames replays what the backup has of the journal, as a recovery from its beginning to its end.
func (v *volume) frames(k *backup, have keys) error {
	l := &label{structure: doc.in("label", bytes.Clone(k.l.b)), slots: k.l.slots, journal: k.keys, lineage: k.l.lineage}
	l.put("redo segment", k.start.num("segment"))
	l.put("redo sequence", k.start.num("sequence"))
	copy(l.bytes("redo chain"), k.start.bytes("chain"))
	l.put("must reach", k.end.num("segment"))
	l.put("durable through", k.end.num("sequence"))
	v.l = l
	v.replay = &replay{v: v, end: position{l.num("redo segment"), l.num("redo sequence"), l.hash("redo chain")}}
	if err := v.replay.run(k.slots, have); err != nil {
		return err
	}
	if v.replay.end.seq != k.end.num("sequence") || v.replay.end.chain != k.end.hash("chain") || v.size != k.end.num("size") {
		return errors.New("it does not end where it says")
	}
	return nil
}

func sum(b []byte) [32]byte { return sha256.Sum256(b) }
