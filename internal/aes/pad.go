package aes

import "crypto/subtle"

// PadLen returns how many bytes of padding (PKCS #7; RFC 5652, section 6.3) follow n bytes: 1 to 16.
func PadLen(n int) int { return BlockSize - n%BlockSize }

// Pad fills b, which has the length that PadLen gave.
func Pad(b []byte) {
	for i := range b {
		b[i] = byte(len(b))
	}
}

// Unpad returns the length of b without its padding. b is whole blocks, and not
// empty. Which byte is wrong does not show in the time it takes.
func Unpad(b []byte) (n int, ok bool) {
	if len(b) == 0 || len(b)%BlockSize != 0 {
		return 0, false
	}
	last := b[len(b)-BlockSize:]
	pad := int(last[BlockSize-1])
	good := subtle.ConstantTimeLessOrEq(1, pad) & subtle.ConstantTimeLessOrEq(pad, BlockSize)
	for i, c := range last {
		in := subtle.ConstantTimeLessOrEq(BlockSize-i, pad) // byte i belongs to the padding
		good &= 1 ^ in&(1^subtle.ConstantTimeByteEq(c, byte(pad)))
	}
	if good != 1 {
		return 0, false
	}
	return len(b) - pad, true
}
