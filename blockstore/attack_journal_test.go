package blockstore

import (
	"bytes"
	"encoding/binary"
	"path"
)

// replayed reports whether the journal of the crashed scene has an image of a block.
func replayed(b uint64) bool {
	switch b {
	case 0, 3, 168, 5:
		return true
	}
	return b >= 22 && b <= 46 && (b-22)%6 == 0 || b >= 34 && b <= 58 && (b-34)%6 == 0
}

// segmentAt picks a live segment: 0 the first, 1 a middle one, -1 the last.
func (a *arena) segmentAt(i int) attackSegment {
	s := a.live()
	if len(s) < 4 {
		a.t.Fatalf("%d segments are too few", len(s))
	}
	if i < 0 {
		return s[len(s)+i]
	}
	return s[i]
}

func remove(i int) func(*arena) {
	return func(a *arena) {
		if err := a.disk.Remove(a.segmentAt(i).path); err != nil {
			a.t.Fatal(err)
		}
	}
}

// inFrame changes a frame of a segment, counted from the front or from behind.
func inFrame(seg, frame int, change func(b []byte, f attackFrame)) func(*arena) {
	return func(a *arena) {
		s := a.segmentAt(seg)
		if frame < 0 {
			frame += len(s.frames)
		}
		a.edit(s.path, func(b []byte) { change(b, s.frames[frame]) })
	}
}

func flipPayload(b []byte, f attackFrame) { b[f.off+200] ^= 1 }

func flipMended(b []byte, f attackFrame) { b[f.off+200] ^= 1; mendFrame(b, f) }

func erase(b []byte, f attackFrame) { clear(b[f.off:f.end]) }

func header(seg int, change func(b []byte)) func(*arena) {
	return func(a *arena) {
		a.edit(a.segmentAt(seg).path, func(b []byte) { change(b); mendHeader(b) })
	}
}

// plant writes a segment into a slot of its own.
func (a *arena) plant(b []byte) { a.write("v.journal/segment-000099", b) }

// lastOf returns the state that is left when the journal's last n commits are gone.
func lastOf(n int) func(*arena) contents {
	return func(a *arena) contents { return a.states[len(a.states)-1-n] }
}

// commitsIn returns how many commits the last segment holds.
func commitsIn(a *arena) int {
	fresh := &arena{a.scene, a.t, a.now}
	return len(fresh.segmentAt(-1).frames)
}

func cutLast(n int) func(*arena) {
	return func(a *arena) {
		s := a.segmentAt(-1)
		if len(s.frames) < n {
			a.t.Fatalf("%d frames are too few", len(s.frames))
		}
		a.edit(s.path, func(b []byte) { clear(b[s.frames[len(s.frames)-n].off:]) })
	}
}

func expectAnchor(a *arena, o *Options) { o.ExpectAnchor = &a.anchor }

