package element

import "github.com/cofferdb/coffer/internal/aes"

// sivEngine is suite aes-siv. There is no other: FIPS mode refuses the suite.
type sivEngine struct{ siv *aes.SIV }

var _ engine = (*sivEngine)(nil)

func newSIVEngine(d deriver) (engine, error) {
	e := &sivEngine{}
	err := d.with("element siv", 2*d.key.Len(), func(subkey []byte) (err error) {
		e.siv, err = aes.NewSIV(subkey)
		return err
	})
	if err != nil {
		return nil, err
	}
	return e, nil
}

func (*sivEngine) bodyLen(n int) int { return aes.BlockSize + n }

func (*sivEngine) fits(n int) error {
	if n < aes.BlockSize {
		return ErrCut
	}
	return nil
}

func (e *sivEngine) close() { e.siv.Close() }

func (e *sivEngine) seal(a binding, body, plaintext []byte) {
	iv := e.siv.Seal(body[aes.BlockSize:], plaintext, a.append(make([]byte, 0, stackAD)))
	copy(body, iv[:])
}

func (e *sivEngine) open(a binding, dst, body []byte) ([]byte, bool) {
	out := extend(dst, len(body)-aes.BlockSize)
	if !e.siv.Open(out[len(dst):], body[aes.BlockSize:], [aes.BlockSize]byte(body), a.append(make([]byte, 0, stackAD))) {
		return dst, false
	}
	return out, true
}
