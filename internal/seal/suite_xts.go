package seal

import "encoding/binary"

// xtsTweak is the tweak of a block: its position, 128 bits little-endian.
func xtsTweak(position uint64) (t [BlockUnit]byte) {
	binary.LittleEndian.PutUint64(t[:8], position)
	return t
}

// xtsEngine is suite aes-xts: the tweak is the position, the nonce serves the GMAC alone.
type xtsEngine struct {
	data *RawXTS
	mac  *RawGMAC
}

var _ engine = (*xtsEngine)(nil)

func newXTSEngine(d deriver) (engine, error) {
	e, n := &xtsEngine{}, d.key.Len()
	err := d.with("xts data", n, func(dataKey []byte) error {
		return d.with("xts tweak", n, func(tweakKey []byte) (err error) {
			e.data, err = NewRawXTS(dataKey, tweakKey)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	err = d.with("xts mac", n, func(subkey []byte) (err error) {
		e.mac, err = NewRawGMAC(subkey)
		return err
	})
	if err != nil {
		return nil, err
	}
	return e, nil
}

func (e *xtsEngine) close() {}

func (e *xtsEngine) drawsNonces() bool { return false }

func (e *xtsEngine) seal(s *scratch, batch []Block) {
	for i := range batch {
		b := &batch[i]
		whole, ciphertext := s.gmacBuffer(b.Position, len(b.Src))
		e.data.crypt(&s.xts, ciphertext, b.Src, xtsTweak(b.Position), false)
		e.mac.Sum(b.Tag[:], b.Nonce[:], whole)
		copy(b.Dst, ciphertext)
	}
}

func (e *xtsEngine) open(s *scratch, batch []Block) {
	for i := range batch {
		b := &batch[i]
		whole, ciphertext := s.gmacBuffer(b.Position, len(b.Src))
		copy(ciphertext, b.Src)
		if !e.mac.Verify(b.Tag[:], b.Nonce[:], whole) {
			reject(b, SuiteXTS, ciphertext)
			continue
		}
		e.data.crypt(&s.xts, b.Dst, ciphertext, xtsTweak(b.Position), true)
	}
}
