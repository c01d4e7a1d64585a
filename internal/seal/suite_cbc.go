package seal

import (
	"fmt"

	"github.com/cofferdb/coffer/fips"
	"github.com/cofferdb/coffer/internal/aes"
)

// cbcEngine is suite aes-cbc: IV = AES(nonce || 0^32) under a subkey of its own,
// so that it cannot be predicted (SP 800-38A, appendix C), then GMAC.
type cbcEngine struct {
	data *aes.CBC
	iv   *aes.Key
	mac  blockMAC
}

var _ engine = (*cbcEngine)(nil)

func newCBCEngine(d deriver) (_ engine, err error) {
	if fips.LibraryOnly() {
		return newCBCLibrary(d)
	}
	e, n := &cbcEngine{}, d.key.Len()
	err = d.with("cbc data", n, func(subkey []byte) (err error) {
		e.data, err = aes.NewCBC(subkey)
		return err
	})
	if err == nil {
		err = d.with("cbc iv", n, func(subkey []byte) (err error) {
			e.iv, err = aes.NewKey(subkey)
			return err
		})
	}
	if err == nil {
		e.mac, err = newBlockMAC(d, "cbc mac")
	}
	if err != nil {
		e.close()
		return nil, fmt.Errorf("seal: %w", err)
	}
	return e, nil
}

func (e *cbcEngine) drawsNonces() bool { return false }

func (e *cbcEngine) close() {
	e.data.Close()
	e.iv.Close()
	e.mac.close()
}

// paddedNonce is what the IV is made from.
func paddedNonce(b *Block) (iv [BlockUnit]byte) {
	copy(iv[:], b.Nonce[:])
	return iv
}

// deriveIVs makes the IVs of jobs from their padded nonces.
func (e *cbcEngine) deriveIVs(s *scratch, jobs []aes.Job) {
	ivs := s.ivs[:len(jobs)*BlockUnit]
	for i := range jobs {
		copy(ivs[i*BlockUnit:], jobs[i].IV[:])
	}
	e.iv.EncryptBlocks(ivs, ivs)
	for i := range jobs {
		jobs[i].IV = [BlockUnit]byte(ivs[i*BlockUnit:])
	}
}

func (e *cbcEngine) seal(s *scratch, run []Block) {
	jobs := s.jobs[:len(run)]
	for i := range run {
		b := &run[i]
		jobs[i] = aes.Job{Dst: b.Dst, Src: b.Src, IV: paddedNonce(b)}
	}
	e.deriveIVs(s, jobs)
	e.data.EncryptBatch(jobs)
	clear(jobs)
	e.mac.sum(s, run)
}

func (e *cbcEngine) open(s *scratch, run []Block) {
	jobs := e.mac.verify(s, run, SuiteCBC, paddedNonce)
	e.deriveIVs(s, jobs)
	e.data.DecryptBatch(jobs)
	clear(jobs)
}
