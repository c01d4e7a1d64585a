package seal

import (
	"encoding/binary"
	"fmt"

	"github.com/cofferdb/coffer/internal/aes"
)

// xtsEngine is suite aes-xts: the tweak is the position, 128 bits
// little-endian; the nonce serves the GMAC alone.
type xtsEngine struct {
	data *aes.XTS
	mac  blockMAC
}

var _ engine = (*xtsEngine)(nil)

func newXTSEngine(d deriver) (_ engine, err error) {
	e, n := &xtsEngine{}, d.key.Len()
	err = d.with("xts data", n, func(dataKey []byte) error {
		return d.with("xts tweak", n, func(tweakKey []byte) (err error) {
			e.data, err = aes.NewXTS(dataKey, tweakKey)
			return err
		})
	})
	if err == nil {
		e.mac, err = newBlockMAC(d, "xts mac")
	}
	if err != nil {
		e.close()
		return nil, fmt.Errorf("seal: %w", err)
	}
	return e, nil
}

func (e *xtsEngine) drawsNonces() bool { return false }

func (e *xtsEngine) close() {
	e.data.Close()
	e.mac.close()
}

// xtsTweak is the tweak of a block.
func xtsTweak(b *Block) (t [BlockUnit]byte) {
	binary.LittleEndian.PutUint64(t[:8], b.Position)
	return t
}

func (e *xtsEngine) seal(s *scratch, run []Block) {
	jobs := s.jobs[:len(run)]
	for i := range run {
		b := &run[i]
		jobs[i] = aes.Job{Dst: b.Dst, Src: b.Src, IV: xtsTweak(b)}
	}
	e.data.EncryptBatch(jobs)
	clear(jobs)
	e.mac.sum(s, run)
}

func (e *xtsEngine) open(s *scratch, run []Block) {
	jobs := e.mac.verify(s, run, SuiteXTS, xtsTweak)
	e.data.DecryptBatch(jobs)
	clear(jobs)
}
