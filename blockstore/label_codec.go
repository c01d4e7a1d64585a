package blockstore

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/seal"
)

const (
	labelMagic   = "COFFERV1"
	labelVersion = 1

	offSlots       = 256
	slotBytes      = 512
	epochBytes     = 48
	offJournalKeys = offSlots + maxSlots*slotBytes      // 4352
	offLineage     = offJournalKeys + maxJournalKeys*16 // 4864
	offRetain      = 208
	offRegistry    = 212
	offReserved3   = 249
	offRestored    = offLineage + maxLineage*32 // 6912
	offLabelMAC    = 8128
	offLabelCRC    = 8188
)

// Flags of the label.
const (
	flagClean     = 1
	flagBackwards = 2
)

// encode lays the label out; MAC and checksum are left zero for [signLabel].
func (l *label) encode() []byte {
	b := make([]byte, labelSize)
	le := binary.LittleEndian
	copy(b, labelMagic)
	le.PutUint16(b[8:], labelVersion)
	le.PutUint16(b[10:], labelVersion)
	var flags uint32
	if l.clean {
		flags |= flagClean
	}
	if l.backwards {
		flags |= flagBackwards
	}
	le.PutUint32(b[12:], flags)
	copy(b[16:], l.volume[:])
	le.PutUint64(b[32:], l.generation)
	le.PutUint32(b[40:], uint32(l.blockSize))
	b[44] = l.height
	if l.root.present {
		b[45], b[46] = 1, l.root.slot
		copy(b[64:], l.root.hash[:])
	}
	le.PutUint64(b[48:], uint64(l.size))
	le.PutUint64(b[56:], l.blocks())
	copy(b[96:], l.stream[:])
	le.PutUint64(b[112:], l.redo.Segment)
	le.PutUint64(b[120:], l.redo.Seq)
	copy(b[128:], l.redo.Chain[:])
	le.PutUint64(b[160:], l.mustReach)
	le.PutUint64(b[168:], l.durableThrough)
	b[176], b[177] = l.writeSlot, l.macSlot
	b[178], b[179], b[180] = byte(l.conv.op), l.conv.from, l.conv.to
	b[181], b[182] = byte(len(l.journalKeys)), byte(len(l.lineage))
	le.PutUint64(b[184:], uint64(l.created))
	copy(b[192:], l.journalKey[:])
	le.PutUint32(b[offRetain:], uint32(l.retain))
	l.registry.encode(b[offRegistry:offReserved3])
	le.PutUint64(b[offRestored:], l.restored)
	for i := range l.slots {
		l.slots[i].encode(b[offSlots+i*slotBytes:][:slotBytes])
	}
	for i, k := range l.journalKeys {
		copy(b[offJournalKeys+i*16:], k[:])
	}
	for i, s := range l.lineage {
		e := b[offLineage+i*32:]
		copy(e, s.id[:])
		le.PutUint64(e[16:], s.ordinal)
		le.PutUint64(e[24:], s.first)
	}
	return b
}

func (k *keySlot) encode(b []byte) {
	if k.state == slotFree {
		return
	}
	le := binary.LittleEndian
	b[0], b[1], b[2], b[3] = byte(k.state), byte(k.suite), byte(k.bits/8), byte(len(k.epochs))
	copy(b[8:], k.key[:])
	copy(b[24:], k.check[:])
	for i, e := range k.epochs {
		p := b[40+i*epochBytes:]
		le.PutUint32(p, e.number)
		copy(p[8:], e.salt[:])
		le.PutUint64(p[40:], e.reserved)
	}
}

// signLabel puts MAC and checksum on an encoded label. key is nil for a volume under suite none.
func signLabel(b []byte, key *dek.Key, volume UUID) error {
	mac, err := seal.LabelMAC(key, volume, b[:offLabelMAC])
	if err != nil {
		return fmt.Errorf("blockstore: MAC of the label: %w", err)
	}
	copy(b[offLabelMAC:], mac[:])
	binary.LittleEndian.PutUint32(b[offLabelCRC:], crc32.Checksum(b[:offLabelCRC], castagnoli))
	return nil
}

