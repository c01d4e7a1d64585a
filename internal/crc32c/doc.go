// Package crc32c computes CRC32C (Castagnoli; RFC 3720, appendix B.4) as fast as
// the kernels of internal/aes encrypt: the checksum of each block's ciphertext
// is taken with every seal, and hash/crc32 would take as long as the encryption.
//
// With VPCLMULQDQ and AVX-512 inputs of 256 bytes and more are folded (Gopal et
// al., "Fast CRC Computation for Generic Polynomials Using PCLMULQDQ Instruction",
// Intel, 2009), 256 bytes at a time, while the CRC32 instruction, which uses other
// units, sums the end of the input in four streams. That is two to three times as
// fast as hash/crc32, which does everything else. On 128-bit registers folding is slower
// than the CRC32 instruction alone. The tier is that of internal/aes.
//
// It finds damage, not attackers. Everything is safe for concurrent use.
package crc32c

//go:generate go run -C gen .
