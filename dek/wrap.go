package dek

import (
	"crypto/aes"
	"crypto/subtle"
	"encoding/binary"
	"fmt"

	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/secmem"
)

const (
	semiblock = 8 // bytes; the unit of key wrap
	// WrapOverhead is how many bytes a wrapped secret is longer than the secret.
	WrapOverhead = semiblock
	// MaxWrapped bounds the secrets [Wrap] takes, in bytes: far above any key.
	MaxWrapped = 4096
)

// wrapIV is the initial value of RFC 3394, section 2.2.3.1.
var wrapIV = [semiblock]byte{0xa6, 0xa6, 0xa6, 0xa6, 0xa6, 0xa6, 0xa6, 0xa6}

// Wrap encrypts secret under kek with AES key wrap (RFC 3394, section 2.2.1; KW
// of SP 800-38F). kek has 16, 24 or 32 bytes; secret is a multiple of 8 bytes,
// 16 to [MaxWrapped]. The result is [WrapOverhead] bytes longer than secret.
// Neither argument is changed or kept. Errors match [ErrUsage].
func Wrap(kek, secret []byte) ([]byte, error) {
	n := len(secret)
	if n < 2*semiblock || n%semiblock != 0 || n > MaxWrapped {
		return nil, fmt.Errorf("dek: wrap: %w: %d bytes; a multiple of 8 from 16 to %d can be wrapped", fault.Usage, n, MaxWrapped)
	}
	block, err := aes.NewCipher(kek)
	if err != nil {
		return nil, fmt.Errorf("dek: wrap: %w: %w", fault.Usage, err)
	}
	out := make([]byte, semiblock+n)
	r := out[semiblock:]
	copy(r, secret)
	var b [aes.BlockSize]byte
	defer secmem.Wipe(b[:])
	copy(b[:semiblock], wrapIV[:])
	t := uint64(0)
	for range 6 {
		for i := 0; i < n; i += semiblock {
			t++
			copy(b[semiblock:], r[i:])
			block.Encrypt(b[:], b[:])
			copy(r[i:], b[semiblock:])
			xorCounter(&b, t)
		}
	}
	copy(out, b[:semiblock])
	return out, nil
}

// Unwrap decrypts what [Wrap] returned (RFC 3394, section 2.2.2) into memory
// for keys, which the caller releases. A wrong kek and altered bytes cannot be
// told apart: both are [ErrWrongKey]. A length that Wrap never returns, or a kek
// not of 16, 24 or 32 bytes, is [ErrUsage].
func Unwrap(kek, wrapped []byte) (*secmem.Buffer, error) {
	n := len(wrapped) - semiblock
	if n < 2*semiblock || n%semiblock != 0 || n > MaxWrapped {
		return nil, fmt.Errorf("dek: unwrap: %w: %d bytes is not the length of a wrapped secret", fault.Usage, len(wrapped))
	}
	block, err := aes.NewCipher(kek)
	if err != nil {
		return nil, fmt.Errorf("dek: unwrap: %w: %w", fault.Usage, err)
	}
	mem, err := secmem.New(n)
	if err != nil {
		return nil, fmt.Errorf("dek: memory for a key: %w", err)
	}
	r := mem.Bytes()
	copy(r, wrapped[semiblock:])
	var b [aes.BlockSize]byte
	defer secmem.Wipe(b[:])
	copy(b[:semiblock], wrapped)
	t := uint64(6 * (n / semiblock))
	for range 6 {
		for i := n - semiblock; i >= 0; i -= semiblock {
			xorCounter(&b, t)
			t--
			copy(b[semiblock:], r[i:])
			block.Decrypt(b[:], b[:])
			copy(r[i:], b[semiblock:])
		}
	}
	if subtle.ConstantTimeCompare(b[:semiblock], wrapIV[:]) != 1 {
		mem.Release()
		return nil, fmt.Errorf("dek: unwrap: %w: the integrity check failed", fault.WrongKey)
	}
	return mem, nil
}

// xorCounter does A = A ^ t, big-endian as RFC 3394 has it.
func xorCounter(b *[aes.BlockSize]byte, t uint64) {
	binary.BigEndian.PutUint64(b[:semiblock], binary.BigEndian.Uint64(b[:semiblock])^t)
}
