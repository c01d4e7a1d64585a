package seal

import (
	"encoding/binary"
	"fmt"

	"github.com/cofferdb/coffer/internal/aes"
)

// xtsEngine is suite aes-xts: the tweak is the position, 128 bits
// little-endian; the nonce serves the GMAC alone.
type xtsEngine struct{ both *aes.XTSGMAC }

var _ engine = (*xtsEngine)(nil)

func newXTSEngine(d deriver) (_ engine, err error) {
	e, n := &xtsEngine{}, d.key.Len()
	err = d.with("xts data", n, func(dataKey []byte) error {
		return d.with("xts tweak", n, func(tweakKey []byte) error {
			return d.with("xts mac", n, func(macKey []byte) (err error) {
				e.both, err = aes.NewXTSGMAC(dataKey, tweakKey, macKey)
				return err
			})
		})
	})
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return e, nil
}

func (e *xtsEngine) drawsNonces() bool { return false }

func (e *xtsEngine) close() { e.both.Close() }

// xtsTweak is the tweak of a block.
func xtsTweak(b *Block) (t [BlockUnit]byte) {
	binary.LittleEndian.PutUint64(t[:8], b.Position)
	return t
}

func (e *xtsEngine) seal(s *scratch, run []Block) {
	jobs := s.macJobs(run)
	for i := range jobs {
		jobs[i].IV = xtsTweak(&run[i])
	}
	e.both.SealBatch(jobs)
	sealed(jobs, run)
}

func (e *xtsEngine) open(s *scratch, run []Block) {
	jobs := s.macJobs(run)
	for i := range jobs {
		jobs[i].IV = xtsTweak(&run[i])
	}
	opened(jobs, run, SuiteXTS, e.both.OpenBatch(jobs))
}
