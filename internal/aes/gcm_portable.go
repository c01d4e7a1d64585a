package aes

import (
	"hash/crc32"
	"sync"
)

// Go's library wants ciphertext and tag side by side, so that jobs go by way of a
// buffer. It never holds plaintext.
var gcmBuffers = sync.Pool{New: func() any { return new([]byte) }}

// keepGCM bounds the buffers that are kept, in bytes.
const keepGCM = 1<<20 + 4096

// withBuffer calls f with n bytes of undefined content.
func withBuffer(n int, f func(buf []byte)) {
	p := gcmBuffers.Get().(*[]byte)
	if cap(*p) < n {
		*p = make([]byte, n)
	}
	f((*p)[:n])
	if cap(*p) <= keepGCM {
		gcmBuffers.Put(p)
	}
}

// longest returns the length of the longest message, with its tag.
func longest(jobs []GCMJob) int {
	n := 0
	for i := range jobs {
		n = max(n, len(jobs[i].Src))
	}
	return n + TagSize
}

func (g *GCM) sealPortable(jobs []GCMJob) {
	withBuffer(longest(jobs), func(buf []byte) {
		for i := range jobs {
			j := &jobs[i]
			out := g.aead.Seal(buf[:0], j.Nonce[:], j.Src, j.AD)
			copy(j.Dst, out)
			j.Tag = [TagSize]byte(out[len(j.Dst):])
		}
	})
}

func sumPortable(jobs []GCMJob) {
	for i := range jobs {
		jobs[i].CRC = crc32.Checksum(jobs[i].Dst, castagnoli)
	}
}

func (g *GCM) openPortable(jobs []GCMJob) (ok bool) {
	ok = true
	withBuffer(longest(jobs), func(buf []byte) {
		for i := range jobs {
			j := &jobs[i]
			n := copy(buf, j.Src)
			copy(buf[n:], j.Tag[:])
			_, err := g.aead.Open(j.Dst[:0:n], j.Nonce[:], buf[:n+TagSize], j.AD)
			j.OK = err == nil
			if !j.OK {
				ok = false
				j.CRC = crc32.Checksum(buf[:n], castagnoli)
				clear(j.Dst)
			}
		}
	})
	return ok
}
