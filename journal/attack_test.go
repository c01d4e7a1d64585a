package journal

import (
	"path"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fsx"
)

// TestAttacks is the table FORMAT.md points to: what is done to a journal whose
// records were all acknowledged, and what recovery says. The label it recovers from is the oldest possible one:
// it knows the beginning and nothing of what became durable, unless a case says so.
func TestAttacks(t *testing.T) {
	const enc, plain = 0, 2
	cases := []struct {
		name string
		key  int
		do   func(s *scene)
		want string
	}{
		{"nothing", enc, func(*scene) {}, whole},
		{"slot files renamed", enc, func(s *scene) {
			a, b := s.bytes(1), s.bytes(2)
			s.set(1, b)
			s.set(2, a)
		}, whole},

		{"frame payload, checksum left", enc, flip(2, 1, frameHeaderSize+5, false), damaged},
		{"frame payload, checksum made right", enc, flip(2, 1, frameHeaderSize+5, true), tampered},
		{"frame type, checksum made right", enc, flip(2, 1, 4, true), tampered},
		{"pad flag, checksum made right", enc, flip(2, 1, 5, true), tampered},
		{"sequence number, checksum made right", enc, flip(2, 1, offFrameSeq, true), tampered},
		{"durable mark, checksum made right", enc, flip(2, 2, offFrameDurable, true), tampered},
		{"generation, checksum made right", enc, flip(2, 1, offFrameGen, true), tampered},
		{"nonce, checksum made right", enc, flip(2, 1, offFrameNonce, true), tampered},
		{"tag, checksum made right", enc, flip(2, 1, offFrameTag, true), tampered},
		{"previous chain, checksum made right", enc, flip(2, 1, offFramePrev, true), tampered},
		{"chain, checksum made right", enc, flip(2, 1, offFrameChain, true), tampered},
		{"reserved, checksum made right", enc, flip(2, 1, offFrameEnd, true), tampered},
		{"last frame, checksum left", enc, flip(3, -1, frameHeaderSize+5, false), tail},
		{"last frame, checksum made right", enc, flip(3, -1, frameHeaderSize+5, true), tampered},
		{"last frame but one, checksum left", enc, flip(3, -2, frameHeaderSize+5, false), damaged},
		{"last frame of a segment with a successor", enc, flip(2, -1, frameHeaderSize+5, false), damaged},
		{"plain frame payload, checksum made right", plain, flip(2, 1, frameHeaderSize+5, true), tampered},
		{"padding", enc, func(s *scene) {
			s.edit(2, func(b []byte) { b[s.frames(2)[0][0]+s.frames(2)[0][1]+3] ^= 1 })
		}, whole},

		{"two frames swapped", enc, func(s *scene) {
			f := s.frames(2)
			s.edit(2, func(b []byte) { swap(b, f[0][0], f[2][0], f[0][1]) })
		}, tampered},
		{"two frames swapped in a plain segment", plain, func(s *scene) {
			f := s.frames(2)
			s.edit(2, func(b []byte) { swap(b, f[0][0], f[2][0], f[0][1]) })
		}, tampered},
		{"frame replayed over the next but one", enc, func(s *scene) {
			f := s.frames(3)
			s.edit(3, func(b []byte) { copy(b[f[5][0]:], b[f[3][0]:][:f[3][1]]) })
		}, tampered},
		{"frame appended to the end", enc, func(s *scene) {
			f := s.frames(3)
			s.edit(3, func(b []byte) { copy(b[f[5][0]+4096:], b[f[5][0]:][:f[5][1]]) })
		}, tampered},
		{"frame brought from another segment", enc, func(s *scene) {
			f, g := s.frames(2), s.frames(3)
			other := s.bytes(3)
			s.edit(2, func(b []byte) { copy(b[f[1][0]:], other[g[1][0]:][:g[1][1]]) })
		}, damaged},
		{"frame brought from another segment with its UUID changed", enc, func(s *scene) {
			f, g := s.frames(2), s.frames(3)
			other := s.bytes(3)
			s.edit(2, func(b []byte) {
				copy(b[f[1][0]:], other[g[1][0]:][:g[1][1]])
				copy(b[f[1][0]+offFrameSegment:], b[24:40])
				fix(b, f[1][0])
			})
		}, tampered},

		{"first segment removed", enc, remove(1), missing},
		{"middle segment removed", enc, remove(2), missing},
		{"last segment removed", enc, remove(3), short},
		{"last segment removed, label knows of it", enc, func(s *scene) { remove(3)(s); s.from.MustReach = 3 }, missing},
		{"last segment removed, label knows a frame of it", enc, func(s *scene) { remove(3)(s); s.from.DurableThrough = s.head.Seq - 2 }, damaged},
		{"all segments removed", enc, func(s *scene) { remove(1)(s); remove(2)(s); remove(3)(s) }, missing},
		{"tail cut at a frame", enc, func(s *scene) {
			f := s.frames(3)
			s.edit(3, func(b []byte) { clear(b[f[3][0]:]) })
		}, short},
		{"tail cut in a frame", enc, func(s *scene) {
			f := s.frames(3)
			s.edit(3, func(b []byte) { clear(b[f[3][0]+500:]) })
		}, tail},
		{"tail cut, label knows of it", enc, func(s *scene) {
			f := s.frames(3)
			s.edit(3, func(b []byte) { clear(b[f[3][0]:]) })
			s.from.DurableThrough = s.head.Seq - 1
		}, damaged},
		{"garbage behind the end", enc, func(s *scene) { s.edit(3, func(b []byte) { b[len(b)-1] = 1 }) }, tail},
		{"last file cut short behind the end", enc, func(s *scene) { s.set(3, s.bytes(3)[:32<<10]) }, whole},
		{"middle file cut short", enc, func(s *scene) { s.set(2, s.bytes(2)[:8192+100]) }, damaged},
		{"file emptied", enc, func(s *scene) { s.set(2, nil) }, missing},

		{"header damaged", enc, func(s *scene) { s.edit(2, func(b []byte) { b[30] ^= 1 }) }, missing},
		{"first header damaged", enc, func(s *scene) { s.edit(1, func(b []byte) { b[30] ^= 1 }) }, missing},
		{"last header damaged", enc, func(s *scene) { s.edit(3, func(b []byte) { b[30] ^= 1 }) }, damaged},
		{"last header damaged, one frame behind it", enc, func(s *scene) {
			f := s.frames(3)
			s.edit(3, func(b []byte) { b[30] ^= 1; clear(b[f[1][0]:]) })
		}, tail},
		{"header of another version", enc, func(s *scene) { s.edit(2, func(b []byte) { b[8] = 2; fixHeader(b) }) }, version},
		{"reserved byte behind the header", enc, func(s *scene) { s.edit(2, func(b []byte) { b[300] = 1; fixHeader(b) }) }, tampered},
		{"header of one segment on the frames of another", enc, func(s *scene) {
			other := s.bytes(2)
			s.edit(3, func(b []byte) { copy(b[:4096], other[:4096]) })
		}, short}, // as if the last segment were removed
		{"older state of the middle segment", enc, func(s *scene) {
			f := s.frames(2)
			s.edit(2, func(b []byte) { clear(b[f[2][0]:]) })
		}, damaged},

		{"segment of another stream", enc, another(func(o *Options) { o.Stream[0]++ }), missing},
		{"segment of another volume", enc, another(func(o *Options) { o.Volume[0]++ }), missing},
		{"segment of another journal of this stream", enc, another(func(*Options) {}), tampered},
		{"a second segment of a number", enc, func(s *scene) {
			b := s.bytes(2)
			another(func(*Options) {})(s)
			s.set(9, b)
		}, tampered},
		{"a second copy of a segment", enc, func(s *scene) { s.set(9, s.bytes(2)) }, whole},
		{"planted plain segment", enc, func(s *scene) { s.plant(s.ids[2]) }, tampered},
		{"planted segment under a former key", enc, func(s *scene) { s.plant(s.ids[1]) }, tampered},
		{"segment that continues in another place", enc, func(s *scene) { s.head.Chain[3] ^= 1; s.plant(s.ids[0]) }, tampered},
		{"frame behind the closing frame", enc, func(s *scene) { remove(3)(s); s.plantFrame(2) }, tampered},

		{"label older than the headers", enc, func(s *scene) { s.from.Generation = 0 }, tampered},
		{"label of another place", enc, func(s *scene) { s.from.Position = Position{Segment: 2, Seq: 9} }, tampered},
		{"label before the segment", enc, func(s *scene) { s.from.Position = Position{Segment: 2, Seq: 2} }, tampered},
		{"label behind the segment", enc, func(s *scene) { s.from.Position = Position{Segment: 1, Seq: 9} }, tampered},
		{"label behind the end", enc, func(s *scene) { s.from.Position = Position{Segment: 3, Seq: 99} }, damaged},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := newScene(t, c.key)
			c.do(s)
			before := s.m.Ops()
			got, err := s.outcome()
			require.Equal(t, c.want, got, "%v", err)
			require.Equal(t, before, s.m.Ops(), "recovery wrote")
			var where *SegmentError
			if err != nil {
				require.ErrorAs(t, err, &where)
			}
		})
	}
}

