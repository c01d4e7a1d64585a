// Package aes encrypts whole batches of blocks with AES at the speed of the
// processor: CBC, XTS, CTR, GCM and GMAC for many independent messages at once,
// each with buffers and an IV of its own. It is what [Coffer] seals with outside
// FIPS mode.
//
// CBC encryption is slow in every library because each step of a chain waits for
// the one before. A storage engine has many chains at once; here up to 32 of them
// run side by side. That is why everything takes batches.
//
// # Tiers
//
// A [Tier] is one set of kernels: with VAES on 512-bit registers or, without
// AVX-512, on 256-bit ones, with AES-NI on 128-bit ones, or none, which is Go's
// crypto/aes. [Best] is chosen once from the processor's features; the environment
// variable COFFER_AES (vaes256, aesni, portable) forces a lower one. Builds with the tag purego, and other
// processors than amd64, have [Portable] alone. A key keeps the tier it was
// made for.
//
// The assembler is generated from the module in gen; `go generate` makes it
// again. What cbc_amd64.s holds is listed by gen/cbc.go, and so on for each.
//
// # Safety
//
// Kernels run in constant time: no look-up and no branch depends on a key or on
// data, only on lengths. Round keys and hash keys lie in internal/secmem, and registers
// that held them are cleared. The exception is [Portable]: Go's library expands
// the keys, and they lie on its heap.
//
// Nothing here authenticates but GCM, GMAC, SIV, and [XTSGMAC] and [CBCGMAC], which
// encrypt, then MAC; and nothing draws nonces. Misuse
// that could touch foreign memory (buffers of different lengths, partial
// overlap) panics, as in crypto/cipher.
//
// Everything is safe for concurrent use, except Close, which must not run beside
// another call, and except that each job belongs to one call at a time.
//
// [Coffer]: https://github.com/cofferdb/coffer
package aes

//go:generate go run -C gen . all
