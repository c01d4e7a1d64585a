package seal

import (
	"fmt"

	"github.com/cofferdb/coffer/fips"
	"github.com/cofferdb/coffer/internal/aes"
)

// gcmEngine is suite aes-gcm.
type gcmEngine struct{ gcm *aes.GCM }

var _ engine = (*gcmEngine)(nil)

func newGCMEngine(d deriver) (engine, error) {
	if fips.LibraryOnly() {
		return newGCMLibrary(d, "gcm")
	}
	g, err := newGCM(d, "gcm")
	if err != nil {
		return nil, err
	}
	return &gcmEngine{g}, nil
}

// newGCM derives the subkey of a purpose and expands it.
func newGCM(d deriver, purpose string) (g *aes.GCM, err error) {
	err = d.with(purpose, d.key.Len(), func(subkey []byte) (err error) {
		g, err = aes.NewGCM(subkey)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return g, nil
}

func (e *gcmEngine) drawsNonces() bool { return false }

func (e *gcmEngine) close() { e.gcm.Close() }

func (e *gcmEngine) seal(s *scratch, run []Block) {
	jobs := s.gcm[:len(run)]
	for i := range run {
		b, j := &run[i], &jobs[i]
		j.Dst, j.Src, j.AD, j.Nonce = b.Dst, b.Src, s.ad(i, b), b.Nonce
	}
	e.gcm.SealSumBatch(jobs)
	for i := range run {
		run[i].Tag, run[i].CRC = jobs[i].Tag, jobs[i].CRC
	}
	clear(jobs)
}

func (e *gcmEngine) open(s *scratch, run []Block) {
	jobs := s.gcm[:len(run)]
	for i := range run {
		b, j := &run[i], &jobs[i]
		j.Dst, j.Src, j.AD, j.Nonce, j.Tag = b.Dst, b.Src, s.ad(i, b), b.Nonce, b.Tag
	}
	good := e.gcm.OpenBatch(jobs)
	for i := range run {
		if !good && !jobs[i].OK {
			reject(&run[i], SuiteGCM, jobs[i].CRC)
		}
	}
	clear(jobs)
}
