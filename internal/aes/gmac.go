package aes

import (
	"crypto/cipher"
	"encoding/binary"
	"fmt"
)

// A GMACJob is one message of a batch for [GMAC]: the additional data followed by
// the data, as if they lay side by side. Both may have any length; additional
// data of whole blocks is fast, and nothing is copied then. Nothing may change
// them during the call.
type GMACJob struct {
	AD, Data []byte
	Nonce    [NonceSize]byte // must not come twice under one key
	Tag      [TagSize]byte   // set by SumBatch, read by VerifyBatch
	OK       bool            // set by VerifyBatch: the message is authentic
}

// A GMAC is the form of GCM that authenticates alone (SP 800-38D, section 3), with
// nonces of 96 bits and whole tags.
type GMAC struct {
	key  *Key
	hash *hashKey    // nil when portable
	aead cipher.AEAD // when portable, and nil otherwise
}

// NewGMAC expands a key of 16, 24 or 32 bytes; raw is not kept. It fails with [ErrKey].
func NewGMAC(raw []byte) (*GMAC, error) {
	g, err := NewGCM(raw)
	if err != nil {
		return nil, fmt.Errorf("gmac: %w", err)
	}
	return &GMAC{g.key, g.hash, g.aead}, nil
}

// Close wipes the keys. It may be called again, and on nil.
func (m *GMAC) Close() {
	if m == nil {
		return
	}
	m.key.Close()
	m.hash.close()
	m.aead = nil
}

// SumBatch sets the tag of every job.
func (m *GMAC) SumBatch(jobs []GMACJob) {
	for len(jobs) > 0 {
		n := gmacRun(jobs)
		var tags [runJobs][TagSize]byte
		m.sum(jobs[:n], &tags)
		for i := range n {
			jobs[i].Tag = tags[i]
		}
		jobs = jobs[n:]
	}
}

// VerifyBatch sets OK of every job whose tag is right, and reports whether it is
// set for all.
func (m *GMAC) VerifyBatch(jobs []GMACJob) (ok bool) {
	ok = true
	for len(jobs) > 0 {
		n := gmacRun(jobs)
		var tags [runJobs][TagSize]byte
		m.sum(jobs[:n], &tags)
		for i := range n {
			jobs[i].OK = sameTag(&tags[i], &jobs[i].Tag)
			ok = ok && jobs[i].OK
		}
		clear(tags[:n]) // the right tag of a forged message stays secret
		jobs = jobs[n:]
	}
	return ok
}

// sum sets the tags of jobs, at most runJobs.
func (m *GMAC) sum(jobs []GMACJob, tags *[runJobs][TagSize]byte) {
	for first := 0; first < len(jobs); {
		// Those whose additional data does not end with a block go one by one, by way of a buffer.
		n := first
		for n < len(jobs) && m.key.tier != Portable && len(jobs[n].AD)%BlockSize == 0 {
			n++
		}
		if n > first {
			m.sumAsm(jobs[first:n], tags[first:])
			first = n
			continue
		}
		m.sumJoined(&jobs[first], tags[first:first+1])
		first++
	}
}

// sumJoined sets the one tag of a job whose parts have to be joined first.
func (m *GMAC) sumJoined(j *GMACJob, tag [][TagSize]byte) {
	n := len(j.AD) + len(j.Data)
	withBuffer(n+TagSize, func(buf []byte) {
		copy(buf[copy(buf, j.AD):], j.Data)
		if m.key.tier == Portable {
			tag[0] = [TagSize]byte(m.aead.Seal(buf[n:n], j.Nonce[:], nil, buf[:n]))
			return
		}
		joined := [1]GMACJob{{Data: buf[:n], Nonce: j.Nonce}}
		m.sumAsm(joined[:], tag)
	})
}

// sameTag reports in constant time whether two tags are equal.
func sameTag(a, b *[TagSize]byte) bool {
	x := binary.LittleEndian.Uint64(a[:8]) ^ binary.LittleEndian.Uint64(b[:8])
	y := binary.LittleEndian.Uint64(a[8:]) ^ binary.LittleEndian.Uint64(b[8:])
	return x|y == 0
}

// gmacRun is gcmRun for GMAC.
func gmacRun(jobs []GMACJob) int {
	n, bytes := 0, 0
	for n < min(len(jobs), runJobs) && (n == 0 || bytes < runBytes) {
		bytes += len(jobs[n].Data) + len(jobs[n].AD)
		n++
	}
	return n
}
