package element

import (
	"sync"
	"sync/atomic"

	"github.com/cofferdb/coffer/internal/secmem"
)

// each calls work with every part of a batch, on this goroutine and on helpers as they find the time:
// it waits for parts that a helper has begun, and for none that has not come to begin.
func (k *streamKey) each(batch []segment, work func([]segment)) {
	grain := k.grain()
	parts := (len(batch) + grain - 1) / grain
	if parts < 2 || k.workers < 2 {
		work(batch)
		return
	}
	s := &sharing{batch: batch, grain: grain, work: work, done: make(chan struct{})}
	s.left.Store(int64(parts))
	for range min(k.workers, parts) - 1 {
		go s.help()
	}
	s.help()
	<-s.done
}

// A sharing is one batch that several goroutines work on.
type sharing struct {
	batch []segment
	grain int // segments of a part
	work  func([]segment)
	next  atomic.Int64  // number of the first part that nobody has taken
	left  atomic.Int64  // parts that are not done
	done  chan struct{} // closed when all are
}

// help works on parts until all are taken. A goroutine that comes too late touches nothing.
func (s *sharing) help() {
	for {
		begin := int(s.next.Add(1)-1) * s.grain
		if begin >= len(s.batch) {
			return
		}
		s.work(s.batch[begin:min(begin+s.grain, len(s.batch))])
		if s.left.Add(-1) == 0 {
			close(s.done)
		}
	}
}

// buffers keeps those of streams that have ended, wiped: their pages are dear.
var buffers sync.Pool // of *[]byte

// newBuffer returns n bytes of undefined content.
func newBuffer(n int) []byte {
	if p, ok := buffers.Get().(*[]byte); ok && cap(*p) >= n {
		return (*p)[:n]
	}
	return make([]byte, n)
}

// freeBuffer wipes and keeps b.
func freeBuffer(b []byte) {
	if len(b) > 0 {
		secmem.Wipe(b)
		buffers.Put(&b)
	}
}
