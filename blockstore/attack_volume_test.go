package blockstore

import (
	"bytes"
	"encoding/binary"

	"github.com/cofferdb/coffer/internal/fsx"
	"github.com/cofferdb/coffer/internal/seal"
)

var both = []int{0, 1}

// putBack puts both copies of a volume's label on another disk, or of another volume, into v.
func (a *arena) putBack(fs *fsx.Mem, name string, copies ...int) {
	for _, i := range copies {
		a.from(fs, name, labelOffsets[i], labelSize)
	}
}

func flip(off int64) func(*arena) {
	return func(a *arena) { a.edit("v", func(b []byte) { b[off] ^= 1 }) }
}

func plainLabel(a *arena) {
	l := a.label()
	l.slots[0] = newSlot(None, nil, l.volume, 0)
	raw := l.encode()
	if err := signLabel(raw, nil, l.volume); err != nil {
		a.t.Fatal(err)
	}
	a.edit("v", func(b []byte) { copy(b, raw); copy(b[labelTwo:], raw) })
}

func written(b uint64) bool { return b < 8 || b > 164 || b == 50 }

var labelAttacks = []attack{
	{name: "label 1 flipped", on: "clean", do: flip(100), label: true},
	{name: "label 2 flipped", on: "clean", do: flip(labelTwo + 100), label: true},
	{name: "label 2 flipped after a crash", on: "crashed", do: flip(labelTwo + 100), label: true},
	{name: "both labels flipped", on: "clean", do: func(a *arena) { flip(100)(a); flip(labelTwo + 100)(a) }, refuse: ErrDamaged},
	{name: "both labels zeroed", on: "clean", do: func(a *arena) { a.edit("v", func(b []byte) { clear(b[:dataStart]) }) }, refuse: ErrNotVolume},
	{name: "label 1 altered, checksum mended", on: "clean", do: func(a *arena) { a.relabel([]int{0}, func(b []byte) { b[184] ^= 1 }) }, refuse: ErrTampered},
	{name: "label 2 altered, checksum mended", on: "clean", do: func(a *arena) { a.relabel([]int{1}, func(b []byte) { b[184] ^= 1 }) }, refuse: ErrTampered},
	{name: "both labels altered, checksums mended", on: "clean", do: func(a *arena) { a.relabel(both, func(b []byte) { b[184] ^= 1 }) }, refuse: ErrTampered},
	{name: "label made newer, checksum mended", on: "clean", do: func(a *arena) { a.relabel([]int{1}, func(b []byte) { b[32]++ }) }, refuse: ErrTampered},
	{name: "MAC of both labels altered", on: "clean", do: func(a *arena) { a.relabel(both, func(b []byte) { b[offLabelMAC] ^= 1 }) }, refuse: ErrTampered},
	{name: "clean mark set by hand", on: "crashed", do: func(a *arena) { a.relabel(both, func(b []byte) { b[12] = flagClean }) }, refuse: ErrTampered},
	{name: "lineage altered", on: "clean", do: func(a *arena) { a.relabel(both, func(b []byte) { b[offLineage] ^= 1 }) }, refuse: ErrTampered},
	{name: "another suite named", on: "clean", only: []Suite{AESGCM, AESXTS}, do: func(a *arena) { a.relabel(both, func(b []byte) { b[offSlots+1] = byte(AESCBC) }) }, refuse: ErrTampered},
	{name: "another key named", on: "clean", only: keyed, do: func(a *arena) {
		a.relabel(both, func(b []byte) { copy(b[offSlots+8:], a.ids[1][:]) })
	}, refuse: ErrWrongKey},
	{name: "unknown key named", on: "clean", only: keyed, do: func(a *arena) { a.relabel(both, func(b []byte) { b[offSlots+8] ^= 1 }) }, refuse: ErrNotActivated},
	{name: "reserved bytes of the label set", on: "clean", do: func(a *arena) { a.relabel(both, func(b []byte) { b[offLabelMAC-1] = 1 }) }, refuse: ErrDamaged},
	{name: "format version of the label raised", on: "clean", do: func(a *arena) { a.relabel(both, func(b []byte) { b[8] = 2 }) }, refuse: ErrVersion},

	// The label alone is the root of trust: an older one names an older state. What the
	// blocks lost since is detected, what they gained is gone; the anchor tells.
	{name: "older label 1", on: "clean", do: func(a *arena) { a.putBack(a.past, "v", 0) }, label: true},
	{name: "both labels rolled back after a clean close", on: "clean", do: func(a *arena) { a.putBack(a.past, "v", both...) },
		bad: only(1, 2, 170), holds: func(a *arena) contents { return a.old }},
	{name: "both labels rolled back after a clean close, anchor", on: "clean", do: func(a *arena) { a.putBack(a.past, "v", both...) },
		options: func(a *arena, o *Options) { o.ExpectAnchor = &a.anchor }, refuse: ErrTampered},
	{name: "both labels rolled back after later checkpoints", on: "clean", do: func(a *arena) { a.putBack(a.first, "v", both...) },
		bad: all, refuseWrite: ErrTampered},
	{name: "both labels rolled back under a journal", on: "crashed", do: func(a *arena) { a.putBack(a.past, "v", both...) }, refuse: ErrTampered},
	{name: "clean label put back under a journal", on: "crashed", do: func(a *arena) { a.putBack(a.clean, "v", both...) }, refuse: ErrTampered, is: ErrJournalGoesOn},
	{name: "labels of another volume", on: "clean", do: func(a *arena) { a.putBack(a.now, "w", both...) }, bad: all, refuseWrite: ErrTampered},
	{name: "labels of another volume, UUID pinned", on: "clean", do: func(a *arena) { a.putBack(a.now, "w", both...) }, refuse: ErrTampered,
		options: func(a *arena, o *Options) { o.ExpectUUID = a.anchor.Volume }},
	{name: "label 2 of another volume", on: "clean", do: func(a *arena) { a.putBack(a.now, "w", 1) }, refuse: ErrTampered},
	{name: "labels of another volume under a journal", on: "crashed", do: func(a *arena) { a.putBack(a.now, "w", both...) }, refuse: ErrDamaged, is: ErrJournalMissing},

	{name: "downgrade to none", on: "clean", only: keyed, do: plainLabel, refuse: ErrState, is: ErrPlain,
		options: func(a *arena, o *Options) { o.AllowPlain = false }},
	{name: "downgrade to none, key pinned", on: "clean", only: keyed, do: plainLabel, refuse: ErrTampered,
		options: func(a *arena, o *Options) { o.ExpectKey = a.ids[0] }},
	{name: "downgrade to none, plain allowed", on: "clean", only: keyed, do: plainLabel, bad: written},
}

