package element

import (
	"io"

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

// RekeyStream reads a stream from src and writes it to dst under the key to, with the same
// size of segments and bound to the same context. Plaintext is only in memory, a batch of
// segments at a time, and wiped. What was written before an error is no stream: its end is missing.
// It returns how many bytes of plaintext there were.
func RekeyStream(dst io.Writer, src io.Reader, c *Cipher, to dek.ID, context []byte) (int64, error) {
	r, err := NewReader(src, c, context)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	w, err := NewWriterWith(dst, c, to, context, StreamOptions{Segment: r.Segment()})
	if err != nil {
		return 0, err
	}
	defer w.Abort()
	n, err := r.WriteTo(w)
	if err != nil {
		return n, err
	}
	return n, w.Close()
}