// decodeLabel parses one copy. It checks the checksum and every bound, not the
// MAC, for which a key is needed.
func decodeLabel(b []byte) (*label, error) {
	le := binary.LittleEndian
	if len(b) < labelSize || string(b[:8]) != labelMagic {
		return nil, fmt.Errorf("blockstore: no label: %w", fault.NotFormat)
	}
	b = b[:labelSize]
	if le.Uint32(b[offLabelCRC:]) != crc32.Checksum(b[:offLabelCRC], castagnoli) {
		return nil, fmt.Errorf("blockstore: checksum of the label is wrong: %w", fault.Damaged)
	}
	if r, w := le.Uint16(b[8:]), le.Uint16(b[10:]); r != labelVersion || w != labelVersion {
		return nil, fmt.Errorf("blockstore: label of format version %d (to be written as %d), this build knows %d: %w", r, w, labelVersion, fault.Version)
	}
	l := &label{
		volume:         UUID(b[16:32]),
		generation:     le.Uint64(b[32:]),
		blockSize:      int(le.Uint32(b[40:])),
		height:         b[44],
		size:           int64(le.Uint64(b[48:])),
		clean:          le.Uint32(b[12:])&flagClean != 0,
		backwards:      le.Uint32(b[12:])&flagBackwards != 0,
		created:        int64(le.Uint64(b[184:])),
		stream:         UUID(b[96:112]),
		mustReach:      le.Uint64(b[160:]),
		durableThrough: le.Uint64(b[168:]),
		writeSlot:      b[176],
		macSlot:        b[177],
		conv:           conversion{operation(b[178]), b[179], b[180]},
		journalKey:     dek.ID(b[192:208]),
		retain:         int32(le.Uint32(b[offRetain:])),
		registry:       decodeRegistryRef(b[offRegistry:offReserved3]),
		restored:       le.Uint64(b[offRestored:]),
	}
	l.redo.Segment, l.redo.Seq, l.redo.Chain = le.Uint64(b[112:]), le.Uint64(b[120:]), [32]byte(b[128:160])
	l.root = childRef{b[45] == 1, b[46], [32]byte(b[64:96])}
	if err := l.decodeTables(b); err != nil {
		return nil, err
	}
	if err := l.check(b); err != nil {
		return nil, fmt.Errorf("blockstore: malformed label: %w: %w", err, fault.Damaged)
	}
	return l, nil
}

func (l *label) decodeTables(b []byte) error {
	le := binary.LittleEndian
	for i := range l.slots {
		if err := l.slots[i].decode(b[offSlots+i*slotBytes:][:slotBytes]); err != nil {
			return fmt.Errorf("blockstore: malformed label: key slot %d: %w: %w", i, err, fault.Damaged)
		}
	}
	keys, sessions := int(b[181]), int(b[182])
	if keys == 0 || keys > maxJournalKeys || sessions > maxLineage || sessions == 0 {
		return fmt.Errorf("blockstore: malformed label: %d journal keys, %d sessions: %w", keys, sessions, fault.Damaged)
	}
	for i := range keys {
		l.journalKeys = append(l.journalKeys, dek.ID(b[offJournalKeys+i*16:][:16]))
	}
	for i := range sessions {
		e := b[offLineage+i*32:]
		l.lineage = append(l.lineage, session{UUID(e[:16]), le.Uint64(e[16:]), le.Uint64(e[24:])})
	}
	return nil
}

func (k *keySlot) decode(b []byte) error {
	le := binary.LittleEndian
	*k = keySlot{state: slotState(b[0])}
	if k.state == slotFree {
		return allZero(b)
	}
	k.suite, k.bits = seal.Suite(b[1]), int(b[2])*8
	epochs := int(b[3])
	k.key, k.check = dek.ID(b[8:24]), [16]byte(b[24:40])
	if k.state > slotLive || epochs == 0 || epochs > maxEpochs {
		return fmt.Errorf("state %d with %d epochs", k.state, epochs)
	}
	if k.suite == seal.SuiteNone {
		if k.bits != 0 || !k.key.IsZero() {
			return fmt.Errorf("suite none with a key")
		}
	} else if err := k.suite.Valid(k.bits); err != nil {
		return err
	}
	for i := range epochs {
		p := b[40+i*epochBytes:]
		k.epochs = append(k.epochs, epoch{le.Uint32(p), [32]byte(p[8:40]), le.Uint64(p[40:])})
		if le.Uint32(p[4:]) != 0 {
			return fmt.Errorf("epoch %d has reserved bytes set", i)
		}
		if i > 0 && k.epochs[i].number <= k.epochs[i-1].number {
			return fmt.Errorf("epochs out of order")
		}
	}
	if err := allZero(b[4:8]); err != nil {
		return err
	}
	return allZero(b[40+epochs*epochBytes:])
}

