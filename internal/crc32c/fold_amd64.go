//go:build !purego

package crc32c

import "github.com/cofferdb/coffer/internal/aes"

// least is the length from which folding pays, in bytes; the kernel needs it.
const least = 256

// fold takes as much of p into crc as the kernel does, and returns the rest.
func fold(crc uint32, p []byte) (uint32, []byte) {
	if len(p) < least || aes.Best() != aes.VAES512 {
		return crc, p
	}
	n := len(p) &^ 63
	return ^foldWide(^crc, &p[0], n), p[n:]
}
