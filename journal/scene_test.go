package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"path"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fsx"
)

// scene is a closed journal of three segments under one key, each with six
// records synced one by one, and what an attacker may do to its folder.
type scene struct {
	t    *testing.T
	o    Options
	m    *fsx.Mem
	ids  []dek.ID
	want []string
	from Floor
	head Position
}

func newScene(t *testing.T, key int) *scene {
	ring, ids := keys(t, 2)
	s := &scene{t: t, ids: append(ids, dek.ID{})}
	s.o, s.m = memOptions(t, ring)
	s.write(s.ids[key])
	s.from = Floor{Generation: 1, Keys: []dek.ID{s.ids[key]}}
	return s
}

// write begins the journal and fills its three segments.
func (s *scene) write(key dek.ID) {
	j, err := Start(s.o, Position{}, key, 1, session(0))
	require.NoError(s.t, err)
	s.want = nil
	for n := range 3 {
		if n > 0 {
			require.NoError(s.t, j.Switch(bg, key))
		}
		for i := range 6 {
			r := fmt.Sprintf("segment %d record %d %s", n, i, strings.Repeat("x", 1000*(1+i%2)))
			s.want = append(s.want, r)
			put(s.t, j, r)
		}
	}
	s.head = j.Durable()
	require.NoError(s.t, j.Close(bg))
}

func (s *scene) name(segment int) string { return path.Join(s.o.Dir, slotName(segment)) }

func (s *scene) bytes(segment int) []byte {
	b, err := s.m.ReadFile(s.name(segment))
	require.NoError(s.t, err)
	return b
}

func (s *scene) set(segment int, b []byte) {
	require.NoError(s.t, s.m.WriteFile(s.name(segment), b))
}

func (s *scene) edit(segment int, f func(b []byte)) {
	b := s.bytes(segment)
	f(b)
	s.set(segment, b)
}

// frames returns where the frames of a segment lie: offset and length.
func (s *scene) frames(segment int) (list [][2]int) {
	slot, err := openFound(s.m, s.o.Dir, slotName(segment))
	require.NoError(s.t, err)
	defer closeFound([]*found{slot})
	w := newWalker(&slot.hdr, imagesOf([]*found{slot}), nil)
	for {
		f, err := w.next()
		require.NoError(s.t, err)
		if f == nil {
			return list
		}
		list = append(list, [2]int{int(f.off), len(f.raw)})
	}
}

// fix makes the checksum of the frame at off right again.
func fix(b []byte, off int) {
	f := b[off:]
	f = f[:frameHeaderSize+int(binary.LittleEndian.Uint32(f[8:]))]
	binary.LittleEndian.PutUint32(f[offFrameCRC:], frameCRC(f))
}

func fixHeader(b []byte) {
	binary.LittleEndian.PutUint32(b[offHeaderCRC:], headerCRC(b[:MinUnit]))
}

// kinds of result
const (
	tampered = "tampered"
	damaged  = "damaged"
	missing  = "missing"
	version  = "version"
	tail     = "tail"  // a prefix, with a tail reported
	short    = "short" // a prefix, and nothing to report: what only an anchor tells
	whole    = "whole"
)

func (s *scene) outcome() (kind string, detail error) {
	r, got, err := read(s.t, s.o, s.from)
	switch {
	case errors.Is(err, ErrMissing):
		require.ErrorIs(s.t, err, ErrDamaged)
		return missing, err
	case errors.Is(err, ErrTampered):
		return tampered, err
	case errors.Is(err, ErrDamaged):
		return damaged, err
	case errors.Is(err, ErrVersion):
		return version, err
	case err != nil:
		return "error", err
	}
	require.Equal(s.t, s.want[:len(got)], got)
	switch {
	case r.Tail != nil:
		return tail, nil
	case len(got) < len(s.want):
		return short, nil
	}
	require.Equal(s.t, s.head, r.End)
	return whole, nil
}

func flip(segment, frame, at int, right bool) func(*scene) {
	return func(s *scene) {
		list := s.frames(segment)
		off := list[(frame+len(list))%len(list)][0]
		s.edit(segment, func(b []byte) {
			b[off+at] ^= 1
			if right {
				fix(b, off)
			}
		})
	}
}

func swap(b []byte, x, y, n int) {
	t := append([]byte(nil), b[x:x+n]...)
	copy(b[x:x+n], b[y:y+n])
	copy(b[y:y+n], t)
}

func remove(segment int) func(*scene) {
	return func(s *scene) { require.NoError(s.t, s.m.Remove(s.name(segment))) }
}

// another replaces segment 2 by that of another journal under the same key.
func another(change func(*Options)) func(*scene) {
	return func(s *scene) {
		b := *s
		b.o, b.m = memOptions(s.t, s.o.Keys)
		change(&b.o)
		b.write(s.from.Keys[0])
		s.set(2, b.bytes(2))
	}
}

// plant adds a segment that continues the last one, under any key.
func (s *scene) plant(key dek.ID) {
	o, err := s.o.check()
	require.NoError(s.t, err)
	j := newJournal(o)
	last, err := openFound(s.m, s.o.Dir, slotName(3))
	require.NoError(s.t, err)
	f := s.frames(3)
	end := f[len(f)-1][0] + f[len(f)-1][1]
	require.NoError(s.t, last.file.Close())
	g, err := j.compose(predecessor{
		number: 3, segment: last.hdr.segment, end: s.head.Seq, chain: s.head.Chain, offset: uint64(roundUp(int64(end), 4096)),
	}, key, 1, session(7))
	require.NoError(s.t, err)
	s.set(4, g.hdr.encode(g.cipher))
	g.free()
}

// plantFrame adds an authentic frame behind the last one of a segment.
func (s *scene) plantFrame(number int) {
	last, err := openFound(s.m, s.o.Dir, slotName(number))
	require.NoError(s.t, err)
	require.NoError(s.t, last.file.Close())
	list := s.frames(number)
	g := &segment{hdr: last.hdr}
	require.NoError(s.t, g.unlock(&s.o))
	defer g.free()
	end := list[len(list)-1]
	s.edit(number, func(b []byte) {
		h, _ := decodeFrame(b[end[0]:])
		next := frameHeader{kind: kindEmpty, pad: true, seq: h.seq + 1, durable: h.seq, generation: 1, segment: h.segment, prev: h.chain}
		ad := frameAD(kindEmpty, next.seq, 0, g.hdr.volume, g.hdr.stream, g.hdr.segment)
		_, next.nonce, next.tag, err = g.cipher.Seal(nil, nil, ad[:])
		require.NoError(s.t, err)
		f := b[roundUp(int64(end[0]+end[1]), 4096):][:frameHeaderSize]
		next.encode(f)
		finishFrame(g.cipher, f)
	})
}
