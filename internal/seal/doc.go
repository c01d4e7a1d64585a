// Package seal turns blocks and journal frames into authenticated ciphertext
// and back. It holds the cipher suites (aes-gcm, aes-cbc, aes-xts, none) behind
// one interface, [Cipher], that works on batches of blocks: positions and
// plaintext in; ciphertext, nonces, tags and checksums out. Frames of the
// journal go through [FrameCipher], labels through [LabelMAC].
//
// Every suite is authenticated. AES-CBC and AES-XTS carry a GMAC over additional
// data and ciphertext under a subkey of its own; suite none carries 128 bits of
// SHA-256, which anyone can compute: it becomes authentic only through the MAC
// that covers the root of the tree its tags lie in.
//
// Nonces are 96 random bits drawn in here, one call to the system's generator
// for each batch. A caller can neither supply one nor keep a stock of them, so
// that no crash, clone or restored backup can bring one back. An engine may
// also draw its own, as GCM does in FIPS mode: nonces are results of Seal.
//
// What it is not: it keeps no record of nonces and tags (its caller stores them),
// counts no seals (an epoch's budget is the volume's business), and does not
// notice an old block put back with its old record: that is the tree's work.
// AES-XTS is deterministic: equal plaintext at the same position gives equal
// ciphertext, only nonce and tag differ.
//
// Concurrency: a Cipher and a FrameCipher may be used by many goroutines at
// once. Each call works on the calling goroutine alone; a caller that wants
// more processors splits its batch. Close waits for calls under way.
//
// Secrets: subkeys are derived into [internal/secmem] memory and wiped as soon as
// they are expanded. Exception: Go's library keeps expanded round keys, and the
// states of HMAC, on its own heap, where they cannot be locked or wiped; they
// are dropped at Close and go with the next collection. Programs should switch
// core dumps off. Buffers this package keeps between calls hold ciphertext only.
//
// On disk: FORMAT.md, section "Sealing", is normative for all of this.
//
// [internal/secmem]: https://pkg.go.dev/github.com/cofferdb/coffer/internal/secmem
package seal
