package seal

import (
	"crypto/subtle"
	"hash"
)

// plainFrame is SHA-256 over the full additional data and the plaintext.
type plainFrame struct{}

var _ frameWork = plainFrame{}

// chainPrefix separates the chain of plain frames from every other hash here.
const chainPrefix = "coffer/1 frame chain\x00"

func (plainFrame) drawsNonces() bool { return true }

func (plainFrame) digest(s *scratch, data []byte) {
	h := s.sha256()
	h.Write(s.frame)
	h.Write(data)
	h.Sum(s.sum[:0])
}

func (w plainFrame) seal(s *scratch, dst, plaintext []byte) {
	w.digest(s, plaintext)
	s.nonce = [NonceSize]byte{}
	copy(s.tag[:], s.sum[:TagSize])
	copy(dst, plaintext)
}

func (w plainFrame) open(s *scratch, dst, ciphertext []byte) bool {
	w.digest(s, ciphertext)
	same := subtle.ConstantTimeCompare(s.tag[:], s.sum[:TagSize]) == 1
	if !same || s.nonce != ([NonceSize]byte{}) {
		clear(dst)
		return false
	}
	copy(dst, ciphertext)
	return true
}

// chain starts with the prefix and the frame header, which names volume and segment.
func (plainFrame) chain(s *scratch) hash.Hash {
	h := s.sha256()
	s.frame = append(s.frame, chainPrefix...)
	h.Write(s.frame[frameHeaderSize:])
	h.Write(s.frame[:frameHeaderSize])
	return h
}

func (plainFrame) close() {}
