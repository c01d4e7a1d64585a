package dek

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"sync"

	"github.com/cofferdb/coffer/fips"
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
// Neither argument is changed or kept. Errors match [ErrUsage], or are those of
// FIPS mode, which allows key wrap: every AES operation in it is one block of the
// CBC service of Go's module with an IV of zero, because the module approves
// that and not its bare block. The six rounds around it are this package's.
func Wrap(kek, secret []byte) ([]byte, error) {
	if err := allowWrap(); err != nil {
		return nil, fmt.Errorf("dek: wrap: %w", err)
	}
	return wrap(kek, secret)
}

func wrap(kek, secret []byte) ([]byte, error) {
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
	aesBlock := oneBlock{make: cipher.NewCBCEncrypter, block: block}
	t := uint64(0)
	for range 6 {
		for i := 0; i < n; i += semiblock {
			t++
			copy(b[semiblock:], r[i:])
			aesBlock.crypt(&b)
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
	if err := allowWrap(); err != nil {
		return nil, fmt.Errorf("dek: unwrap: %w", err)
	}
	return unwrap(kek, wrapped)
}

func unwrap(kek, wrapped []byte) (*secmem.Buffer, error) {
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
	aesBlock := oneBlock{make: cipher.NewCBCDecrypter, block: block}
	t := uint64(6 * (n / semiblock))
	for range 6 {
		for i := n - semiblock; i >= 0; i -= semiblock {
			xorCounter(&b, t)
			t--
			copy(b[semiblock:], r[i:])
			aesBlock.crypt(&b)
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

// oneBlock is AES on single blocks: CBC with an IV of zero.
type oneBlock struct {
	make  func(cipher.Block, []byte) cipher.BlockMode
	block cipher.Block
	mode  cipher.BlockMode
}

var zeroIV [aes.BlockSize]byte

func (o *oneBlock) crypt(b *[aes.BlockSize]byte) {
	if m, ok := o.mode.(interface{ SetIV([]byte) }); ok {
		m.SetIV(zeroIV[:])
	} else {
		o.mode = o.make(o.block, zeroIV[:])
	}
	o.mode.CryptBlocks(b[:], b[:])
}

// allowWrap asks whether key wrap may be used, and tests it once.
func allowWrap() error {
	if err := fips.Allow(fips.KeyWrap); err != nil {
		return err
	}
	return testWrap()
}

// testWrap is the known answer of RFC 3394, section 4.6, both ways, before the
// first use: key wrap is not among the services that Go's module tests itself.
var testWrap = sync.OnceValue(func() error {
	both, err := hex.DecodeString("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f" +
		"00112233445566778899aabbccddeeff000102030405060708090a0b0c0d0e0f" +
		"28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326cbc7f0e71a99f43bfb988b9b7a02dd21")
	if err != nil {
		return fmt.Errorf("%w: %w", fips.ErrSelfTest, err)
	}
	kek, secret, wrapped := both[:32], both[32:64], both[64:]
	got, err := wrap(kek, secret)
	if err != nil || !bytes.Equal(got, wrapped) {
		return fmt.Errorf("%w: AES key wrap does not give the known answer", fips.ErrSelfTest)
	}
	back, err := unwrap(kek, wrapped)
	if err != nil {
		return fmt.Errorf("%w: AES key unwrap: %w", fips.ErrSelfTest, err)
	}
	defer back.Release()
	if !bytes.Equal(back.Bytes(), secret) {
		return fmt.Errorf("%w: AES key unwrap does not give the known answer", fips.ErrSelfTest)
	}
	return nil
})
