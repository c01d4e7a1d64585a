package aes

import "hash/crc32"

// castagnoli is what the portable tier sums ciphertext with.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sumShifts are x^(8n-33) modulo CRC32C's polynomial, bits reversed, for the n
// bytes past which gen/sum.go moves the sums of two chains.
const (
	sumShift184 = 0xf1d0f55e
	sumShift96  = 0x715ce53
)
