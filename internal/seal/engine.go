package seal

import (
	"crypto/cipher"
	"hash"

	"github.com/cofferdb/coffer/internal/aes"
)

// An engine does a suite's work on runs of blocks whose buffers were checked: at
// most runBlocks of them, so that kernels have many messages to interleave.
//
// All methods but close may run on many goroutines at once, each with a scratch of its own.
type engine interface {
	// drawsNonces reports that seal sets Block.Nonce itself; otherwise the
	// caller has filled it with random bits.
	drawsNonces() bool
	// seal sets Dst, Tag and CRC (and Nonce where it draws its own) of every block.
	seal(s *scratch, run []Block)
	// open sets Dst of every block, or calls reject with the checksum of the
	// block's ciphertext. It leaves Err alone otherwise.
	open(s *scratch, run []Block)
	// close wipes keys. Nothing else is called after it.
	close()
}

// A run is what an engine gets at a time: so few bytes that a pass that comes
// after another finds them in the processor's cache, but so many blocks that CBC, whose
// blocks are chains, has enough of them.
const (
	runBlocks   = 32
	runBytes    = 256 << 10
	runBytesCBC = runBlocks * MaxBlockSize // no bound
)

// scratch is what one call needs beside its arguments. It is pooled by the
// cipher that owns it, because it may hold states keyed with its subkeys. No
// plaintext is left in it, and nobody's buffers.
type scratch struct {
	ads    [runBlocks][adSize]byte // additional data; all but the position is set once
	gcm    [runBlocks]aes.GCMJob
	macs   [runBlocks]aes.MACJob
	ivs    [runBlocks * BlockUnit]byte
	nonces []byte // of the batch being sealed, used once

	frame []byte // additional data of a frame
	nonce [NonceSize]byte
	tag   [TagSize]byte
	sum   [32]byte
	num   [8]byte
	sha   hash.Hash // SHA-256, suite none and plain frames
	mac   hash.Hash // HMAC-SHA256, chain of encrypted frames

	// Of the engines over Go's library.
	buf             []byte // ciphertext with what must lie beside it
	joined          [NonceSize + TagSize]byte
	ivMode, cbcMode cipher.BlockMode
}

// newScratch returns a scratch for blocks with this additional data.
func newScratch(ad [adSize]byte) *scratch {
	s := &scratch{}
	for i := range s.ads {
		s.ads[i] = ad
	}
	return s
}

// ad returns the additional data of the i-th block of a run.
func (s *scratch) ad(i int, b *Block) []byte {
	putPosition(&s.ads[i], b.Position)
	return s.ads[i][:]
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

// reject records that b does not authenticate; crc is the checksum of its ciphertext.
func reject(b *Block, suite Suite, crc uint32) {
	clear(b.Dst)
	b.Err = &BlockError{Position: b.Position, Suite: suite, Damaged: crc != b.CRC}
}

// nextRun returns how many of the blocks, at least one, are the next run.
func nextRun(batch []Block, bytes int) int {
	n := 0
	for n < min(len(batch), runBlocks) && (n == 0 || bytes >= len(batch[n].Src)) {
		bytes -= len(batch[n].Src)
		n++
	}
	return n
}
