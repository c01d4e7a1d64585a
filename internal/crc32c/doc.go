// Package crc32c computes CRC32C (Castagnoli; RFC 3720, appendix B.4) as fast as
// the kernels of internal/aes encrypt: the checksum of each block's ciphertext
// is taken with every seal, and hash/crc32 would take as long as the encryption.
//
// With VPCLMULQDQ and AVX-512 inputs of 256 bytes and more are folded 256 bytes at
// a time (Gopal et al., "Fast CRC Computation for Generic Polynomials Using
// PCLMULQDQ Instruction", Intel, 2009): twice as fast as hash/crc32, which does
// everything else. On 128-bit registers folding is slower than the CRC32
// instruction that hash/crc32 uses. The tier is that of internal/aes.
//
// It finds damage, not attackers. Everything is safe for concurrent use.
package crc32c

//go:generate go run -C gen .
