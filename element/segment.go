package element

import (
	"encoding/binary"
	"sync"

	"github.com/cofferdb/coffer/internal/aes"
)

// A segment is one of a batch. Plain is as long as Sealed without its header; it lies
// there, in place, or apart.
type segment struct {
	number        uint64
	last          bool
	plain, sealed []byte
	ok            bool // set by open
}

// putHeader writes the part of the segment's header that is bound.
func (k *streamKey) putHeader(s *segment) {
	h := s.sealed[:segmentHeader]
	clear(h)
	copy(h, segmentMagic)
	binary.LittleEndian.PutUint32(h[segmentSizeAt:], uint32(k.size))
	binary.LittleEndian.PutUint64(h[numberAt:], s.number)
	if s.last {
		h[lastAt] = 1
	}
}

// rightHeader reports whether a segment's header is that of this segment of such a stream, and sets
// last to what it says.
func (k *streamKey) rightHeader(s *segment) bool {
	h := s.sealed[:segmentHeader]
	s.last = h[lastAt] == 1
	return string(h[:segmentSizeAt]) == segmentMagic && binary.LittleEndian.Uint32(h[segmentSizeAt:]) == uint32(k.size) &&
		binary.LittleEndian.Uint64(h[numberAt:]) == s.number && h[lastAt] <= 1 && zero(h[lastAt+1:nonceAt]) && zero(h[segmentReserve:])
}

// A segmentScratch is what one group needs. No plaintext is left in it, and no buffer of a caller.
type segmentScratch struct {
	jobs   [groupSegments]aes.GCMJob
	ads    [groupSegments][]byte
	nonces [groupSegments * aes.NonceSize]byte
	joined []byte // a sealed segment as Go's library has it
}

var segmentScratches = sync.Pool{New: func() any { return new(segmentScratch) }}

func (s *segmentScratch) end() {
	clear(s.jobs[:])
	segmentScratches.Put(s)
}

// additional returns the additional data of a segment whose header is there, the i-th of a group.
func (s *segmentScratch) additional(k *streamKey, i int, g *segment) []byte {
	s.ads[i] = append(append(s.ads[i][:0], g.sealed[:segmentADSize]...), k.context...)
	return s.ads[i]
}

// seal seals every segment of a batch.
func (k *streamKey) seal(batch []segment) { k.each(batch, k.sealPart) }

func (k *streamKey) sealPart(part []segment) {
	s := segmentScratches.Get().(*segmentScratch)
	defer s.end()
	for len(part) > 0 {
		group := part[:min(len(part), groupSegments)]
		part = part[len(group):]
		if k.library != nil {
			k.sealLibrary(s, group)
			continue
		}
		drawNonce(s.nonces[:len(group)*aes.NonceSize])
		for i := range group {
			g, j := &group[i], &s.jobs[i]
			k.putHeader(g)
			j.Nonce = [aes.NonceSize]byte(s.nonces[i*aes.NonceSize:])
			j.Dst, j.Src, j.AD = g.sealed[segmentHeader:], g.plain, s.additional(k, i, g)
		}
		k.gcm.SealBatch(s.jobs[:len(group)])
		for i := range group {
			copy(group[i].sealed[nonceAt:], s.jobs[i].Nonce[:])
			copy(group[i].sealed[tagAt:], s.jobs[i].Tag[:])
		}
	}
}

// open opens every segment of a batch, whatever becomes of the others, sets ok, and
// leaves zeros where it is not.
func (k *streamKey) open(batch []segment) { k.each(batch, k.openPart) }

func (k *streamKey) openPart(part []segment) {
	s := segmentScratches.Get().(*segmentScratch)
	defer s.end()
	for len(part) > 0 {
		group := part[:min(len(part), groupSegments)]
		part = part[len(group):]
		if k.library != nil {
			k.openLibrary(s, group)
			continue
		}
		for i := range group {
			g, j := &group[i], &s.jobs[i]
			j.Nonce, j.Tag = [aes.NonceSize]byte(g.sealed[nonceAt:]), [aes.TagSize]byte(g.sealed[tagAt:])
			j.Dst, j.Src, j.AD = g.plain, g.sealed[segmentHeader:], s.additional(k, i, g)
		}
		k.gcm.OpenBatch(s.jobs[:len(group)])
		for i := range group {
			group[i].accept(k, s.jobs[i].OK)
		}
	}
}

// accept sets ok, for a segment that is authentic and has the header it should.
func (s *segment) accept(k *streamKey, authentic bool) {
	s.ok = authentic && k.rightHeader(s)
	if !s.ok {
		clear(s.plain)
	}
}

// Go's library has nonce, ciphertext and tag side by side.
func (k *streamKey) sealLibrary(s *segmentScratch, group []segment) {
	for i := range group {
		g := &group[i]
		k.putHeader(g)
		s.joined = k.library.Seal(s.joined[:0], nil, g.plain, s.additional(k, i, g))
		copy(g.sealed[nonceAt:], s.joined[:aes.NonceSize])
		n := copy(g.sealed[segmentHeader:], s.joined[aes.NonceSize:])
		copy(g.sealed[tagAt:segmentReserve], s.joined[aes.NonceSize+n:])
	}
}

func (k *streamKey) openLibrary(s *segmentScratch, group []segment) {
	for i := range group {
		g := &group[i]
		s.joined = append(append(s.joined[:0], g.sealed[nonceAt:tagAt]...), g.sealed[segmentHeader:]...)
		s.joined = append(s.joined, g.sealed[tagAt:segmentReserve]...)
		_, err := k.library.Open(g.plain[:0], nil, s.joined, s.additional(k, i, g))
		g.accept(k, err == nil)
	}
}
