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
// place. Versions are immutable but for the place of their image.
type version struct {
	seq   uint64 // of the commit; 0 for an image saved from its place for an old snapshot
	kind  verKind
	page  []byte    // nil when spilled or not an image
	spill *spillRef // set when page is nil and kind is verPage
	older *version
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
	o.bytes += t.redo
	o.commits = append(o.commits, pending{seq, o.bytes})
}

func rangesAt(seq uint64, in []rangeHole) []rangeHole {
	out := make([]rangeHole, len(in))
	for i, r := range in {
		out[i] = rangeHole{seq, r.first, r.n}
	}
	return out
}

// lastCommit returns the last commit at or before seq.
func (o *overlay) lastCommit(seq uint64) (p pending, ok bool) {
	i := sort.Search(len(o.commits), func(i int) bool { return o.commits[i].seq > seq })
	if i == 0 {
		return pending{}, false
	}
	return o.commits[i-1], true
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

// settle drops what a checkpoint at p made unnecessary for snapshots at or
// after oldest; free is called for every version dropped.
func (o *overlay) settle(p, oldest uint64, blocks []uint64, free func(*version)) {
	for _, b := range blocks {
		o.trim(b, p, oldest, free)
	}
	for b := range o.lingering {
		o.trim(b, p, oldest, free)
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

// trim drops the versions of a block at or below p unless a snapshot older
// than the newest of them still looks further down.
func (o *overlay) trim(b, p, oldest uint64, free func(*version)) {
	head := o.chains[b]
	var above *version
	v := head
	for v != nil && v.seq > p {
		above, v = v, v.older
	}
	if v == nil {
		delete(o.lingering, b)
		return
	}
	if oldest < v.seq {
		o.lingering[b] = struct{}{}
		return
	}
	delete(o.lingering, b)
	if above == nil {
		delete(o.chains, b)
	} else {
		above.older = nil
	}
	for ; v != nil; v = v.older {
		o.memory -= int64(len(v.page))
		free(v)
	}
}
