package blockstore

import (
	"bytes"
	"context"
	"encoding/binary"
	"hash/crc32"
	"path"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fsx"
	"github.com/cofferdb/coffer/internal/seal"
	"github.com/cofferdb/coffer/internal/tune"
	"github.com/cofferdb/coffer/journal"
)

// attackBlocks is the size of the volumes under attack: two groups.
const attackBlocks = 172

// contents is what a volume holds: for each block the seed of its page, 0 for zeros.
type contents [attackBlocks]uint64

var attackPages sync.Map // seed to page

func pageOf(seed uint64) []byte {
	if seed == 0 {
		return make([]byte, 4096)
	}
	p, _ := attackPages.LoadOrStore(seed, page(seed))
	return p.([]byte)
}

// scene is a disk that holds volume v, another volume w under the same key, and
// what an attacker kept of both.
//
//	clean    v after three sessions, closed; past is v after two of them
//	crashed  v with a journal of several segments behind its last checkpoint;
//	         past is v shortly before that checkpoint
type scene struct {
	keys   *dek.Keyring
	ids    []dek.ID
	suite  Suite
	first  *fsx.Mem // v after its first session
	clean  *fsx.Mem // v when it was last closed
	now    *fsx.Mem
	past   *fsx.Mem
	fork   *fsx.Mem   // another life of v since the past, in a session of its own
	states []contents // after the last checkpoint and after each commit since
	old    contents   // of past
	anchor Anchor     // of the last commit
	redo   journal.Position
}

func attackOptions(fs fsx.FS) Options {
	o := testOptions(fs)
	o.Tune = tune.Store{Inline: true}
	return o
}

func (sc *scene) open(t testing.TB, fs *fsx.Mem, name string) *Store {
	t.Helper()
	o := attackOptions(fs)
	s, err := Open(name, sc.keys, &o)
	require.NoError(t, err)
	return s
}

// put commits one page and notes the state.
func (sc *scene) put(t testing.TB, s *Store, block, seed uint64) {
	t.Helper()
	write1(t, s, block, pageOf(seed))
	next := sc.states[len(sc.states)-1]
	next[block] = seed
	sc.states = append(sc.states, next)
}

func (sc *scene) last() contents { return sc.states[len(sc.states)-1] }

// settle says that everything so far is in place.
func (sc *scene) settle() { sc.states = []contents{sc.last()} }

func cleanScene(t testing.TB, suite Suite) *scene {
	t.Helper()
	fs := fsx.NewMem(1)
	keys, ids := ring(t, 2)
	sc := &scene{keys: keys, ids: ids, suite: suite, states: []contents{{}}}
	for i, name := range []string{"w", "v"} {
		s, err := Create(name, keys, CreateOptions{Options: attackOptions(fs), Size: attackBlocks * 4096, BlockSize: 4096, Suite: suite, Key: ids[0]})
		require.NoError(t, err)
		sc.states = []contents{{}}
		for b := range uint64(attackBlocks) {
			if b < 8 || b > 164 {
				sc.put(t, s, b, 1100-1000*uint64(i)+b)
			}
		}
		require.NoError(t, s.Close())
	}
	sc.first = fs.Clone()
	s := sc.open(t, fs, "v")
	sc.put(t, s, 0, 200)
	sc.put(t, s, 169, 201)
	require.NoError(t, s.Close())
	sc.past, sc.old = fs.Clone(), sc.last()
	s = sc.open(t, fs, "v")
	for _, b := range []uint64{1, 2, 50, 170} {
		sc.put(t, s, b, 300+b)
	}
	sc.anchor = s.Anchor()
	require.NoError(t, s.Close())
	sc.settle()
	sc.now = fs.Clone()
	sc.clean = sc.now
	return sc
}

func crashedScene(t testing.TB, suite Suite) *scene {
	t.Helper()
	sc := cleanScene(t, suite)
	fs := sc.now.Clone()
	s := sc.open(t, fs, "v")
	sc.write(t, s, 400, 12)
	require.NoError(t, s.Checkpoint(context.Background()))
	sc.write(t, s, 450, 12)
	sc.past, sc.old = fs.Clone(), sc.last()
	sc.fork = sc.past.Clone()
	require.NoError(t, s.Checkpoint(context.Background()))
	sc.settle()
	sc.write(t, s, 500, 30)
	sc.anchor, sc.redo = s.Anchor(), s.label.Load().redo
	w := sc.open(t, fs, "w")
	for i := range uint64(30) {
		write1(t, w, i, pageOf(600+i))
	}
	sc.now = fs.Kill().Clone()
	_, _ = s.Close(), w.Close() // of the dead process: only the leases matter
	f := sc.open(t, sc.fork, "v")
	for i := range uint64(45) {
		write1(t, f, i, pageOf(700+i))
	}
	sc.fork = sc.fork.Kill().Clone()
	_ = f.Close()
	return sc
}

// write makes n commits over a few old and new blocks.
func (sc *scene) write(t testing.TB, s *Store, seed uint64, n int) {
	t.Helper()
	for i := range uint64(n) {
		sc.put(t, s, []uint64{0, 3, 20 + i, 168, 30 + i, 5}[i%6], seed+i)
	}
}

// arena is a copy of a scene for one attack.
type arena struct {
	*scene
	t    *testing.T
	disk *fsx.Mem
}

func (a *arena) read(fs *fsx.Mem, name string) []byte {
	b, err := fs.ReadFile(name)
	require.NoError(a.t, err)
	return b
}

