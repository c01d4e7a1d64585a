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

func (e *gcmEngine) seal(a binding, body, plaintext []byte) {
	var room [stackAD]byte
	nonce, end := (*[aes.NonceSize]byte)(body), aes.NonceSize+len(plaintext)
	drawNonce(nonce[:])
	e.gcm.SealOne(body[aes.NonceSize:end], plaintext, a.append(room[:0]), nonce, (*[aes.TagSize]byte)(body[end:]))
}

// drawNonce fills b from the system's generator, which ends the process rather than fail.
// Nothing is ever drawn ahead: a stock in memory is what a fork or a snapshot would copy.
func drawNonce(b []byte) { _, _ = rand.Read(b) }

func (e *gcmEngine) open(a binding, dst, body []byte) ([]byte, bool) {
	var room [stackAD]byte
	end := len(body) - aes.TagSize
	out := extend(dst, len(body)-gcmOverhead)
	ok := e.gcm.OpenOne(out[len(dst):], body[aes.NonceSize:end], a.append(room[:0]), (*[aes.NonceSize]byte)(body), (*[aes.TagSize]byte)(body[end:]))
	if !ok {
		return dst, false
	}
	return out, true
}

// openShort opens a whole ciphertext whose header is right and whose context fits on the stack.
func (e *gcmEngine) openShort(plain, ciphertext, context []byte) bool {
	var ad [stackAD]byte
	*(*[headerSize]byte)(ad[:]) = *(*[headerSize]byte)(ciphertext)
	n := headerSize + copy(ad[headerSize:], context)
	body := ciphertext[headerSize:]
	end := aes.NonceSize + len(plain)
	return e.gcm.OpenOne(plain, body[aes.NonceSize:end], ad[:n], (*[aes.NonceSize]byte)(body), (*[aes.TagSize]byte)(body[end:]))
}

func (gcmLibrary) bodyLen(n int) int { return n + gcmOverhead }
func (gcmLibrary) fits(n int) error  { return gcmFits(n) }
func (gcmLibrary) close()            {}

func (g gcmLibrary) seal(a binding, body, plaintext []byte) {
	g.aead.Seal(body[:0:len(body)], nil, plaintext, a.append(make([]byte, 0, stackAD)))
}

func (g gcmLibrary) open(a binding, dst, body []byte) ([]byte, bool) {
	out := extend(dst, len(body)-gcmOverhead)
	room := out[len(dst):]
	if _, err := g.aead.Open(room[:0:len(room)], nil, body, a.append(make([]byte, 0, stackAD))); err != nil {
		clear(room)
		return dst, false
	}
	return out, true
}
