package seal

// A GMAC is the authentication-only form of GCM (SP 800-38D, section 3, with
// 96-bit nonces and full tags). A nonce must not come twice under one key.
type RawGMAC struct{ gcm gcm }

// NewRawGMAC expands an AES key of 16, 24 or 32 bytes; it is not kept.
func NewRawGMAC(key []byte) (*RawGMAC, error) {
	g, err := newGCM(key, false)
	if err != nil {
		return nil, err
	}
	return &RawGMAC{g}, nil
}

// Sum writes the tag of data to tag, which has TagSize bytes and does not overlap data.
func (m *RawGMAC) Sum(tag, nonce, data []byte) {
	m.gcm.aead.Seal(tag[:0:TagSize], nonce, nil, data)
}

// Verify reports in constant time whether tag, of TagSize bytes, is the tag of data.
func (m *RawGMAC) Verify(tag, nonce, data []byte) bool {
	_, err := m.gcm.aead.Open(nil, nonce, tag, data)
	return err == nil
}

// gmacBuffer returns n bytes of scratch for ciphertext, preceded (in whole) by
// the additional data of the position, as the MAC of the CBC and XTS suites takes it.
func (s *scratch) gmacBuffer(position uint64, n int) (whole, ciphertext []byte) {
	putPosition(&s.ad, position)
	whole = s.buffer(adSize + n)
	copy(whole, s.ad[:])
	return whole, whole[adSize:]
}
