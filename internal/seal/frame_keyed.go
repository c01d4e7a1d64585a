package seal

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"hash"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/secmem"
)

// keyedFrame is AES-GCM for frames, and HMAC-SHA256 for their chain.
type keyedFrame struct {
	gcm      gcm
	chainKey *secmem.Buffer
}

var _ frameWork = (*keyedFrame)(nil)

func newKeyedFrame(key *dek.Key, volume, segment [16]byte) (*keyedFrame, error) {
	sc := Scope{Volume: volume, Key: key.ID(), Domain: DomainJournal}
	d := deriver{key: key, scope: &sc, suite: SuiteGCM, salt: segment[:]}
	w := &keyedFrame{}
	err := d.with("frame", key.Len(), func(subkey []byte) (err error) {
		w.gcm, err = newGCM(subkey, ownNonces())
		return err
	})
	if err != nil {
		return nil, err
	}
	err = d.with("frame chain", sha256.Size, func(subkey []byte) error {
		if w.chainKey, err = secmem.From(subkey); err != nil {
			return fmt.Errorf("seal: memory for a subkey: %w", err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return w, nil
}

func (w *keyedFrame) drawsNonces() bool { return w.gcm.own }

func (w *keyedFrame) seal(s *scratch, plaintext []byte) []byte {
	buf := s.buffer(len(plaintext) + gcmOverhead)
	return w.gcm.seal(buf, s.nonce[:], s.tag[:], plaintext, s.frame)
}

func (w *keyedFrame) open(s *scratch, dst, ciphertext []byte) bool {
	buf := s.buffer(len(ciphertext) + gcmOverhead)
	return w.gcm.open(buf, dst, s.nonce[:], s.tag[:], ciphertext, s.frame)
}

func (w *keyedFrame) chain(s *scratch) hash.Hash {
	if s.mac == nil {
		s.mac = hmac.New(sha256.New, w.chainKey.Bytes())
	}
	s.mac.Reset()
	return s.mac
}

func (w *keyedFrame) close() { w.chainKey.Release() }
