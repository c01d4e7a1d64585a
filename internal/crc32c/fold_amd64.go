//go:build !purego

package crc32c

import "github.com/cofferdb/coffer/internal/aes"

// Lengths in bytes, and their number.
const (
	least     = 256        // from which folding pays
	loopBytes = 256 + 4*32 // that foldBoth takes in a loop, beside the first 256
	leastBoth = 256 + 4*loopBytes
	mostLoops = 64
)

// fold takes as much of p into crc as the kernels do, and returns the rest.
func fold(crc uint32, p []byte) (uint32, []byte) {
	if len(p) < least || aes.Best() != aes.VAES512 {
		return crc, p
	}
	crc = ^crc
	for len(p) >= leastBoth {
		loops := min((len(p)-256)/loopBytes, mostLoops)
		crc = foldBoth(crc, &p[0], loops)
		p = p[256+loops*loopBytes:]
	}
	if len(p) >= least {
		n := len(p) &^ 63
		crc, p = foldWide(crc, &p[0], n), p[n:]
	}
	return ^crc, p
}
