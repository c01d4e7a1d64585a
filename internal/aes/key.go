package aes

import (
	"crypto/aes"
	"crypto/cipher"
	"fmt"
	"unsafe"

	"github.com/cofferdb/coffer/internal/secmem"
)

// BlockSize is the size of AES's block, in bytes.
const BlockSize = 16

// roundBytes is the size of all round keys: for encryption, and for decryption.
const roundBytes = 512

// A Key is an expanded AES key (FIPS 197) for one tier. It is the block cipher
// alone; modes are [CBC], [XTS], [CTR], [GCM] and [GMAC].
type Key struct {
	_       [0]func() // not comparable
	tier    Tier
	size    int            // of the key, in bytes
	rounds  int            // 10, 12 or 14
	buf     *secmem.Buffer // roundBytes of round keys; nil when portable
	generic cipher.Block   // when portable, and nil otherwise
	closed  bool
}

// NewKey expands a key of 16, 24 or 32 bytes for the tier that is Best now. raw
// is not kept. It fails with [ErrKey].
func NewKey(raw []byte) (*Key, error) { return newKey(raw, Best()) }

func newKey(raw []byte, tier Tier) (*Key, error) {
	k := &Key{tier: tier, size: len(raw)}
	switch len(raw) {
	case 16, 24, 32:
		k.rounds = len(raw)/4 + 6
	default:
		return nil, fmt.Errorf("%w: %d bytes", ErrKey, len(raw))
	}
	var err error
	if tier == Portable {
		if k.generic, err = aes.NewCipher(raw); err != nil {
			return nil, fmt.Errorf("aes: %w", err)
		}
		return k, nil
	}
	if k.buf, err = secmem.New(roundBytes); err != nil {
		return nil, fmt.Errorf("aes: %w", err)
	}
	k.expand(raw)
	return k, nil
}

// Close wipes the round keys; the key must not be used any more. It may be
// called again, and on nil.
func (k *Key) Close() {
	if k == nil {
		return
	}
	k.buf.Release()
	k.generic, k.closed = nil, true
}

// Tier returns the tier that the key was expanded for.
func (k *Key) Tier() Tier { return k.tier }

// Bits returns the length of the key: 128, 192 or 256.
func (k *Key) Bits() int { return k.size * 8 }

// String does not return the key.
func (k *Key) String() string { return "aes.Key(redacted)" }

// GoString does not return the key.
func (k *Key) GoString() string { return k.String() }

// block returns Go's cipher, of a portable key.
func (k *Key) block() cipher.Block {
	if k.generic == nil {
		panic("aes: use of a closed key")
	}
	return k.generic
}

// EncryptBlocks encrypts every 16 bytes of src by themselves (ECB) to dst: for
// deriving IVs, one or many at once. dst and src have the same length, a multiple
// of 16, and are the same memory or apart.
func (k *Key) EncryptBlocks(dst, src []byte) {
	checkBuffers(dst, src)
	if len(src) == 0 {
		return
	}
	if k.tier != Portable {
		k.encryptBlocksAsm(unsafe.SliceData(dst), unsafe.SliceData(src), len(src)/BlockSize)
		return
	}
	b := k.block()
	for ; len(src) > 0; dst, src = dst[BlockSize:], src[BlockSize:] {
		b.Encrypt(dst[:BlockSize], src[:BlockSize])
	}
}
