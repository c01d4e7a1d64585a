//go:build !purego

package aes

import (
	"encoding/binary"
	"fmt"
	"unsafe"

	"github.com/cofferdb/coffer/internal/secmem"
)

// sumShift is x^(8n-33) modulo CRC32C's polynomial, bits reversed, for the n = 144
// bytes past which gen/sum.go moves a sum.
const sumShift = 0xc96cfdc0

// The table that the kernels of GCM and GMAC read; gen/ghash.go says what it is.
const (
	tabMask   = 0
	tabCtr    = 64
	tabPoly   = 576
	tabSum    = 592
	tabPowers = 640
	tabEnd    = tabPowers + 16*168
	tabSize   = tabEnd + 64 + (tabEnd + 64 - tabPowers)
)

// A hashKey is the key of GHASH (SP 800-38D, section 6.4) for one tier.
type hashKey struct{ buf *secmem.Buffer }

// newHashKey makes H = AES(0) of the block cipher, and its powers.
func newHashKey(k *Key) (*hashKey, error) {
	buf, err := secmem.New(tabSize)
	if err != nil {
		return nil, fmt.Errorf("hash key: %w", err)
	}
	tab := buf.Bytes()
	for i := range 64 {
		tab[tabMask+i] = byte(BlockSize - 1 - i%BlockSize)
	}
	unit := 32 // counters in a unit
	if k.tier == AESNI {
		unit = 8
	}
	for i := range unit {
		tab[tabCtr+BlockSize*i+15] = byte((i + 2) % unit)
	}
	binary.LittleEndian.PutUint64(tab[tabPoly:], ghashPoly)
	binary.LittleEndian.PutUint64(tab[tabSum:], sumShift)

	h := tab[tabEnd-BlockSize : tabEnd]
	k.EncryptBlocks(h, h)
	hi, lo := binary.BigEndian.Uint64(h), binary.BigEndian.Uint64(h[8:])
	carry := uint64(int64(hi) >> 63)
	binary.LittleEndian.PutUint64(h, lo<<1^carry&1)
	binary.LittleEndian.PutUint64(h[8:], (hi<<1|lo>>63)^carry&ghashPoly)
	ghashPowers(unsafe.SliceData(tab))
	return &hashKey{buf}, nil
}

// ghashPoly is the high half of POLYVAL's modulus (RFC 8452, section 3), without x^128: x^127 + x^126 + x^121.
const ghashPoly = 0xc2 << 56

func (h *hashKey) close() {
	if h != nil {
		h.buf.Release()
	}
}

// table returns the address of the table.
func (h *hashKey) table() *byte {
	b := h.buf.Bytes()
	if b == nil {
		panic("aes: use of a closed key")
	}
	return &b[0]
}
