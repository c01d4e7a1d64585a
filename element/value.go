package element

import (
	"fmt"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/aes"
	"github.com/cofferdb/coffer/internal/secmem"
)

// Encrypt encrypts a value of at most [MaxValue] bytes with AES-GCM under the key of
// that ID, bound to context. The result is the caller's: 66 bytes longer than the
// plaintext, which is neither changed nor kept.
//
// Errors: [ErrNotActivated], [ErrDecryptOnly], [ErrUsage], [ErrClosed].
func (c *Cipher) Encrypt(plaintext []byte, key dek.ID, context []byte) ([]byte, error) {
	return c.EncryptWith(GCM, plaintext, key, context)
}

// EncryptWith is [Cipher.Encrypt] with the suite named. [SIV] is deterministic;
// [CBCUnauthenticated] takes no context and must have been allowed in [Options].
// In FIPS mode SIV is refused, a fault.Unsupported.
func (c *Cipher) EncryptWith(suite Suite, plaintext []byte, key dek.ID, context []byte) ([]byte, error) {
	return c.AppendEncryptWith(nil, suite, plaintext, key, context)
}

// AppendEncrypt appends what [Cipher.Encrypt] returns to dst, whose room must not
// overlap plaintext. With enough room ([CiphertextLen]) and a context of at most 90 bytes nothing is allocated.
// An error returns dst as it was.
func (c *Cipher) AppendEncrypt(dst, plaintext []byte, key dek.ID, context []byte) ([]byte, error) {
	return c.AppendEncryptWith(dst, GCM, plaintext, key, context)
}

// AppendEncryptWith is [Cipher.AppendEncrypt] with the suite named.
func (c *Cipher) AppendEncryptWith(dst []byte, suite Suite, plaintext []byte, key dek.ID, context []byte) ([]byte, error) {
	if err := c.checkSeal(suite, plaintext, context); err != nil {
		return dst, err
	}
	k, err := c.use(key)
	if err != nil {
		return dst, err
	}
	defer c.mu.RUnlock()
	if err := k.mayEncrypt(); err != nil {
		return dst, err
	}
	st, err := k.suite(suite)
	if err != nil {
		return dst, err
	}
	out := extend(dst, headerSize+st.engine.bodyLen(len(plaintext)))
	sealed := out[len(dst):]
	if aes.Overlap(sealed, plaintext) {
		return dst, usagef("the room for the ciphertext overlaps the plaintext")
	}
	copy(sealed, st.header[:])
	st.engine.seal(binding{&st.header, context}, sealed[headerSize:], plaintext)
	return out, nil
}

func (c *Cipher) checkSeal(suite Suite, plaintext, context []byte) error {
	if suite != GCM {
		if err := c.admit(suite); err != nil {
			return err
		}
		if suite == CBCUnauthenticated && len(context) > 0 {
			return usagef("suite %v binds no context", suite)
		}
	}
	if len(plaintext) > MaxValue {
		return usagef("a value has at most %d bytes, not %d: use a stream", MaxValue, len(plaintext))
	}
	return checkContext(context)
}

// CiphertextLen returns the length of a value's ciphertext, header included, for n bytes
// of plaintext.
func CiphertextLen(suite Suite, n int) int {
	switch suite {
	case GCM:
		return headerSize + n + gcmOverhead
	case SIV:
		return headerSize + aes.BlockSize + n
	case CBC:
		return headerSize + aes.BlockSize + n + aes.PadLen(n) + 32
	case CBCUnauthenticated:
		return headerSize + aes.BlockSize + n + aes.PadLen(n)
	}
	return 0
}

// Decrypt decrypts a value of any suite: header and keyring say how. context must be
// the one it was encrypted with. Nothing that was not authenticated is returned (but
// under [CBCUnauthenticated], which must have been allowed).
//
// Errors: [ErrNotElement], [ErrVersion], [ErrDamaged], [ErrCut], [ErrTampered],
// [ErrWrongKey], [ErrNotActivated] with the key's ID, [ErrUnauthenticated],
// [ErrUsage] for a stream, [ErrClosed].
func (c *Cipher) Decrypt(ciphertext, context []byte) ([]byte, error) {
	return c.AppendDecrypt([]byte{}, ciphertext, context)
}

// AppendDecrypt appends what [Cipher.Decrypt] returns to dst, whose room must not overlap
// ciphertext. With room for as many bytes as the ciphertext has and a context of at most 90 bytes nothing is allocated.
// An error returns dst as it was.
func (c *Cipher) AppendDecrypt(dst, ciphertext, context []byte) ([]byte, error) {
	if out, ok := c.quick(dst, ciphertext, context); ok {
		return out, nil
	}
	h, err := Parse(ciphertext)
	if err != nil {
		return dst, err
	}
	if err := c.checkOpen(h, ciphertext, context); err != nil {
		return dst, err
	}
	k, err := c.use(h.Key)
	if err != nil {
		return dst, err
	}
	defer c.mu.RUnlock()
	st, err := k.suite(h.Suite)
	if err != nil {
		return dst, err
	}
	return st.open(dst, ciphertext, context)
}

// quick opens what most values are: [GCM] under a key that was used before. Whatever else it is
// given, or does not authenticate, it leaves to those who say why.
func (c *Cipher) quick(dst, ciphertext, context []byte) ([]byte, bool) {
	n := len(ciphertext) - headerSize - gcmOverhead
	if n < 0 || n > MaxValue || len(context) > stackAD-headerSize {
		return dst, false
	}
	c.mu.RLock()
	for _, k := range c.keys {
		st := k.suites[GCM].Load()
		if st == nil || st.kernel == nil || st.header != *(*[headerSize]byte)(ciphertext) {
			continue
		}
		out := extend(dst, n)
		ok := !aes.Overlap(out[len(dst):], ciphertext) && st.kernel.openShort(out[len(dst):], ciphertext, context)
		c.mu.RUnlock()
		return out, ok
	}
	c.mu.RUnlock()
	return dst, false
}

func (c *Cipher) checkOpen(h Header, ciphertext, context []byte) error {
	if h.Kind != KindValue {
		return usagef("a %v, not a value: open it with a stream's reader", h.Kind)
	}
	if h.Suite != GCM {
		if err := c.admit(h.Suite); err != nil {
			return err
		}
		if h.Suite == CBCUnauthenticated && len(context) > 0 {
			return usagef("suite %v binds no context: this value has none", h.Suite)
		}
	}
	if len(ciphertext) > CiphertextLen(h.Suite, MaxValue) {
		return fmt.Errorf("%w: longer than any value", ErrDamaged)
	}
	return checkContext(context)
}

// open opens a ciphertext with a parsed header of this key and suite.
func (st *suiteState) open(dst, ciphertext, context []byte) ([]byte, error) {
	body := ciphertext[headerSize:]
	if err := st.engine.fits(len(body)); err != nil {
		return dst, err
	}
	if cap(dst) > len(dst) && aes.Overlap(dst[len(dst):min(cap(dst), len(dst)+len(body))], ciphertext) {
		return dst, usagef("the room for the plaintext overlaps the ciphertext")
	}
	right := [headerSize]byte(ciphertext) == st.header
	out, ok := st.engine.open(binding{&st.header, context}, dst, body)
	if ok && right {
		return out, nil
	}
	secmem.Wipe(out[len(dst):])
	id := dek.ID(ciphertext[keyAt:commonSize])
	switch {
	case right:
		return dst, tampered("under key %s", id)
	case ok && Suite(ciphertext[suiteAt]).Authenticated():
		return dst, tampered("under key %s, its commitment to the key", id)
	}
	return dst, wrongKey("under key %s", id)
}