func (a *arena) write(name string, b []byte) { require.NoError(a.t, a.disk.WriteFile(name, b)) }

// edit changes a file in place.
func (a *arena) edit(name string, change func(b []byte)) {
	b := a.read(a.disk, name)
	change(b)
	a.write(name, b)
}

// from puts a range of the same file on another disk, or of another file, back into v.
func (a *arena) from(fs *fsx.Mem, name string, off int64, n int) {
	src := a.read(fs, name)
	a.edit("v", func(b []byte) { copy(b[off:][:n], src[off:]) })
}

func (a *arena) label() *label {
	b := a.read(a.disk, "v")
	l, err := decodeLabel(b[:labelSize])
	require.NoError(a.t, err)
	return l
}

// relabel changes both copies of the label and mends their checksums, as one who lacks the key can.
func (a *arena) relabel(copies []int, change func(b []byte)) {
	a.edit("v", func(b []byte) {
		for _, i := range copies {
			raw := b[labelOffsets[i]:][:labelSize]
			change(raw)
			binary.LittleEndian.PutUint32(raw[offLabelCRC:], crc32.Checksum(raw[:offLabelCRC], castagnoli))
		}
	})
}

// tagOffset returns where the tag block of a group lies now; other is its other slot.
func (a *arena) tagOffset(g uint64) (now, other int64) {
	l := a.label()
	root := a.read(a.disk, "v")[l.layout().slot(metaKey{1, 0}, l.root.slot):][:metaSize]
	m := &metaBlock{metaKey{1, 0}, l.root.slot, root}
	c, err := m.entry(int(g))
	require.NoError(a.t, err)
	require.True(a.t, c.present)
	return l.layout().slot(metaKey{0, g}, c.slot), l.layout().slot(metaKey{0, g}, c.slot^1)
}

func mendMeta(b []byte) { binary.LittleEndian.PutUint32(b[offMetaCRC:], metaCRC(b[:metaSize])) }

func (a *arena) block(b uint64) int64 { return a.label().layout().block(b) }

// segment is a journal segment as the attacker finds it.
type attackSegment struct {
	journal.SegmentInfo
	path   string
	frames []attackFrame
}

type attackFrame struct{ off, end int64 }

// segments lists the live segments of v's journal on a disk, by number, with where their frames lie.
func (a *arena) segments(fs *fsx.Mem, from uint64) []attackSegment {
	list, err := journal.List(fs, "v.journal")
	require.NoError(a.t, err)
	var out []attackSegment
	for _, i := range list {
		if i.Err != nil || i.Number < from {
			continue
		}
		s := attackSegment{SegmentInfo: i, path: path.Join("v.journal", i.Slot)}
		raw := a.read(fs, s.path)
		for off := int64(4096); off < int64(len(raw)) && string(raw[off:off+4]) == "CFRF" && bytes.Equal(raw[off+40:off+56], i.UUID[:]); {
			end := off + 160 + int64(binary.LittleEndian.Uint32(raw[off+8:]))
			s.frames = append(s.frames, attackFrame{off, end})
			off = (end + 4095) &^ 4095
		}
		out = append(out, s)
	}
	slices.SortFunc(out, func(x, y attackSegment) int { return int(x.Number) - int(y.Number) })
	return out
}

func (a *arena) live() []attackSegment { return a.segments(a.disk, a.redo.Segment) }

func mendFrame(b []byte, f attackFrame) {
	raw := b[f.off:f.end]
	binary.LittleEndian.PutUint32(raw[12:], crc32.Update(crc32.Checksum(raw[:12], castagnoli), castagnoli, raw[16:]))
}

func mendHeader(b []byte) {
	binary.LittleEndian.PutUint32(b[252:], crc32.Update(crc32.Checksum(b[:252], castagnoli), castagnoli, b[256:4096]))
}

// forge rewrites a block, its record, the tree and the label without any key,
// with every checksum and hash that can be made without one.
func (a *arena) forge(block uint64, data []byte) {
	f, err := a.disk.Open("v", 2, 0)
	require.NoError(a.t, err)
	defer f.Close()
	l := a.label()
	none := seal.Block{Position: block, Src: data, Dst: make([]byte, len(data))}
	c, err := seal.New(None, nil, seal.Scope{Volume: l.volume, Domain: seal.DomainVolume, Epoch: l.write().current().number})
	require.NoError(a.t, err)
	require.NoError(a.t, c.Seal([]seal.Block{none}))
	batch := []seal.Block{none}
	require.NoError(a.t, c.Seal(batch))
	_, err = f.WriteAt(batch[0].Dst, l.layout().block(block))
	require.NoError(a.t, err)
	e := newMetaTree(f, l).edit()
	m, err := e.block(metaKey{0, block / perGroup}, true)
	require.NoError(a.t, err)
	r, err := m.record(int(block % perGroup))
	require.NoError(a.t, err)
	r.tag, r.nonce, r.crc = batch[0].Tag, batch[0].Nonce, batch[0].CRC
	m.setRecord(int(block%perGroup), &r)
	l.root, err = e.flush(l.height, l.generation)
	require.NoError(a.t, err)
	raw := l.encode()
	require.NoError(a.t, signLabel(raw, nil, l.volume))
	for _, off := range labelOffsets {
		_, err = f.WriteAt(raw, off)
		require.NoError(a.t, err)
	}
}
