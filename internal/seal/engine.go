package seal

import (
	"crypto/cipher"
	"hash"
)

// An engine does a suite's work on batches whose buffers were checked. Kernels
// that interleave many blocks slot in here: an engine sees the whole batch.
//
// Both methods may run on many goroutines at once, each with a scratch of its own.
type engine interface {
	// drawsNonces reports that seal sets Block.Nonce itself; otherwise the
	// caller has filled it with random bits.
	drawsNonces() bool
	// seal sets Dst, Tag (and Nonce where it draws its own) of every block.
	seal(s *scratch, batch []Block)
	// open sets Dst of every block, or calls reject with the block's ciphertext.
	// It leaves Err alone otherwise.
	open(s *scratch, batch []Block)
	// close wipes what can be wiped. Nothing else is called after it.
	close()
}

// scratch is what one call needs beside its arguments. It is pooled by the
// cipher that owns it, because it may hold states keyed with its subkeys. No
// plaintext is left in it.
type scratch struct {
	ad     [adSize]byte // additional data; all but the position is set once
	frame  []byte       // additional data of a frame
	nonces []byte       // of the batch being sealed, used once
	buf    []byte       // ciphertext with what must lie beside it
	nonce  [NonceSize]byte
	tag    [TagSize]byte
	iv     [BlockUnit]byte
	sum    [32]byte
	num    [8]byte
	joined [NonceSize + TagSize]byte
	xts    xtsScratch
	cbc    cbcScratch

	ivMode, cbcMode cipher.BlockMode // of cbcLibrary

	sha hash.Hash // SHA-256, suite none and plain frames
	mac hash.Hash // HMAC-SHA256, chain of encrypted frames
}

// keepScratch bounds what a scratch may keep between calls, in bytes.
const keepScratch = MaxBlockSize + 4096

// buffer returns n bytes of s.buf with undefined content.
func (s *scratch) buffer(n int) []byte {
	if cap(s.buf) < n {
		s.buf = make([]byte, n)
	}
	return s.buf[:n:n]
}

// trim drops buffers too large to keep.
func (s *scratch) trim() {
	if cap(s.buf) > keepScratch {
		s.buf = nil
	}
	if cap(s.frame) > keepScratch {
		s.frame = nil
	}
	if cap(s.nonces) > keepScratch {
		s.nonces = nil
	}
}

// reject records that b, whose ciphertext is given, does not authenticate.
func reject(b *Block, suite Suite, ciphertext []byte) {
	damaged := Checksum(ciphertext) != b.CRC
	clear(b.Dst)
	b.Err = &BlockError{Position: b.Position, Suite: suite, Damaged: damaged}
}

// cbcScratch holds the chaining modes of one scratch; they carry the IV as state.
type cbcScratch struct {
	enc, dec cipher.BlockMode
}
