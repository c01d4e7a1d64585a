package aes

import (
	"hash/crc32"
	"sync"
)

// macScratch is what jobs are turned into where encryption and GMAC are two passes. It
// is pooled because portable modes make it escape.
type macScratch struct {
	jobs [runJobs]Job
	macs [runJobs]GMACJob
}

var macScratches = sync.Pool{New: func() any { return new(macScratch) }}

// drop forgets the buffers and returns the scratch to the pool.
func (s *macScratch) drop(n int) {
	clear(s.jobs[:n])
	clear(s.macs[:n])
	macScratches.Put(s)
}

// sealTwice seals one run by way of encrypt, without sums.
func sealTwice(encrypt func([]Job), m *GMAC, jobs []MACJob) {
	s := macScratches.Get().(*macScratch)
	for i := range jobs {
		j := &jobs[i]
		s.jobs[i] = Job{Dst: j.Dst, Src: j.Src, IV: j.IV}
		s.macs[i] = GMACJob{AD: j.AD, Data: j.Dst, Nonce: j.Nonce}
	}
	encrypt(s.jobs[:len(jobs)])
	m.SumBatch(s.macs[:len(jobs)])
	for i := range jobs {
		jobs[i].Tag = s.macs[i].Tag
	}
	s.drop(len(jobs))
}

// openTwice opens one run by way of decrypt, which gets what is authentic.
func openTwice(decrypt func([]Job), m *GMAC, jobs []MACJob) (ok bool) {
	s := macScratches.Get().(*macScratch)
	for i := range jobs {
		j := &jobs[i]
		s.macs[i] = GMACJob{AD: j.AD, Data: j.Src, Nonce: j.Nonce, Tag: j.Tag}
	}
	ok = m.VerifyBatch(s.macs[:len(jobs)])
	good := s.jobs[:0]
	for i := range jobs {
		j := &jobs[i]
		if j.OK = s.macs[i].OK; j.OK {
			good = append(good, Job{Dst: j.Dst, Src: j.Src, IV: j.IV})
			continue
		}
		j.CRC = crc32.Checksum(j.Src, castagnoli)
		clear(j.Dst)
	}
	decrypt(good)
	s.drop(len(jobs))
	return ok
}

// checkTags sets OK of jobs that were decrypted, from what their tags should be, and clears the
// output of those that are not authentic. In place their ciphertext is gone by then:
// encrypting again brings it back to be summed.
func checkTags(jobs []MACJob, tags *[runJobs][TagSize]byte, encrypt func([]Job)) (ok bool) {
	ok = true
	for i := range jobs {
		j := &jobs[i]
		if j.OK = sameTag(&tags[i], &j.Tag); j.OK {
			continue
		}
		ok = false
		if len(j.Src) > 0 && &j.Src[0] == &j.Dst[0] {
			encrypt([]Job{{Dst: j.Dst, Src: j.Dst, IV: j.IV}})
		}
		j.CRC = crc32.Checksum(j.Src, castagnoli)
		clear(j.Dst)
	}
	clear(tags[:len(jobs)]) // the right tag of a forged message stays secret
	return ok
}
