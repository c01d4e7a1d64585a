package blockstore

import "sort"

// verKind says what a version makes of its block.
type verKind uint8

const (
	verPage verKind = iota + 1 // an image
	verHole                    // zeros
	verLost                    // given up
)

// version is the state of one block as of one commit, newer than what lies in
// place. Of a version only older changes, under the store's mu: when images are
// saved below it, and when what is below it is dropped.
type version struct {
	seq   uint64 // of the commit; 0 for an image saved from its place for an old snapshot
	kind  verKind
	page  []byte    // nil when spilled or not an image
	spill *spillRef // set when page is nil and kind is verPage
	older *version
}

// tail returns the oldest version of a chain, nil of an empty one.
func (v *version) tail() *version {
	for v != nil && v.older != nil {
		v = v.older
	}
	return v
}

// rangeHole makes a run of blocks holes as of one commit.
type rangeHole struct{ seq, first, n uint64 }

func (r rangeHole) covers(b uint64) bool { return b >= r.first && b-r.first < r.n }

// sizeVer is the byte length as of one commit.
type sizeVer struct {
	seq  uint64
	size int64
}

// pending is a commit that was appended and may not be durable yet.
type pending struct {
	seq   uint64
	bytes int64 // all redo appended up to and with it
}

// overlay is everything committed since the last checkpoint, by block, with
// the older versions that snapshots still need. The store's mu guards it.
type overlay struct {
	chains    map[uint64]*version // newest first
	holes     []rangeHole         // in order of seq
	sizes     []sizeVer           // in order of seq; the first is at or before every snapshot
	commits   []pending           // in order; those after the last checkpoint
	bytes     int64               // redo appended in this session, or replayed at its beginning
	settled   int64               // of those, what the last checkpoint made unnecessary
	memory    int64               // bytes of images held in memory
	base      uint64              // sequence up to which what lies in place is published
	frozen    bool                // a checkpoint that passes snapshots is under way: what it found in place may be overwritten
	lingering map[uint64]struct{} // blocks whose chains reach below the checkpoint for old snapshots
}

func newOverlay(size int64) overlay {
	return overlay{chains: make(map[uint64]*version), sizes: []sizeVer{{0, size}}, lingering: make(map[uint64]struct{})}
}

// find returns the newest version of a block at or before snapshot snap. A nil
// version with hole true is a hole from a range; with false, what lies in place counts.
func (o *overlay) find(block, snap uint64) (v *version, hole bool) {
	v = o.chains[block]
	for v != nil && v.seq > snap {
		v = v.older
	}
	if len(o.holes) == 0 {
		return v, false
	}
	for i := len(o.holes) - 1; i >= 0; i-- {
		h := o.holes[i]
		if h.seq <= snap && h.covers(block) {
			if v == nil || v.seq < h.seq {
				return nil, true
			}
			break
		}
	}
	return v, false
}

// sizeAt returns the byte length at snapshot snap.
func (o *overlay) sizeAt(snap uint64) int64 {
	for i := len(o.sizes) - 1; i > 0; i-- {
		if o.sizes[i].seq <= snap {
			return o.sizes[i].size
		}
	}
	return o.sizes[0].size
}

// install adds what one commit wrote.
func (o *overlay) install(seq uint64, t *txState) {
	o.holes = append(o.holes, rangesAt(seq, t.ranges)...)
	for b, w := range t.writes {
		v := &version{seq: seq, kind: w.kind, page: w.page, spill: w.spill, older: o.chains[b]}
		o.chains[b] = v
		o.memory += int64(len(w.page))
	}
	if t.size != o.sizes[len(o.sizes)-1].size {
		o.sizes = append(o.sizes, sizeVer{seq, t.size})
	}
	o.grow(seq, t.redo)
}

// grow counts redo up to and with frame seq.
func (o *overlay) grow(seq uint64, redo int64) {
	o.bytes += redo
	o.commits = append(o.commits, pending{seq, o.bytes})
}

func rangesAt(seq uint64, in []rangeHole) []rangeHole {
	out := make([]rangeHole, len(in))
	for i, r := range in {
		out[i] = rangeHole{seq, r.first, r.n}
	}
	return out
}

