package aes

import "hash/crc32"

// castagnoli is what the portable tier sums ciphertext with.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sumShift and sumShiftShort are x^(8n-33) modulo CRC32C's polynomial, bits reversed, for the n = 144
// and 96 bytes past which gen/sum.go moves a sum.
const (
	sumShift      = 0xc96cfdc0
	sumShiftShort = 0x0715ce53
)