var journalAttacks = []attack{
	{name: "nothing", on: "crashed", do: func(*arena) {}},
	{name: "nothing, anchor", on: "crashed", do: func(*arena) {}, options: expectAnchor},
	{name: "journal gone", on: "crashed", do: func(a *arena) {
		for _, s := range a.segments(a.disk, 0) {
			if err := a.disk.Remove(s.path); err != nil {
				a.t.Fatal(err)
			}
		}
	}, refuse: ErrDamaged, is: ErrJournalMissing},
	{name: "first segment missing", on: "crashed", do: remove(0), refuse: ErrDamaged, is: ErrJournalMissing},
	{name: "middle segment missing", on: "crashed", do: remove(1), refuse: ErrDamaged, is: ErrJournalMissing},
	{name: "slots exchanged", on: "crashed", do: func(a *arena) { // a slot's name means nothing
		x, y := a.segmentAt(0), a.segmentAt(1)
		bx, by := a.read(a.disk, x.path), a.read(a.disk, y.path)
		a.write(x.path, by)
		a.write(y.path, bx)
	}},
	{name: "segment there twice", on: "crashed", do: func(a *arena) { a.plant(a.read(a.disk, a.segmentAt(1).path)) }},
	{name: "segments renumbered, checksums mended", on: "crashed", do: func(a *arena) {
		x, y := a.segmentAt(1), a.segmentAt(2)
		for path, n := range map[string]uint64{x.path: y.Number, y.path: x.Number} {
			a.edit(path, func(b []byte) {
				binary.LittleEndian.PutUint64(b[16:], n)
				binary.LittleEndian.PutUint64(b[128:], n-1)
				mendHeader(b)
			})
		}
	}, refuse: ErrDamaged},
	{name: "segment header flipped", on: "crashed", do: func(a *arena) { a.edit(a.segmentAt(1).path, func(b []byte) { b[60] ^= 1 }) }, refuse: ErrDamaged, is: ErrJournalMissing},
	{name: "segment header altered, checksum mended", on: "crashed", do: header(1, func(b []byte) { b[72] ^= 1 }), refuse: ErrTampered},
	{name: "segment's MAC altered", on: "crashed", do: header(-1, func(b []byte) { b[216] ^= 1 }), refuse: ErrTampered},
	{name: "segment said to be plain", on: "crashed", only: keyed, do: header(1, func(b []byte) { clear(b[88:108]) }), refuse: ErrTampered},

	{name: "durable frame flipped", on: "crashed", do: inFrame(1, 2, flipPayload), refuse: ErrDamaged},
	{name: "durable frame of the last segment flipped", on: "crashed", do: inFrame(-1, -2, flipPayload), refuse: ErrDamaged},
	{name: "durable frame altered, checksum mended", on: "crashed", do: inFrame(1, 2, flipMended), refuse: ErrTampered},
	{name: "durable frame's header altered, checksum mended", on: "crashed", do: inFrame(1, 2, func(b []byte, f attackFrame) { b[f.off+24] ^= 1; mendFrame(b, f) }), refuse: ErrTampered},
	{name: "durable frame erased", on: "crashed", do: inFrame(1, 2, erase), refuse: ErrDamaged},
	{name: "closing frame erased", on: "crashed", do: inFrame(1, -1, erase), refuse: ErrDamaged},
	{name: "frames exchanged", on: "crashed", do: func(a *arena) {
		s := a.segmentAt(1)
		x, y := s.frames[1], s.frames[2]
		a.edit(s.path, func(b []byte) {
			t := bytes.Clone(b[x.off:y.off])
			copy(b[x.off:], b[y.off:y.end])
			copy(b[y.off:], t)
		})
	}, refuse: ErrTampered},
	{name: "frame repeated", on: "crashed", do: func(a *arena) {
		s := a.segmentAt(1)
		a.edit(s.path, func(b []byte) { copy(b[s.frames[2].off:], b[s.frames[1].off:s.frames[1].end]) })
	}, refuse: ErrTampered},
	{name: "frame of another segment", on: "crashed", do: func(a *arena) {
		from, to := a.segmentAt(2), a.segmentAt(1)
		src := a.read(a.disk, from.path)[from.frames[2].off:from.frames[2].end]
		a.edit(to.path, func(b []byte) { copy(b[to.frames[2].off:], src) })
	}, refuse: ErrDamaged},

	// A cut tail looks like a power failure. It is opened as of the last commit that is left; only the anchor tells.
	{name: "last frame flipped", on: "crashed", do: inFrame(-1, -1, flipPayload), holds: lastOf(1)},
	{name: "last frame flipped, anchor", on: "crashed", do: inFrame(-1, -1, flipPayload), options: expectAnchor, refuse: ErrTampered},
	{name: "last frame altered, checksum mended", on: "crashed", do: inFrame(-1, -1, flipMended), refuse: ErrTampered},
	{name: "tail erased", on: "crashed", do: cutLast(2), holds: lastOf(2)},
	{name: "tail erased, anchor", on: "crashed", do: cutLast(2), options: expectAnchor, refuse: ErrTampered},
	{name: "tail cut off", on: "crashed", do: func(a *arena) {
		s := a.segmentAt(-1)
		a.write(s.path, a.read(a.disk, s.path)[:s.frames[len(s.frames)-2].off+100])
	}, holds: lastOf(2)},
	{name: "last segment missing", on: "crashed", do: remove(-1), holds: func(a *arena) contents { return lastOf(commitsIn(a))(a) }},
	{name: "last segment missing, anchor", on: "crashed", do: remove(-1), options: expectAnchor, refuse: ErrTampered},
	{name: "bytes behind the tail", on: "crashed", do: func(a *arena) {
		s := a.segmentAt(-1)
		a.edit(s.path, func(b []byte) { b[s.frames[len(s.frames)-1].end+4096] ^= 1 })
	}},

	{name: "segment of another volume in its place", on: "crashed", do: func(a *arena) {
		a.write(a.segmentAt(1).path, a.read(a.disk, "w.journal/segment-000001"))
	}, refuse: ErrDamaged, is: ErrJournalMissing},
	{name: "segment of another volume beside", on: "crashed", do: func(a *arena) { a.plant(a.read(a.disk, "w.journal/segment-000001")) }},
	{name: "segment of another session in its place", on: "crashed", do: func(a *arena) {
		last := a.segmentAt(-1)
		for _, s := range a.segments(a.fork, last.Number) {
			if s.Number == last.Number {
				a.write(last.path, a.read(a.fork, s.path))
				return
			}
		}
		a.t.Fatal("the fork has no such segment")
	}, refuse: ErrTampered},
	{name: "segment of another session beside", on: "crashed", do: func(a *arena) {
		n := a.segmentAt(-1).Number
		for _, s := range a.segments(a.fork, n) {
			a.plant(a.read(a.fork, s.path))
			return
		}
		a.t.Fatal("the fork has no such segment")
	}, refuse: ErrTampered},
	{name: "journal of another session", on: "crashed", do: func(a *arena) {
		for _, s := range a.segments(a.disk, 0) {
			if err := a.disk.Remove(s.path); err != nil {
				a.t.Fatal(err)
			}
		}
		for _, s := range a.segments(a.fork, 0) {
			a.write(path.Join("v.journal", s.Slot), a.read(a.fork, s.path))
		}
	}, refuse: ErrTampered},
	{name: "older journal", on: "crashed", do: func(a *arena) {
		for _, s := range a.segments(a.disk, 0) {
			if err := a.disk.Remove(s.path); err != nil {
				a.t.Fatal(err)
			}
		}
		for _, s := range a.segments(a.past, 0) {
			a.write(path.Join("v.journal", s.Slot), a.read(a.past, s.path))
		}
	}, holds: lastOf(30)},
}