// blocksUpTo lists, in order, the blocks with a version in (after, upTo].
func (o *overlay) blocksUpTo(after, upTo uint64) []uint64 {
	var out []uint64
	for b, v := range o.chains {
		for v != nil && v.seq > upTo {
			v = v.older
		}
		if v != nil && v.seq > after {
			out = append(out, b)
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i] < out[j] })
	return out
}

// count returns how many blocks from first up to end have a version.
func (o *overlay) count(first, end uint64) (n uint64) {
	for b := range o.chains {
		if b >= first && b < end {
			n++
		}
	}
	return n
}

// settle drops what a checkpoint at p made unnecessary for the snapshots, given
// in order; free is called for every version dropped.
func (o *overlay) settle(p uint64, snaps []uint64, blocks []uint64, free func(*version)) {
	o.base, o.frozen = p, false
	oldest := uint64(latest)
	if len(snaps) > 0 {
		oldest = snaps[0]
	}
	for _, b := range blocks {
		o.trim(b, p, snaps, free)
	}
	for b := range o.lingering {
		o.trim(b, p, snaps, free)
	}
	limit := min(p, oldest)
	n := 0
	for n < len(o.holes) && o.holes[n].seq <= limit {
		n++
	}
	o.holes = append(o.holes[:0:0], o.holes[n:]...)
	for len(o.sizes) > 1 && o.sizes[1].seq <= limit {
		o.sizes = o.sizes[1:]
	}
	n = sort.Search(len(o.commits), func(i int) bool { return o.commits[i].seq > p })
	if n > 0 {
		o.settled = o.commits[n-1].bytes
	}
	o.commits = append(o.commits[:0:0], o.commits[n:]...)
}

// trim drops the versions of a block at or below p that nobody can see: all of
// them, where every snapshot sees the newest state, which may be a hole of a
// range; else all but that one and those that a snapshot sees. Ranges that hide
// a version from a snapshot are put in their place in the row, since settle forgets them.
func (o *overlay) trim(b, p uint64, snaps []uint64, free func(*version)) {
	var above *version
	v := o.chains[b]
	for v != nil && v.seq > p {
		above, v = v, v.older
	}
	top := o.newest(b, v, p)
	linger := v != nil && len(snaps) > 0 && snaps[0] < top
	last, before := above, top
	for w := v; w != nil; w = w.older {
		if h := o.firstHole(b, w.seq, before); linger && h < before {
			if seen(snaps, h, before) {
				hole := &version{seq: h, kind: verHole}
				if last == nil {
					o.chains[b] = hole
				} else {
					last.older = hole
				}
				last = hole
			}
			before = h
		}
		if !linger || w.seq != top && !seen(snaps, w.seq, before) { // top stays: what lies in place by now, for who sees past the older ones
			o.memory -= int64(len(w.page))
			free(w)
			continue
		}
		if last == nil {
			o.chains[b] = w
		} else {
			last.older = w
		}
		last, before = w, w.seq
	}
	if last == nil {
		delete(o.chains, b)
	} else {
		last.older = nil
	}
	if last != above {
		o.lingering[b] = struct{}{}
	} else {
		delete(o.lingering, b)
	}
}

// newest returns the sequence of a block's newest state at or below p: of v, its
// newest version there, or of a range of holes.
func (o *overlay) newest(b uint64, v *version, p uint64) (seq uint64) {
	if v != nil {
		seq = v.seq
	}
	for _, h := range o.holes {
		if h.seq <= p && h.seq > seq && h.covers(b) {
			seq = h.seq
		}
	}
	return seq
}

// firstHole returns the sequence of the first range of holes over a block between
// two versions of it, before where there is none.
func (o *overlay) firstHole(b, after, before uint64) uint64 {
	for _, h := range o.holes {
		if h.seq > after && h.seq < before && h.covers(b) {
			return h.seq
		}
	}
	return before
}

// seen reports whether a snapshot lies in [from, before).
func seen(snaps []uint64, from, before uint64) bool {
	i := sort.Search(len(snaps), func(i int) bool { return snaps[i] >= from })
	return i < len(snaps) && snaps[i] < before
}
