package journal

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/seal"
)

// seedSlots returns the slots of small journals, plain and encrypted, with a
// switch, an aborted ticket, a batch of several frames and a copy that Settle made.
func seedSlots(f *testing.F, ring *dek.Keyring, keys ...dek.ID) (slots [][]byte) {
	for _, key := range keys {
		o, m := memOptions(f, ring)
		j := start(f, o, key)
		put(f, j, "one")
		t, err := j.Ticket(3)
		if err == nil {
			_, err = j.Append([]byte("three"))
		}
		t.Abort()
		if err == nil {
			err = j.Sync(bg)
		}
		if err == nil {
			err = j.Switch(bg, key)
		}
		if err != nil {
			f.Fatal(err)
		}
		put(f, j, "four", "five")
		_ = j.Close(bg)
		r, _, err := read(f, o, floor(key))
		if err == nil {
			err = r.Settle(bg)
		}
		if err != nil {
			f.Fatal(err)
		}
		for _, name := range files(f, o) {
			b, err := m.ReadFile(name)
			if err != nil {
				f.Fatal(err)
			}
			slots = append(slots, bytes.TrimRight(b, "\x00"))
		}
	}
	if len(slots) < 3*len(keys) {
		f.Fatalf("%d seeds", len(slots))
	}
	return slots
}

// FuzzHeader: what parses marshals to the same bytes.
func FuzzHeader(f *testing.F) {
	ring, ids := keys(f, 2)
	for _, s := range seedSlots(f, ring, append(ids, dek.ID{})...) {
		f.Add(s[:headerSize], false)
		f.Add(s[:headerSize], true)
	}
	f.Fuzz(func(t *testing.T, b []byte, right bool) {
		unit := make([]byte, MinUnit)
		copy(unit, b)
		if n, ok := headerUnit(unit); ok && n > MinUnit {
			unit = append(unit, make([]byte, n-MinUnit)...)
		}
		if right {
			binary.LittleEndian.PutUint32(unit[offHeaderCRC:], headerCRC(unit))
		}
		h, err := decodeHeader(unit)
		if err == nil && !bytes.Equal(h.marshal(), unit) {
			t.Fatalf("%+v marshals to other bytes", h)
		}
	})
}

// FuzzFrame: what parses encodes to the same bytes.
func FuzzFrame(f *testing.F) {
	ring, ids := keys(f, 2)
	for _, s := range seedSlots(f, ring, append(ids, dek.ID{})...) {
		if len(s) > MinUnit+frameHeaderSize {
			f.Add(s[MinUnit:][:frameHeaderSize])
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		h, ok := decodeFrame(b)
		if !ok {
			return
		}
		out := make([]byte, frameHeaderSize)
		h.encode(out)
		copy(out[offFrameChain:], h.chain[:])
		binary.LittleEndian.PutUint32(out[offFrameCRC:], h.crc)
		if !bytes.Equal(out, b[:frameHeaderSize]) {
			t.Fatalf("%+v encodes to other bytes", h)
		}
	})
}

// FuzzRecover: whatever lies in the slots, recovery ends, writes nothing, and
// what it accepts is accepted again after Settle and Continue. With right, the
// checksums and chains of a plain segment are made to match, as an attacker can.
func FuzzRecover(f *testing.F) {
	ring, ids := keys(f, 1)
	slots := seedSlots(f, ring, ids[0], dek.ID{})
	for i := 0; i+2 < len(slots); i += 3 {
		f.Add(slots[i], slots[i+1], slots[i+2], uint64(0), false)
		f.Add(slots[i], slots[i+1], []byte{}, uint64(3), true)
		f.Add(slots[i+1], slots[i], slots[i+1], uint64(2), true)
	}
	f.Fuzz(func(t *testing.T, a, b, c []byte, durable uint64, right bool) {
		o, m := memOptions(t, ring)
		if err := m.Mkdir(o.Dir, 0o700); err != nil {
			t.Fatal(err)
		}
		for i, s := range [][]byte{a, b, c} {
			if len(s) > 256<<10 {
				return
			}
			if right {
				s = makeRight(s)
			}
			if err := m.WriteFile(o.Dir+"/"+slotName(i+1), s); err != nil {
				t.Fatal(err)
			}
		}
		from := Floor{Generation: 1, Keys: []dek.ID{ids[0], {}}, DurableThrough: durable}
		ops := m.Ops()
		r, got, err := read(t, o, from)
		_, _ = Scrub(bg, m, o.Dir, testVolume, 0)
		_, _ = List(m, o.Dir)
		_, _ = GoesOn(o, from.Position)
		if m.Ops() != ops {
			t.Fatal("reading wrote")
		}
		if err != nil {
			return
		}
		if err := r.Settle(bg); err != nil {
			t.Fatal(err)
		}
		j, err := r.Continue(dek.ID{}, 1, session(1))
		if err != nil {
			t.Fatal(err)
		}
		put(t, j, "more")
		if err := j.Close(bg); err != nil {
			t.Fatal(err)
		}
		again, records, err := read(t, Options{FS: m.Crash(nil), Dir: o.Dir, Keys: ring, Volume: o.Volume, Stream: o.Stream}, from)
		if err != nil || len(records) != len(got)+1 || again.End != j.Durable() {
			t.Fatalf("%d records, then %d: %v", len(got), len(records), err)
		}
	})
}

// makeRight completes header and frames of a plain segment as they are.
func makeRight(s []byte) []byte {
	s = append([]byte(nil), s...)
	h, err := fixedHeader(s)
	if err != nil || !h.key.IsZero() {
		return s
	}
	c, err := seal.NewFrame(nil, h.volume, h.segment)
	if err != nil {
		return s
	}
	defer c.Close()
	copy(s, h.encode(c))
	prev := h.pred.chain
	for off := int(h.unit); off+frameHeaderSize <= len(s); {
		f, _ := decodeFrame(s[off:])
		end := off + frameHeaderSize + int(f.length)
		if f.length > 1<<20 || end > len(s) {
			break
		}
		f.segment, f.prev = h.segment, prev
		ad := frameAD(f.kind, f.seq, int(f.length), h.volume, h.stream, h.segment)
		if _, f.nonce, f.tag, err = c.Seal(nil, s[off+frameHeaderSize:end], ad[:]); err != nil {
			break
		}
		f.encode(s[off:])
		prev = finishFrame(c, s[off:end])
		off = end
		if f.pad {
			off = int(roundUp(int64(off), int64(h.unit)))
		}
	}
	return s
}

func fixedHeader(s []byte) (header, error) {
	unit, ok := headerUnit(s)
	if !ok || len(s) < unit {
		return header{}, errNoHeader
	}
	binary.LittleEndian.PutUint32(s[offHeaderCRC:], headerCRC(s[:unit]))
	return decodeHeader(s[:unit])
}
