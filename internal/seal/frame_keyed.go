package seal

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"hash"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/fips"
	"github.com/cofferdb/coffer/internal/aes"
	"github.com/cofferdb/coffer/internal/secmem"
)

// keyedFrame is AES-GCM for frames, and HMAC-SHA256 for their chain.
type keyedFrame struct {
	gcm      *aes.GCM   // nil in FIPS mode
	library  gcmLibrary // in FIPS mode
	chainKey *secmem.Buffer
}

var _ frameWork = (*keyedFrame)(nil)

func newKeyedFrame(key *dek.Key, volume, segment [16]byte) (_ *keyedFrame, err error) {
	sc := Scope{Volume: volume, Key: key.ID(), Domain: DomainJournal}
	d := deriver{key: key, scope: &sc, suite: SuiteGCM, salt: segment[:]}
	w := &keyedFrame{}
	if fips.LibraryOnly() {
		w.library, err = newGCMLibrary(d, "frame")
	} else {
		w.gcm, err = newGCM(d, "frame")
	}
	if err == nil {
		err = d.with("frame chain", sha256.Size, func(subkey []byte) error {
			if w.chainKey, err = secmem.From(subkey); err != nil {
				return fmt.Errorf("seal: memory for a subkey: %w", err)
			}
			return nil
		})
	}
	if err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

func (w *keyedFrame) drawsNonces() bool { return w.gcm == nil }

func (w *keyedFrame) seal(s *scratch, dst, plaintext []byte) {
	if w.gcm == nil {
		w.library.sealOne(s, dst, plaintext, s.frame, &s.nonce, &s.tag)
		return
	}
	s.gcm[0] = aes.GCMJob{Dst: dst, Src: plaintext, AD: s.frame, Nonce: s.nonce}
	w.gcm.SealBatch(s.gcm[:1])
	s.tag = s.gcm[0].Tag
	s.gcm[0] = aes.GCMJob{}
}

func (w *keyedFrame) open(s *scratch, dst, ciphertext []byte) bool {
	if w.gcm == nil {
		return w.library.openOne(s, dst, ciphertext, s.frame, &s.nonce, &s.tag)
	}
	s.gcm[0] = aes.GCMJob{Dst: dst, Src: ciphertext, AD: s.frame, Nonce: s.nonce, Tag: s.tag}
	ok := w.gcm.OpenBatch(s.gcm[:1])
	s.gcm[0] = aes.GCMJob{}
	return ok
}

func (w *keyedFrame) chain(s *scratch) hash.Hash {
	if s.mac == nil {
		s.mac = hmac.New(sha256.New, w.chainKey.Bytes())
	}
	s.mac.Reset()
	return s.mac
}

func (w *keyedFrame) close() {
	w.gcm.Close()
	w.chainKey.Release()
}
