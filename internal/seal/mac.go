package seal

import "github.com/cofferdb/coffer/internal/aes"

// macJobs returns a job for each block of a run of suites aes-cbc and aes-xts, whose GMAC is over
// additional data and ciphertext under a subkey of its own. There are no IVs in them yet.
func (s *scratch) macJobs(run []Block) []aes.MACJob {
	jobs := s.macs[:len(run)]
	for i := range run {
		b, j := &run[i], &jobs[i]
		j.Dst, j.Src, j.AD, j.Nonce, j.Tag = b.Dst, b.Src, s.ad(i, b), b.Nonce, b.Tag
	}
	return jobs
}

// sealed takes over what jobs have set, and forgets buffers.
func sealed(jobs []aes.MACJob, run []Block) {
	for i := range jobs {
		run[i].Tag, run[i].CRC = jobs[i].Tag, jobs[i].CRC
	}
	clear(jobs)
}

// opened rejects the blocks whose jobs failed, if not all are good, and forgets buffers.
func opened(jobs []aes.MACJob, run []Block, suite Suite, good bool) {
	for i := range jobs {
		if !good && !jobs[i].OK {
			reject(&run[i], suite, jobs[i].CRC)
		}
	}
	clear(jobs)
}
