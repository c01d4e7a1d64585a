package nbd

import (
	"math/bits"
	"sync"
)

// budget bounds how much of something is in use. One goroutine takes, any may give.
type budget struct {
	mu   sync.Mutex // guards left
	more sync.Cond
	left int64
}

func newBudget(n int64) *budget {
	b := &budget{left: n}
	b.more.L = &b.mu
	return b
}

// take waits until n are free and takes them. n is at most what there is in all.
func (b *budget) take(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.left < n {
		b.more.Wait()
	}
	b.left -= n
}

// give returns n.
func (b *budget) give(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.left += n
	b.more.Signal()
}

// headroom is what a buffer has before the data, so that head and data of a reply go out in one piece.
const headroom = structSize + 8

// buffers are kept by size, powers of two from 4 KiB on, since a buffer made for
// each request would keep the collector busy.
var buffers [14]sync.Pool // 4 KiB << i of data

func bufferClass(n int) int { return max(bits.Len(uint(max(n, 1)-1)), 12) - 12 }

// getBuffer returns headroom and n bytes, at most maxPayload, which hold anything.
func getBuffer(n int) []byte {
	class := bufferClass(n)
	if b, ok := buffers[class].Get().(*[]byte); ok {
		return (*b)[:headroom+n]
	}
	return make([]byte, headroom+n, headroom+4096<<class)
}

// putBuffer takes a buffer of getBuffer back.
func putBuffer(b []byte) {
	class := bufferClass(cap(b) - headroom)
	b = b[:0]
	buffers[class].Put(&b)
}
