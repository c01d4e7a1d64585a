package seal

// gcmEngine is suite aes-gcm.
type gcmEngine struct{ gcm gcm }

var _ engine = (*gcmEngine)(nil)

func newGCMEngine(d deriver) (engine, error) {
	e := &gcmEngine{}
	err := d.with("gcm", d.key.Len(), func(subkey []byte) (err error) {
		e.gcm, err = newGCM(subkey, ownNonces())
		return err
	})
	if err != nil {
		return nil, err
	}
	return e, nil
}

func (e *gcmEngine) close() {}

func (e *gcmEngine) drawsNonces() bool { return e.gcm.own }

func (e *gcmEngine) seal(s *scratch, batch []Block) {
	for i := range batch {
		b := &batch[i]
		putPosition(&s.ad, b.Position)
		buf := s.buffer(len(b.Src) + gcmOverhead)
		copy(b.Dst, e.gcm.seal(buf, b.Nonce[:], b.Tag[:], b.Src, s.ad[:]))
	}
}

func (e *gcmEngine) open(s *scratch, batch []Block) {
	for i := range batch {
		b := &batch[i]
		putPosition(&s.ad, b.Position)
		n := len(b.Src)
		buf := s.buffer(n + gcmOverhead)
		if !e.gcm.open(buf, b.Dst, b.Nonce[:], b.Tag[:], b.Src, s.ad[:]) {
			reject(b, SuiteGCM, buf[NonceSize:NonceSize+n])
		}
	}
}