// swap exchanges n bytes at two places of v.
func swap(x, y func(a *arena) int64, n int64) func(*arena) {
	return func(a *arena) {
		i, j := x(a), y(a)
		a.edit("v", func(b []byte) {
			t := bytes.Clone(b[i : i+n])
			copy(b[i:i+n], b[j:j+n])
			copy(b[j:j+n], t)
		})
	}
}

func blockAt(n uint64) func(*arena) int64 { return func(a *arena) int64 { return a.block(n) } }

func tagAt(g uint64) func(*arena) int64 {
	return func(a *arena) int64 { now, _ := a.tagOffset(g); return now }
}

func rootAt(a *arena) int64 {
	l := a.label()
	return l.layout().slot(metaKey{1, 0}, l.root.slot)
}

func otherRoot(a *arena) int64 {
	l := a.label()
	return l.layout().slot(metaKey{1, 0}, l.root.slot^1)
}

// alter changes metadata at a place; with mend its checksum is right again.
func alter(at func(*arena) int64, mend bool, change func(b []byte)) func(*arena) {
	return func(a *arena) {
		off := at(a)
		a.edit("v", func(b []byte) {
			change(b[off:][:metaSize])
			if mend {
				mendMeta(b[off:])
			}
		})
	}
}

func copyIn(dst, src func(*arena) int64, n int64) func(*arena) {
	return func(a *arena) {
		i, j := dst(a), src(a)
		a.edit("v", func(b []byte) { copy(b[i:i+n], b[j:j+n]) })
	}
}

func record3(b []byte) []byte { return b[offMetaBody+3*recordSize:][:recordSize] }

