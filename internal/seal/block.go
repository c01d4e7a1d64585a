package seal

import "github.com/cofferdb/coffer/internal/crc32c"

// Sizes in bytes.
const (
	NonceSize    = 12      // of every suite; SP 800-38D, section 8.2.2, with all 96 bits random
	TagSize      = 16      // of every suite
	BlockUnit    = 16      // a block's length is a multiple of this
	MaxBlockSize = 1 << 20 // of one block
)

// A Block is one unit of a batch.
//
// Src and Dst have the same length, a multiple of [BlockUnit], at most
// [MaxBlockSize]; blocks of one batch may differ in length. Dst is exactly Src
// (in place) or does not overlap it, and overlaps no buffer of another block.
//
// Sealing reads Position and Src (plaintext); it sets Dst (ciphertext), Nonce,
// Tag and CRC. Opening reads Position, Src (ciphertext), Nonce, Tag and CRC; it
// sets Dst (plaintext). Both set Err.
type Block struct {
	Position uint64 // the block's number within its domain
	Src, Dst []byte
	Nonce    [NonceSize]byte // zero under suite none
	Tag      [TagSize]byte
	CRC      uint32 // CRC32C (Castagnoli) over the ciphertext
	Err      error  // nil when this block was sealed or opened
}

// A Cipher seals and opens blocks of one scope under one key.
type Cipher interface {
	// Suite returns the suite.
	Suite() Suite

	// Seal encrypts every block of the batch. Nonces are drawn inside, in one
	// call for the batch. It fails only as a whole, before it has touched a
	// buffer: ErrBlock, ErrClosed; every Err is then that error.
	Seal(batch []Block) error

	// Open verifies and decrypts every block of the batch, whatever becomes of
	// the others. A block that does not authenticate gets a *BlockError in Err
	// and zeros in Dst (in place, its ciphertext is gone); the result is then a
	// *BatchError. The CRC is looked at only then, to tell rot from alteration.
	// While Open runs, Dst may hold bytes not yet authenticated.
	// ErrBlock and ErrClosed are as for Seal.
	Open(batch []Block) error

	// Close waits for calls under way and drops the subkeys. It may be called again.
	Close()
}

// Checksum returns the CRC32C (Castagnoli; RFC 3720, appendix B.4) of
// ciphertext, for scrubbing without keys.
func Checksum(ciphertext []byte) uint32 { return crc32c.Checksum(ciphertext) }
