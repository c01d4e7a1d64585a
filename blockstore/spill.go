package blockstore

import (
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fsx"
	"github.com/cofferdb/coffer/internal/seal"
)

// spillFile keeps page images that do not fit in memory – of large
// transactions, and of old snapshots – in a temporary file without a name,
// sealed under a key that exists only in this process.
type spillFile struct {
	fsys      fsx.FS
	dir       string
	blockSize int

	mu     sync.Mutex // guards everything below
	file   fsx.File
	key    *dek.Key
	cipher seal.FrameCipher
	next   int64
	free   []int64
}

// spillRef is one image in the file.
type spillRef struct {
	off   int64
	nonce [seal.NonceSize]byte
	tag   [seal.TagSize]byte
}

func newSpillFile(fsys fsx.FS, dir string, blockSize int) *spillFile {
	return &spillFile{fsys: fsys, dir: dir, blockSize: blockSize}
}

func (s *spillFile) open() error {
	if s.file != nil {
		return nil
	}
	key, err := dek.Generate(256)
	if err != nil {
		return fmt.Errorf("blockstore: key of the spill file: %w", err)
	}
	cipher, err := seal.NewFrame(key, NewUUID(), NewUUID())
	if err != nil {
		key.Destroy()
		return fmt.Errorf("blockstore: cipher of the spill file: %w", err)
	}
	file, err := s.fsys.TempFile(s.dir)
	if err != nil {
		cipher.Close()
		key.Destroy()
		return fmt.Errorf("blockstore: spill file: %w", err)
	}
	s.file, s.key, s.cipher = file, key, cipher
	return nil
}

func (s *spillFile) put(page []byte) (*spillRef, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.open(); err != nil {
		return nil, err
	}
	r := &spillRef{off: s.next}
	if n := len(s.free); n > 0 {
		r.off, s.free = s.free[n-1], s.free[:n-1]
	} else {
		s.next += int64(s.blockSize)
	}
	out, nonce, tag, err := s.cipher.Seal(nil, page, r.ad())
	if err != nil {
		return nil, fmt.Errorf("blockstore: seal for the spill file: %w", err)
	}
	r.nonce, r.tag = nonce, tag
	if _, err := s.file.WriteAt(out, r.off); err != nil {
		s.free = append(s.free, r.off)
		return nil, fmt.Errorf("blockstore: write the spill file: %w", err)
	}
	return r, nil
}

func (r *spillRef) ad() []byte {
	return binary.LittleEndian.AppendUint64([]byte("spill"), uint64(r.off))
}

func (s *spillFile) get(r *spillRef) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	buf := make([]byte, s.blockSize)
	if err := readFull(s.file, buf, r.off); err != nil {
		return nil, fmt.Errorf("blockstore: read the spill file: %w", err)
	}
	return s.cipher.Open(buf[:0], buf, r.ad(), r.nonce, r.tag)
}

// release makes an image's place free again.
func (s *spillFile) release(r *spillRef) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.free = append(s.free, r.off)
}

func (s *spillFile) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file == nil {
		return nil
	}
	s.cipher.Close()
	s.key.Destroy()
	err := s.file.Close()
	s.file = nil
	return err
}