var volumeAttacks = []attack{
	{name: "tag block flipped", on: "clean", do: alter(tagAt(0), false, func(b []byte) { b[100] ^= 1 }), bad: group(0)},
	{name: "tag block altered, checksum mended", on: "clean", do: alter(tagAt(0), true, func(b []byte) { record3(b)[0] ^= 1 }), bad: group(0)},
	{name: "record spliced", on: "clean", do: alter(tagAt(0), true, func(b []byte) { copy(record3(b), b[offMetaBody+4*recordSize:][:recordSize]) }), bad: group(0)},
	{name: "record made a hole", on: "clean", do: alter(tagAt(0), true, func(b []byte) { clear(record3(b)) }), bad: group(0)},
	{name: "tag blocks swapped between groups", on: "clean", do: swap(tagAt(0), tagAt(1), metaSize), bad: all},
	{name: "tag block of the other slot put back", on: "clean", do: func(a *arena) {
		now, other := a.tagOffset(1)
		a.edit("v", func(b []byte) { copy(b[now:now+metaSize], b[other:other+metaSize]) })
	}, bad: group(1)},
	{name: "tag block zeroed", on: "clean", do: alter(tagAt(1), false, func(b []byte) { clear(b) }), bad: group(1)},
	{name: "other slot of a tag block altered", on: "clean", do: func(a *arena) {
		_, other := a.tagOffset(1)
		a.edit("v", func(b []byte) { b[other+99] ^= 1 })
	}},
	{name: "tree block flipped", on: "clean", do: alter(rootAt, false, func(b []byte) { b[70] ^= 1 }), bad: all, refuseWrite: ErrTampered},
	{name: "tree block altered, checksum mended", on: "clean", do: alter(rootAt, true, func(b []byte) { b[70] ^= 1 }), bad: all, refuseWrite: ErrTampered},
	{name: "tree block of the other slot put back", on: "clean", do: copyIn(rootAt, otherRoot, metaSize), bad: all, refuseWrite: ErrTampered},
	{name: "child made absent in the tree block", on: "clean", do: alter(rootAt, true, func(b []byte) { clear(b[offMetaBody:][:entrySize]) }), bad: all, refuseWrite: ErrTampered},
	{name: "tag and tree block flipped under a journal", on: "crashed", do: alter(rootAt, true, func(b []byte) { b[70] ^= 1 }), refuseWrite: ErrTampered,
		bad: func(b uint64) bool { return !replayed(b) }},

	{name: "data block flipped", on: "clean", do: func(a *arena) { flip(a.block(3) + 7)(a) }, bad: only(3)},
	{name: "data blocks swapped", on: "clean", do: swap(blockAt(3), blockAt(4), 4096), bad: only(3, 4)},
	{name: "data blocks swapped between groups", on: "clean", do: swap(blockAt(3), blockAt(168), 4096), bad: only(3, 168)},
	{name: "data block zeroed", on: "clean", do: func(a *arena) {
		off := a.block(3)
		a.edit("v", func(b []byte) { clear(b[off : off+4096]) })
	}, bad: only(3)},
	{name: "old version of a block put back", on: "clean", do: func(a *arena) { a.from(a.past, "v", a.block(1), 4096) }, bad: only(1)},
	{name: "old run of blocks put back", on: "clean", do: func(a *arena) { a.from(a.first, "v", a.block(0), 4*4096) }, bad: only(0, 1, 2)},
	{name: "old group put back with its tag block", on: "clean", do: func(a *arena) {
		l := a.label().layout()
		a.from(a.past, "v", l.tagPair(1), int(pairSize+4*4096))
	}, bad: group(1)},
	{name: "everything but the label put back", on: "clean", do: func(a *arena) {
		b := a.read(a.past, "v")
		copy(b, a.read(a.disk, "v")[:dataStart])
		a.write("v", b)
	}, bad: all, refuseWrite: ErrTampered},
	{name: "block of another volume under the same key", on: "clean", do: func(a *arena) { a.from(a.now, "w", a.block(5), 4096) },
		bad: only(5)},
	{name: "tag block of another volume under the same key", on: "clean", do: func(a *arena) {
		now, _ := a.tagOffset(0)
		src := a.read(a.now, "w")[a.label().layout().tagPair(0):]
		a.edit("v", func(b []byte) { copy(b[now:now+metaSize], src) })
	}, bad: group(0)},

	// Without a key nobody forges a keyed volume. Suite none is no more than SHA-256: it holds against accidents.
	{name: "everything recomputed without a key", on: "clean", only: keyed, do: func(a *arena) { a.forge(3, pageOf(999)) }, refuse: ErrTampered},
	{name: "everything recomputed under suite none", on: "clean", only: []Suite{None}, do: func(a *arena) { a.forge(3, pageOf(999)) },
		holds: func(a *arena) contents { c := a.last(); c[3] = 999; return c }},
	{name: "block and its record's checksum altered", on: "clean", do: func(a *arena) {
		now, _ := a.tagOffset(0)
		off := a.block(3)
		a.edit("v", func(b []byte) {
			b[off] ^= 1
			binary.LittleEndian.PutUint32(record3(b[now:])[28:], seal.Checksum(b[off:off+4096]))
			mendMeta(b[now:])
		})
	}, bad: group(0)},
}
