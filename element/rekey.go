package element

import (
	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/secmem"
)

// Rekey decrypts a value and encrypts it under the key to, with the suite it had and
// bound to the same context; the plaintext is wiped. The old ciphertext is not
// changed. Its key and to must both be activated.
//
// A value that is under to already is encrypted again all the same.
// Errors are those of [Cipher.Decrypt] and [Cipher.EncryptWith].
func (c *Cipher) Rekey(ciphertext []byte, to dek.ID, context []byte) ([]byte, error) {
	h, err := Parse(ciphertext)
	if err != nil {
		return nil, err
	}
	return c.RekeyWith(h.Suite, ciphertext, to, context)
}

// RekeyWith is [Cipher.Rekey] to another suite. Between [CBCUnauthenticated] and the others
// the context cannot be the same: decrypt and encrypt instead.
func (c *Cipher) RekeyWith(suite Suite, ciphertext []byte, to dek.ID, context []byte) ([]byte, error) {
	room := make([]byte, 0, len(ciphertext)) // never grows, so that no copy is left
	plaintext, err := c.AppendDecrypt(room, ciphertext, context)
	defer func() { secmem.Wipe(plaintext[:cap(plaintext)]) }()
	if err != nil {
		return nil, err
	}
	return c.EncryptWith(suite, plaintext, to, context)
}
