package seal

import (
	"fmt"

	"github.com/cofferdb/coffer/fips"
	"github.com/cofferdb/coffer/internal/aes"
)

// cbcEngine is suite aes-cbc: IV = AES(nonce || 0^32) under a subkey of its own,
// so that it cannot be predicted (SP 800-38A, appendix C), then GMAC.
type cbcEngine struct {
	both *aes.CBCGMAC
	iv   *aes.Key
}

var _ engine = (*cbcEngine)(nil)

func newCBCEngine(d deriver) (_ engine, err error) {
	if fips.LibraryOnly() {
		return newCBCLibrary(d)
	}
	e, n := &cbcEngine{}, d.key.Len()
	err = d.with("cbc data", n, func(dataKey []byte) error {
		return d.with("cbc mac", n, func(macKey []byte) (err error) {
			e.both, err = aes.NewCBCGMAC(dataKey, macKey)
			return err
		})
	})
	if err == nil {
		err = d.with("cbc iv", n, func(subkey []byte) (err error) {
			e.iv, err = aes.NewKey(subkey)
			return err
		})
	}
	if err != nil {
		e.close()
		return nil, fmt.Errorf("seal: %w", err)
	}
	return e, nil
}

func (e *cbcEngine) drawsNonces() bool { return false }

func (e *cbcEngine) close() {
	e.both.Close()
	e.iv.Close()
}

// deriveIVs sets the IVs of jobs: their nonces, padded with zeros, encrypted.
func (e *cbcEngine) deriveIVs(s *scratch, jobs []aes.MACJob) {
	ivs := s.ivs[:len(jobs)*BlockUnit]
	clear(ivs)
	for i := range jobs {
		copy(ivs[i*BlockUnit:], jobs[i].Nonce[:])
	}
	e.iv.EncryptBlocks(ivs, ivs)
	for i := range jobs {
		jobs[i].IV = [BlockUnit]byte(ivs[i*BlockUnit:])
	}
}

func (e *cbcEngine) seal(s *scratch, run []Block) {
	jobs := s.macJobs(run)
	e.deriveIVs(s, jobs)
	e.both.SealBatch(jobs)
	for i := range run {
		jobs[i].CRC = Checksum(run[i].Dst)
	}
	sealed(jobs, run)
}

func (e *cbcEngine) open(s *scratch, run []Block) {
	jobs := s.macJobs(run)
	e.deriveIVs(s, jobs)
	opened(jobs, run, SuiteCBC, e.both.OpenBatch(jobs))
}
