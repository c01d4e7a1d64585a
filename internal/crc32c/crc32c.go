package crc32c

import "hash/crc32"

var table = crc32.MakeTable(crc32.Castagnoli)

// Checksum returns the CRC32C of p.
func Checksum(p []byte) uint32 { return Update(0, p) }

// Update returns the checksum of what crc is the checksum of, followed by p.
func Update(crc uint32, p []byte) uint32 {
	crc, p = fold(crc, p)
	if len(p) == 0 {
		return crc
	}
	return crc32.Update(crc, table, p)
}
