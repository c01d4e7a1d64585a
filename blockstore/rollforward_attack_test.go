package blockstore

import (
	"bytes"
	"context"
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// forwardArena is a forwardScene's disk in the hands of an attacker without keys.
type forwardArena struct {
	*arena
	c    *forwardScene
	from uint64 // last frame of the backup
	segs []attackSegment
}

// behind returns the first segment behind the backup that has so many frames, and is there once.
func (f *forwardArena) behind(frames int) attackSegment {
	f.t.Helper()
	for i, g := range f.segs {
		once := (i == 0 || f.segs[i-1].Number != g.Number) && (i == len(f.segs)-1 || f.segs[i+1].Number != g.Number)
		if g.First > f.from && len(g.frames) >= frames && once {
			return g
		}
	}
	f.t.Fatalf("no segment of %d frames", frames)
	return attackSegment{}
}

// frame changes a frame and mends its checksum, as one who lacks the key can.
func (f *forwardArena) frame(g attackSegment, i int, change func(raw []byte)) {
	f.edit(g.path, func(b []byte) {
		at := g.frames[i]
		was := bytes.Clone(b[at.off:at.end])
		change(b[at.off:at.end])
		require.NotEqual(f.t, was, b[at.off:at.end])
		mendFrame(b, at)
	})
}

// header changes a header and mends its checksum.
func (f *forwardArena) header(g attackSegment, change func(b []byte)) {
	f.edit(g.path, func(b []byte) {
		change(b)
		mendHeader(b)
	})
}

// forwardAttacks are on the kept segments, with every checksum right: what is restored is a state that was, or nothing is.
var forwardAttacks = []struct {
	name string
	do   func(f *forwardArena)
}{
	{"a frame's ciphertext", func(f *forwardArena) { f.frame(f.behind(3), 1, func(r []byte) { r[160] ^= 1 }) }},
	{"a frame's last byte", func(f *forwardArena) { f.frame(f.behind(3), 1, func(r []byte) { r[len(r)-1] ^= 1 }) }},
	{"a frame's tag", func(f *forwardArena) { f.frame(f.behind(3), 1, func(r []byte) { r[72] ^= 1 }) }},
	{"a frame's flags", func(f *forwardArena) { f.frame(f.behind(3), 1, func(r []byte) { r[5] ^= 1 }) }},
	{"a frame's kind", func(f *forwardArena) { f.frame(f.behind(3), 1, func(r []byte) { r[4] ^= 1 }) }},
	{"a frame's sequence", func(f *forwardArena) { f.frame(f.behind(3), 1, func(r []byte) { r[16]++ }) }},
	{"what a frame says is durable", func(f *forwardArena) { f.frame(f.behind(3), 1, func(r []byte) { r[24]-- }) }},
	{"a frame's generation", func(f *forwardArena) { f.frame(f.behind(3), 1, func(r []byte) { r[32] ^= 1 }) }},
	{"a frame's chain", func(f *forwardArena) { f.frame(f.behind(3), 1, func(r []byte) { r[120] ^= 1 }) }},
	{"the chain of the frame before", func(f *forwardArena) { f.frame(f.behind(3), 1, func(r []byte) { r[88] ^= 1 }) }},
	{"a frame in the place of the next", func(f *forwardArena) {
		g := f.sameSize()
		b := f.read(f.disk, g.path)
		f.frame(g, 2, func(r []byte) { copy(r, b[g.frames[1].off:g.frames[1].end]) })
	}},
	{"a frame in the place of the next, with its sequence", func(f *forwardArena) {
		g := f.sameSize()
		b := f.read(f.disk, g.path)
		f.frame(g, 2, func(r []byte) {
			seq := binary.LittleEndian.Uint64(r[16:])
			copy(r, b[g.frames[1].off:g.frames[1].end])
			binary.LittleEndian.PutUint64(r[16:], seq)
		})
	}},
	{"a frame cut out", func(f *forwardArena) {
		g := f.sameSize()
		f.edit(g.path, func(b []byte) { copy(b[g.frames[1].off:], b[g.frames[2].off:]) })
	}},
	{"a header's number", func(f *forwardArena) { f.header(f.behind(3), func(b []byte) { b[16] += 50 }) }},
	{"a header's UUID", func(f *forwardArena) { f.header(f.behind(3), func(b []byte) { b[24] ^= 1 }) }},
	{"a header's volume", func(f *forwardArena) { f.header(f.behind(3), func(b []byte) { b[40] ^= 1 }) }},
	{"a header's stream", func(f *forwardArena) { f.header(f.behind(3), func(b []byte) { b[56] ^= 1 }) }},
	{"a header's session", func(f *forwardArena) { f.header(f.behind(3), func(b []byte) { b[72] ^= 1 }) }},
	{"another key named by a header", func(f *forwardArena) { f.header(f.behind(3), func(b []byte) { copy(b[88:], f.c.ids[2][:]) }) }},
	{"a header made plain", func(f *forwardArena) { f.header(f.behind(3), func(b []byte) { clear(b[88:108]) }) }},
	{"a header's first frame", func(f *forwardArena) { f.header(f.behind(3), func(b []byte) { b[120]++ }) }},
	{"where a header says the one before ends", func(f *forwardArena) { f.header(f.behind(3), func(b []byte) { b[152]-- }) }},
	{"the chain a header goes on from", func(f *forwardArena) { f.header(f.behind(3), func(b []byte) { b[168] ^= 1 }) }},
	{"a segment under the number of another", func(f *forwardArena) {
		g := f.behind(3)
		b := f.read(f.disk, f.segs[len(f.segs)-1].path)
		binary.LittleEndian.PutUint64(b[16:], g.Number)
		mendHeader(b)
		f.write(g.path, b)
	}},
	{"a second image of a segment, altered", func(f *forwardArena) {
		b := f.read(f.disk, f.behind(3).path)
		b[24] ^= 1
		mendHeader(b)
		f.plant(b)
	}},
}

// sameSize is a segment whose frames 1 and 2 are of one length.
func (f *forwardArena) sameSize() attackSegment {
	for _, g := range f.segs {
		if g.First > f.from && len(g.frames) > 3 && g.frames[1].end-g.frames[1].off == g.frames[2].end-g.frames[2].off {
			return g
		}
	}
	f.t.Fatal("no segment has two such frames")
	return attackSegment{}
}

// TestRollForwardAttacks: whoever can write the kept segments, checksums included, but has no key, gets nothing into a
// restored volume: it is refused, whether plain volumes are allowed or not.
func TestRollForwardAttacks(t *testing.T) {
	c := newForwardScene(t)
	o := c.options(c.fs)
	begun, err := InspectBackup("/b", &o)
	require.NoError(t, err)
	for i, a := range forwardAttacks {
		t.Run(a.name, func(t *testing.T) {
			f := &forwardArena{arena: &arena{scene: &scene{keys: c.keys, ids: c.ids}, t: t, disk: c.fs.Crash(rand.New(rand.NewPCG(9, uint64(i))))}, c: c, from: begun.Last}
			f.segs = f.segments(f.disk, 1)
			a.do(f)
			for _, plain := range []bool{false, true} {
				_, err := c.restore(t, f.disk, func(o *RestoreOptions) { o.AllowPlain = plain })
				require.True(t, isBad(err), "plain %v: %v", plain, err)
			}
		})
	}
}

// TestRollForwardPlainForged: a plain segment behind the last one is refused, too; with AllowPlain, which is the
// caller's word for segments that anybody can make, it is what anybody made.
func TestRollForwardPlainForged(t *testing.T) {
	c := newForwardScene(t)
	disk := c.fs.Clone()
	require.NoError(t, disk.WriteFile("v.journal/segment-000099", forgeSegment(t, lastSegment(t, disk, "v.journal"), 5, page(31337))))
	_, err := c.restore(t, disk, func(o *RestoreOptions) { o.AllowPlain = false })
	require.ErrorIs(t, err, ErrTampered)
	o := restoreOptions(disk)
	o.JournalDir, o.AllowPlain = "v.journal", true
	_, err = Restore(context.Background(), "/b", "r", c.keys, o)
	require.NoError(t, err)
	require.Equal(t, page(31337), read1(t, reopenAs(t, disk, c.keys, "r"), 5))
}
