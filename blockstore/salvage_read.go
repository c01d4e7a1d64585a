package blockstore

import (
	"errors"
	"fmt"

	"github.com/cofferdb/coffer/internal/fault"
)

// doubt is a block that no proven record vouches for.
type doubt struct {
	block uint64
	why   error
	dst   []byte
}

// stretch implements contentSource, and notes what it finds in the report.
func (v *salvage) stretch(b, end uint64, buf []byte) (uint64, []bool, error) {
	if n := v.s.holesFrom(b, end); n > 0 {
		v.report.Holes += n
		return n, nil, nil
	}
	n := stretchLen(b, end)
	images, err := v.read(b, buf[:n*uint64(v.s.lay.blockSize)])
	return n, images, err
}

// read takes consecutive blocks of one group: what is in the journal; else what
// a proven record vouches for; else, with records that nothing proves, what
// opens. An error is one of the spill file, nothing of the volume's.
func (v *salvage) read(first uint64, dst []byte) ([]bool, error) {
	bs := v.s.lay.blockSize
	images := make([]bool, int64(len(dst))/bs)
	m, broken := v.s.meta.get(metaKey{0, first / perGroup})
	var batch []placed
	var doubts []doubt
	for i := range images {
		b, d := first+uint64(i), dst[int64(i)*bs:][:bs:bs]
		known, image, err := v.s.readVersion(latest, b, d)
		switch {
		case errors.Is(err, ErrLost):
			v.report.lost(b, err)
		case err != nil:
			return nil, err
		case image:
			images[i] = true
			v.report.Copied++
		case known || broken == nil && m == nil:
			v.report.Holes++
		case broken != nil:
			doubts = append(doubts, doubt{b, broken, d})
		default:
			v.look(m, placed{block: b, dst: d}, &batch, &doubts)
		}
	}
	v.s.openPlaced(batch, false)
	for _, p := range batch {
		if p.err != nil {
			doubts = append(doubts, doubt{p.block, p.err, p.dst})
			continue
		}
		images[p.block-first] = true
		v.report.Copied++
	}
	for _, p := range v.settle(doubts) {
		images[p-first] = true
	}
	return images, nil
}

// look decides by a proven tag block what a block is.
func (v *salvage) look(m *metaBlock, p placed, batch *[]placed, doubts *[]doubt) {
	rec, err := m.record(int(p.block % perGroup))
	switch {
	case err != nil:
		*doubts = append(*doubts, doubt{p.block, err, p.dst})
	case rec.kind == recordNever, rec.kind == recordHole:
		v.report.Holes++
	case rec.kind == recordLost:
		v.report.lost(p.block, ErrLost)
	default:
		p.rec = rec
		*batch = append(*batch, p)
	}
}

// settle tries blocks of one group with the records in both slots of its tag
// block, whatever the rest of these is worth: a block that opens under one is
// authentic for its place. It returns, in order of block, those to be taken.
func (v *salvage) settle(doubts []doubt) (taken []uint64) {
	if len(doubts) == 0 {
		return nil
	}
	slots := v.tagSlots(doubts[0].block / perGroup)
	for _, d := range sortedDoubts(doubts) {
		if !v.tryRecords(d, slots) {
			clear(d.dst)
			v.report.lost(d.block, d.why)
			continue
		}
		v.report.unproven(d.block, d.why)
		if v.stale {
			taken = append(taken, d.block)
		}
	}
	return taken
}

// tagSlots reads both slots of a tag block; one that the disk does not give, or not whole, is nil.
func (v *salvage) tagSlots(g uint64) (slots [2]*metaBlock) {
	k := metaKey{0, g}
	for i := range slots {
		data := make([]byte, metaSize)
		if readFull(v.file, data, v.s.lay.slot(k, uint8(i))) == nil {
			slots[i] = &metaBlock{k, uint8(i), data}
		}
	}
	return slots
}

// tryRecords reports whether a block opens under a record that nothing proves.
// A record of suite none proves nothing at all, anyone can make one: in a volume
// whose label is under a key it never counts.
func (v *salvage) tryRecords(d doubt, slots [2]*metaBlock) bool {
	keyed := v.label.slots[v.label.macSlot].suite != None
	for _, m := range slots {
		if m == nil {
			continue
		}
		rec, err := m.record(int(d.block % perGroup))
		if err != nil || rec.kind != recordData || v.label.slots[rec.slot].state != slotLive ||
			keyed && v.label.slots[rec.slot].suite == None {
			continue
		}
		one := []placed{{block: d.block, rec: rec, dst: d.dst}}
		if v.s.openPlaced(one, false); one[0].err == nil {
			return true
		}
	}
	return false
}

// reason puts into a few words why a block is lost, so that neighbours can be listed as one.
func reason(err error) string {
	var b *BlockError
	var out errLeftOut
	what := "the block"
	if !errors.As(err, &b) && !errors.Is(err, ErrLost) {
		what = "the tag block, or a tree block over it,"
	}
	switch both := errors.Is(err, fault.Damaged); {
	case errors.Is(err, ErrLost):
		return "its loss was accepted earlier"
	case errors.Is(err, errCutShort):
		return what + " lies behind the end of the file"
	case both:
		return what + " is damaged"
	case errors.Is(err, fault.Tampered):
		return what + " is altered, or another one's"
	case errors.As(err, &out):
		return "its " + out.Error()
	}
	return fmt.Sprintf("%s cannot be read: %v", what, cause(err))
}

// cause is the innermost error, which names neither a block nor an offset.
func cause(err error) error {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err
		}
		err = next
	}
}