// TestFlipAnyByte: no change of any byte goes unnoticed but in what nobody reads, or yields anything but a prefix.
func TestFlipAnyByte(t *testing.T) {
	s := newScene(t, 0)
	s.from.DurableThrough, s.from.MustReach = s.head.Seq, s.head.Segment
	step := 1
	if testing.Short() {
		step = 7
	}
	for segment := 1; segment <= 3; segment++ {
		good := s.bytes(segment)
		used := map[int]bool{}
		for i := range headerSize {
			used[i] = true
		}
		for _, f := range s.frames(segment) {
			for i := range min(f[1], 400) {
				used[f[0]+i] = true
			}
		}
		for i := range len(good) {
			if !used[i] || i%step != 0 {
				continue
			}
			bad := append([]byte(nil), good...)
			bad[i] ^= 1 << (i % 8)
			s.set(segment, bad)
			got, err := s.outcome()
			require.Contains(t, []string{damaged, tampered, missing, version}, got, "byte %d of segment %d: %v", i, segment, err)
		}
		s.set(segment, good)
	}
}

// TestHeaderFields: every byte of a header is under its MAC, with the checksum made right.
func TestHeaderFields(t *testing.T) {
	for i := range offHeaderCRC {
		s := newScene(t, 0)
		s.edit(2, func(b []byte) { b[i] ^= 1; fixHeader(b) })
		got, err := s.outcome()
		require.Contains(t, []string{tampered, missing, version}, got, "byte %d: %v", i, err)
	}
}

