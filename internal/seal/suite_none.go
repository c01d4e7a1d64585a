package seal

import (
	"crypto/sha256"
	"crypto/subtle"
	"hash"
)

// noneEngine is suite none: plaintext, and 128 bits of SHA-256 over additional
// data and plaintext. Anyone can compute the tag; the tree's root, which is
// under a MAC, makes it authentic.
type noneEngine struct{}

var _ engine = noneEngine{}

func (noneEngine) drawsNonces() bool { return true }

func (noneEngine) close() {}

// digest sets s.sum to SHA-256(AD || data).
func (s *scratch) digest(b *Block) {
	h := s.sha256()
	h.Write(s.ad(0, b))
	h.Write(b.Src)
	h.Sum(s.sum[:0])
}

func (noneEngine) seal(s *scratch, run []Block) {
	for i := range run {
		b := &run[i]
		s.digest(b)
		b.Nonce = [NonceSize]byte{}
		copy(b.Tag[:], s.sum[:TagSize])
		copy(b.Dst, b.Src)
		b.CRC = Checksum(b.Dst)
	}
}

func (noneEngine) open(s *scratch, run []Block) {
	for i := range run {
		b := &run[i]
		s.digest(b)
		same := subtle.ConstantTimeCompare(b.Tag[:], s.sum[:TagSize]) == 1
		if !same || b.Nonce != ([NonceSize]byte{}) {
			reject(b, SuiteNone, Checksum(b.Src))
			continue
		}
		copy(b.Dst, b.Src)
	}
}

// sha256 returns the scratch's hash, ready for use.
func (s *scratch) sha256() hash.Hash {
	if s.sha == nil {
		s.sha = sha256.New()
	}
	s.sha.Reset()
	return s.sha
}
