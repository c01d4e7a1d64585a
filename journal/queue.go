package journal

import "sync"

type entryState uint8

const (
	entryOpen    entryState = iota + 1 // a ticket was taken
	entrySealing                       // and is being committed
	entryReady                         // sealed and handed over
)

// entry is a frame that is not yet written.
type entry struct {
	state entryState
	seg   *segment
	frame *frameBuf // when ready
	bytes int64     // reserved in the segment
}

// queue holds the entries from the first one not yet written to the last
// ticket, without gaps: a ring indexed by sequence number.
type queue struct {
	ring []entry // its length is a power of two
	base uint64  // sequence number of the first entry
	end  uint64  // of the one behind the last
	till uint64  // of the first one that is not ready
}

func (q *queue) reset(next uint64) { q.base, q.end, q.till = next, next, next }

// at returns the entry of a sequence number, nil where it is written or was never given.
func (q *queue) at(seq uint64) *entry {
	if seq < q.base || seq >= q.end {
		return nil
	}
	return &q.ring[seq&uint64(len(q.ring)-1)]
}

func (q *queue) push(e entry) {
	if n := uint64(len(q.ring)); q.end-q.base == n {
		grown := make([]entry, max(64, 2*n))
		for seq := q.base; seq < q.end; seq++ {
			grown[seq&uint64(len(grown)-1)] = q.ring[seq&(n-1)]
		}
		q.ring = grown
	}
	q.end++
	*q.at(q.end - 1) = e
}

// advance moves till on and reports whether it moved.
func (q *queue) advance() bool {
	old := q.till
	for q.till < q.end && q.at(q.till).state == entryReady {
		q.till++
	}
	return q.till != old
}

// pop drops the first entry.
func (q *queue) pop() {
	*q.at(q.base) = entry{}
	q.base++
}

// frameBuf is a sealed frame whose header is not finished. The bytes past len(b) up to its capacity are free for padding.
type frameBuf struct {
	head frameHeader
	b    []byte
}

var frameBufs = sync.Pool{New: func() any { return new(frameBuf) }}

// takeBuf returns a frame buffer with room for size bytes.
func takeBuf(size int64) *frameBuf {
	f := frameBufs.Get().(*frameBuf)
	if int64(cap(f.b)) < size {
		f.b = make([]byte, 0, size)
	}
	return f
}

// maxPooled bounds what a pooled buffer may keep.
const maxPooled = 2 << 20

func (f *frameBuf) release() {
	if cap(f.b) > maxPooled {
		return
	}
	f.b = f.b[:0]
	frameBufs.Put(f)
}