// TestRollbackIsForTheAnchor records what the journal alone does not notice: an
// older state of all of it. The head that was saved does.
func TestRollbackIsForTheAnchor(t *testing.T) {
	s := newScene(t, 0)
	f := s.frames(3)
	s.edit(3, func(b []byte) { clear(b[f[4][0]:]) })
	r, got, err := read(t, s.o, s.from)
	require.NoError(t, err)
	require.Less(t, len(got), len(s.want))
	require.Nil(t, r.Tail)
	require.Less(t, r.End.Seq, s.head.Seq, "the saved head is not reached")

	// A fork goes on to the same number, with another chain.
	require.NoError(t, r.Settle(bg))
	j, err := r.Continue(s.ids[0], 1, session(1))
	require.NoError(t, err)
	put(t, j, "other", "history", "of", "this", "stream")
	require.GreaterOrEqual(t, j.Durable().Seq, s.head.Seq)
	require.NoError(t, j.Close(bg))
	chains := map[uint64][32]byte{}
	_, err = Recover(bg, s.o, s.from, func(f Frame) error { chains[f.Seq] = f.Chain; return nil })
	require.NoError(t, err)
	require.NotEqual(t, s.head.Chain, chains[s.head.Seq])
}

// TestForkSpliced: a segment of a fork does not fit into the other one.
func TestForkSpliced(t *testing.T) {
	s := newScene(t, 0)
	fork := func(records ...string) *fsx.Mem {
		m := s.m.Clone()
		o := s.o
		o.FS = m
		r, _, err := read(t, o, s.from)
		require.NoError(t, err)
		require.NoError(t, r.Settle(bg))
		j, err := r.Continue(s.ids[0], 1, session(1))
		require.NoError(t, err)
		put(t, j, records...)
		require.NoError(t, j.Switch(bg, s.ids[0]))
		put(t, j, "end")
		require.NoError(t, j.Close(bg))
		require.NoError(t, r.Close())
		return m
	}
	a, b := fork("one"), fork("two")
	var name string
	s.o.FS = a
	list, err := List(a, s.o.Dir)
	require.NoError(t, err)
	for _, i := range list {
		if i.Number == 4 {
			name = path.Join(s.o.Dir, i.Slot)
		}
	}
	other, err := b.ReadFile(name)
	require.NoError(t, err)
	require.NoError(t, a.WriteFile(name, other))
	_, _, err = read(t, s.o, s.from)
	require.ErrorIs(t, err, ErrTampered)
}

