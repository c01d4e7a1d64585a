package element

import (
	stdaes "crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"fmt"

	"github.com/cofferdb/coffer/fips"
	"github.com/cofferdb/coffer/internal/aes"
	"github.com/cofferdb/coffer/internal/fault"
)

// gcmOverhead is what lies beside the ciphertext: the nonce before it, the tag behind.
const gcmOverhead = aes.NonceSize + aes.TagSize

// gcmEngine is suite aes-gcm by the kernels.
type gcmEngine struct{ gcm *aes.GCM }

// gcmLibrary is suite aes-gcm by Go's library, in the one form that its module approves
// for sealing: with nonces that the module draws.
type gcmLibrary struct{ aead cipher.AEAD }

var (
	_ engine = (*gcmEngine)(nil)
	_ engine = gcmLibrary{}
)

func newGCMEngine(d deriver) (e engine, err error) {
	err = d.with("element gcm", d.key.Len(), func(subkey []byte) error {
		if fips.LibraryOnly() {
			e, err = newGCMLibrary(subkey)
			return err
		}
		g, err := aes.NewGCM(subkey)
		e = &gcmEngine{g}
		return err
	})
	return e, err
}

func newGCMLibrary(subkey []byte) (gcmLibrary, error) {
	block, err := stdaes.NewCipher(subkey)
	if err != nil {
		return gcmLibrary{}, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return gcmLibrary{}, fmt.Errorf("aes-gcm: %w: %w", fault.Unsupported, err)
	}
	return gcmLibrary{aead}, nil
}

func (*gcmEngine) bodyLen(n int) int { return n + gcmOverhead }
func (*gcmEngine) fits(n int) error  { return gcmFits(n) }
func (e *gcmEngine) close()          { e.gcm.Close() }

func gcmFits(n int) error {
	if n < gcmOverhead {
		return ErrCut
	}
	return nil
}

func (e *gcmEngine) seal(s *scratch, body, plaintext []byte) {
	nonce, end := body[:aes.NonceSize], aes.NonceSize+len(plaintext)
	drawNonce(nonce)
	j := &s.gcm[0]
	j.Dst, j.Src, j.AD, j.Nonce = body[aes.NonceSize:end], plaintext, s.additional(), [aes.NonceSize]byte(nonce)
	e.gcm.SealBatch(s.gcm[:])
	copy(body[end:], j.Tag[:])
	j.Dst, j.Src, j.AD = nil, nil, nil
}

// drawNonce fills b from the system's generator, which ends the process rather than fail.
// Nothing is ever drawn ahead: a stock in memory is what a fork or a snapshot would copy.
func drawNonce(b []byte) { _, _ = rand.Read(b) }

func (e *gcmEngine) open(s *scratch, dst, body []byte) ([]byte, bool) {
	end := len(body) - aes.TagSize
	out := extend(dst, len(body)-gcmOverhead)
	j := &s.gcm[0]
	j.Dst, j.Src, j.AD = out[len(dst):], body[aes.NonceSize:end], s.additional()
	j.Nonce, j.Tag = [aes.NonceSize]byte(body), [aes.TagSize]byte(body[end:])
	ok := e.gcm.OpenBatch(s.gcm[:])
	j.Dst, j.Src, j.AD = nil, nil, nil
	if !ok {
		return dst, false
	}
	return out, true
}

func (gcmLibrary) bodyLen(n int) int { return n + gcmOverhead }
func (gcmLibrary) fits(n int) error  { return gcmFits(n) }
func (gcmLibrary) close()            {}

func (g gcmLibrary) seal(s *scratch, body, plaintext []byte) {
	g.aead.Seal(body[:0:len(body)], nil, plaintext, s.additional())
}

func (g gcmLibrary) open(s *scratch, dst, body []byte) ([]byte, bool) {
	out := extend(dst, len(body)-gcmOverhead)
	room := out[len(dst):]
	if _, err := g.aead.Open(room[:0:len(room)], nil, body, s.additional()); err != nil {
		clear(room)
		return dst, false
	}
	return out, true
}