// check holds the bounds of the fixed fields and the reserved bytes.
func (l *label) check(b []byte) error {
	lay, err := newLayout(int64(l.blockSize))
	if err != nil {
		return err
	}
	if err := lay.checkSize(l.size); err != nil {
		return err
	}
	le := binary.LittleEndian
	live := func(s uint8) bool { return s < maxSlots && l.slots[s].state == slotLive }
	switch {
	case le.Uint32(b[12:])&^(flagClean|flagBackwards) != 0, b[47] != 0, b[183] != 0:
		return fmt.Errorf("unknown flags")
	case le.Uint64(b[56:]) != l.blocks():
		return fmt.Errorf("%d blocks do not hold %d bytes", le.Uint64(b[56:]), l.size)
	case l.height < 1 || l.height > maxLevel || heightFor(l.blocks()) > l.height:
		return fmt.Errorf("tree of height %d", l.height)
	case b[45] > 1 || l.root.slot > 1 || !l.root.present && l.root != (childRef{}):
		return fmt.Errorf("malformed root")
	case !live(l.writeSlot) || !live(l.macSlot):
		return fmt.Errorf("write slot %d or MAC slot %d is not in use", l.writeSlot, l.macSlot)
	case l.conv.op > opRekey,
		l.conv.op == opNone && (l.conv != conversion{} || l.macSlot != l.writeSlot),
		l.conv.op != opNone && (!live(l.conv.from) || !live(l.conv.to) || l.conv.from == l.conv.to),
		l.conv.op == opDecrypt && (l.macSlot != l.conv.from || l.slots[l.conv.to].suite != seal.SuiteNone ||
			l.writeSlot != l.conv.from && l.writeSlot != l.conv.to),
		(l.conv.op == opEncrypt || l.conv.op == opRekey) && (l.macSlot != l.conv.to || l.writeSlot != l.conv.to):
		return fmt.Errorf("malformed conversion record")
	}
	if err := l.checkDirection(); err != nil {
		return err
	}
	if l.retain < -1 {
		return fmt.Errorf("%d segments to be kept", l.retain)
	}
	if err := l.registry.check(); err != nil {
		return err
	}
	if err := l.checkCounters(); err != nil {
		return err
	}
	for _, r := range [][]byte{b[offReserved3:offSlots], b[offJournalKeys+16*len(l.journalKeys) : offLineage],
		b[offLineage+32*len(l.lineage) : offRestored], b[offRestored+8 : offLabelMAC], b[offLabelMAC+32 : offLabelCRC]} {
		if err := allZero(r); err != nil {
			return err
		}
	}
	return nil
}

// checkDirection holds that a conversion leads where its operation says: a
// label without a key must not pass for one on the way from a key.
func (l *label) checkDirection() error {
	none := func(s uint8) bool { return l.slots[s].suite == seal.SuiteNone }
	switch c := l.conv; {
	case c.op == opEncrypt && (!none(c.from) || none(c.to)),
		c.op == opDecrypt && (none(c.from) || !none(c.to)),
		c.op == opRekey && (none(c.from) || none(c.to)):
		return fmt.Errorf("a conversion that does not lead where it says")
	}
	return nil
}

// maxCounter bounds every counter of a label, so that none overflows: no volume lives that long.
const maxCounter = 1 << 62

func (l *label) checkCounters() error {
	all := []uint64{l.generation, l.redo.Segment, l.redo.Seq, l.mustReach, l.durableThrough, l.restored}
	for i := range l.slots {
		for _, e := range l.slots[i].epochs {
			all = append(all, e.reserved)
		}
	}
	for _, s := range l.lineage {
		all = append(all, s.ordinal, s.first)
	}
	for _, n := range all {
		if n > maxCounter {
			return fmt.Errorf("a counter of %d", n)
		}
	}
	return nil
}

func allZero(b []byte) error {
	for _, c := range b {
		if c != 0 {
			return fmt.Errorf("reserved bytes are not zero")
		}
	}
	return nil
}