// Other bytes under the right key ID do not authenticate a header.
func TestOtherKeyUnderTheID(t *testing.T) {
	s := newScene(t, 0)
	ring := dek.NewKeyring()
	k, err := dek.Import(s.ids[0], make([]byte, 32))
	require.NoError(t, err)
	require.NoError(t, ring.Activate(k, dek.Database, dek.Active))
	s.o.Keys = ring
	got, err := s.outcome()
	require.Equal(t, tampered, got, "%v", err)
}

// Row J4: the error names the segment and the key.
func TestKeyNotActivated(t *testing.T) {
	s := newScene(t, 0)
	for name, ring := range map[string]*dek.Keyring{"another": dek.NewKeyring(), "none": nil} {
		t.Run(name, func(t *testing.T) {
			s.o.Keys = ring
			_, _, err := read(t, s.o, s.from)
			require.ErrorIs(t, err, ErrNotActivated)
			require.ErrorContains(t, err, "segment 1")
			require.ErrorContains(t, err, s.ids[0].String())
		})
	}
}

// Frames written for a newer label give an older one away.
func TestLabelOlderThanFrames(t *testing.T) {
	ring, ids := keys(t, 1)
	o, _ := memOptions(t, ring)
	j := start(t, o, ids[0])
	put(t, j, "a")
	j.SetGeneration(5)
	put(t, j, "b")
	require.NoError(t, j.Close(bg))
	for g, ok := range map[uint64]bool{4: false, 5: true, 6: true} {
		_, _, err := read(t, o, Floor{Generation: g, Keys: ids})
		if ok {
			require.NoError(t, err)
		} else {
			require.ErrorIs(t, err, ErrTampered)
		}
	}
}

// Scrub finds without keys what is damaged, and calls a tail unsettled.
func TestScrub(t *testing.T) {
	cases := []struct {
		name           string
		do             func(s *scene)
		bad, unsettled int
	}{
		{"good", func(*scene) {}, 0, 0},
		{"middle frame", flip(2, 1, frameHeaderSize+5, false), 1, 0},
		{"frame before the durable mark", flip(3, -2, frameHeaderSize+5, false), 1, 0},
		{"last frame", flip(3, -1, frameHeaderSize+5, false), 0, 1},
		{"swapped", func(s *scene) {
			f := s.frames(2)
			s.edit(2, func(b []byte) { swap(b, f[0][0], f[2][0], f[0][1]) })
		}, 1, 0},
		{"another's segment", another(func(*Options) {}), 2, 0}, // it continues nothing, and nothing continues it
		{"another stream's segment", another(func(o *Options) { o.Stream[0]++ }), 0, 0},
		{"foreign volume", another(func(o *Options) { o.Volume[0]++ }), 0, 0},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := newScene(t, 0)
			c.do(s)
			r, err := Scrub(bg, s.m, s.o.Dir, testVolume, 0)
			require.NoError(t, err)
			require.Len(t, r.Bad, c.bad, "%v", r.Bad)
			require.Len(t, r.Unsettled, c.unsettled)
		})
	}
	r, err := Scrub(bg, fsx.NewMem(1), "nowhere", testVolume, 0)
	require.NoError(t, err)
	require.Zero(t, r.Segments)
}

func TestListOfDamage(t *testing.T) {
	s := newScene(t, 0)
	s.edit(2, func(b []byte) { b[30] ^= 1 })
	list, err := List(s.m, s.o.Dir)
	require.NoError(t, err)
	require.Len(t, list, 3)
	require.Equal(t, StateDamaged, list[0].State)
	require.ErrorIs(t, list[0].Err, ErrDamaged)
	require.Equal(t, []uint64{0, 1, 3}, []uint64{list[0].Number, list[1].Number, list[2].Number})
	list, err = List(s.m, "nowhere")
	require.NoError(t, err)
	require.Empty(t, list)
}
