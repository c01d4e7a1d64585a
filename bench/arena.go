package bench

import "math/rand/v2"

// Sizes in bytes.
const (
	adSize    = 64 // additional data of a block, as internal/seal has it
	tagRoom   = 16
	apart     = 64 // between two blocks, tag included: a line of the cache, so that blocks begin with one
	nonceSize = 12
)

// An arena holds the buffers of every measurement, one after the other: Go's
// library and ours work on the same memory. Source and destination lie apart,
// as when a page is written out.
type arena struct {
	src, dst []byte
	keys     []byte // 64 bytes; XTS takes two keys
	ad       []byte
	nonces   [][nonceSize]byte
}

func newArena() *arena {
	a := &arena{src: make([]byte, maxTogether+maxBatch*apart), dst: make([]byte, maxTogether+maxBatch*apart), keys: make([]byte, 64),
		ad: make([]byte, adSize), nonces: make([][nonceSize]byte, maxBatch)}
	r := rand.NewChaCha8([32]byte{1}) // the content is of no importance, keys included
	for _, b := range [][]byte{a.src, a.keys, a.ad} {
		_, _ = r.Read(b) // never fails
	}
	for i := range a.nonces {
		_, _ = r.Read(a.nonces[i][:])
	}
	return a
}

// block returns the n-th blocks of a batch, with room for a tag behind each.
func (a *arena) block(i, size int) (dst, src []byte) {
	at := i * (size + apart)
	return a.dst[at : at+size : at+size+tagRoom], a.src[at : at+size : at+size+tagRoom]
}
