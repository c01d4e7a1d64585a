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
// The work is done by the kernels of [internal/aes], whole runs of blocks at a
// time. In FIPS mode (package fips) Go's library does it, with services that its
// validated module approves: aes-gcm with nonces that the module draws; aes-cbc
// can only be opened, and aes-xts is refused. The bytes are the same, and each
// mode opens what the other sealed where it may ([Suite.Allowed]).
//
// Secrets: subkeys are derived into [internal/secmem] memory and wiped as soon as
// they are expanded; round keys and hash keys lie there too and are wiped by
// Close. Exception: where Go's library expands them (in FIPS mode, and in tier
// portable), they lie on its heap, where they can be neither locked nor wiped; so do
// the states of HMAC. Programs should switch core dumps off. Nothing kept
// between calls holds plaintext.
//
// On disk: FORMAT.md, section "Sealing", is normative for all of this.
//
// [internal/aes]: https://pkg.go.dev/github.com/cofferdb/coffer/internal/aes
// [internal/secmem]: https://pkg.go.dev/github.com/cofferdb/coffer/internal/secmem
package seal
