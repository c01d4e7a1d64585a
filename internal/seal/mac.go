package seal

import (
	"fmt"

	"github.com/cofferdb/coffer/internal/aes"
)

// blockMAC is the GMAC of suites aes-cbc and aes-xts, over additional data and
// ciphertext under a subkey of its own.
type blockMAC struct{ gmac *aes.GMAC }

func newBlockMAC(d deriver, purpose string) (m blockMAC, err error) {
	err = d.with(purpose, d.key.Len(), func(subkey []byte) (err error) {
		m.gmac, err = aes.NewGMAC(subkey)
		return err
	})
	if err != nil {
		return m, fmt.Errorf("seal: %w", err)
	}
	return m, nil
}

func (m blockMAC) close() { m.gmac.Close() }

// sum sets the tags of blocks that were encrypted.
func (m blockMAC) sum(s *scratch, run []Block) {
	macs := s.macs[:len(run)]
	for i := range run {
		b, j := &run[i], &macs[i]
		j.AD, j.Data, j.Nonce = s.ad(i, b), b.Dst, b.Nonce
	}
	m.gmac.SumBatch(macs)
	for i := range run {
		run[i].Tag = macs[i].Tag
	}
	clear(macs)
}

// verify rejects the blocks whose tags are wrong. It returns a job for each of
// the others, its IV being what first returns for the block.
func (m blockMAC) verify(s *scratch, run []Block, suite Suite, first func(*Block) [BlockUnit]byte) []aes.Job {
	macs := s.macs[:len(run)]
	for i := range run {
		b, j := &run[i], &macs[i]
		j.AD, j.Data, j.Nonce, j.Tag = s.ad(i, b), b.Src, b.Nonce, b.Tag
	}
	m.gmac.VerifyBatch(macs)
	good := s.jobs[:0]
	for i := range run {
		b := &run[i]
		if !macs[i].OK {
			reject(b, suite, Checksum(b.Src))
			continue
		}
		good = append(good, aes.Job{Dst: b.Dst, Src: b.Src, IV: first(b)})
	}
	clear(macs)
	return good
}
