package sqlitevfs

import (
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/vfs"

	"github.com/cofferdb/coffer/blockstore"
	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fsx"
	"github.com/cofferdb/coffer/internal/seal"
)

// scratch is a file that SQLite keeps for itself: a rollback journal, a temporary
// database or its journal, what a sort has written. Nobody else sees it and it
// ends with its connection, so it lies in memory; what is too much for that lies
// in a file without a name, in chunks sealed under a key that only this process
// has, which ends with the file.
type scratch struct {
	v      *VFS
	size   int64
	chunks []chunk
	loaded []int // chunks in memory, in the order in which they came
	most   int   // so many stay in memory

	file   fsx.File
	key    *dek.Key
	cipher seal.FrameCipher
	closed bool
}

// chunk is a piece of a scratch file, zeros where it was never written.
type chunk struct {
	data   []byte // nil: not in memory
	dirty  bool   // newer than what is in the file
	stored bool
	nonce  [seal.NonceSize]byte
	tag    [seal.TagSize]byte
}

const chunkSize = 16 << 10

var chunkPool = sync.Pool{New: func() any { return new([chunkSize]byte) }}

var _ vfs.FileLockState = (*scratch)(nil)

func newScratch(v *VFS) *scratch {
	return &scratch{v: v, most: int(max(v.opts.SpillBytes/chunkSize, 2))}
}

// Close forgets everything.
func (s *scratch) Close() error {
	if s.closed {
		return nil
	}
	s.closed = true
	s.cut(0)
	if s.file == nil {
		return nil
	}
	s.cipher.Close()
	s.key.Destroy()
	return s.file.Close()
}

// ReadAt reads at any offset.
func (s *scratch) ReadAt(p []byte, off int64) (n int, err error) {
	for n < len(p) && off < s.size {
		i, in := int(off/chunkSize), off%chunkSize
		m := int(min(chunkSize-in, int64(len(p)-n), s.size-off))
		data, err := s.load(i, false)
		if err != nil {
			return n, code(err, sqlite3.IOERR_READ)
		}
		if data == nil {
			clear(p[n : n+m])
		} else {
			copy(p[n:n+m], data[in:])
		}
		n, off = n+m, off+int64(m)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// WriteAt writes at any offset.
func (s *scratch) WriteAt(p []byte, off int64) (n int, err error) {
	for n < len(p) {
		i, in := int(off/chunkSize), off%chunkSize
		data, err := s.load(i, true)
		if err != nil {
			return n, code(err, sqlite3.IOERR_WRITE)
		}
		m := copy(data[in:], p[n:])
		s.chunks[i].dirty = true
		n, off = n+m, off+int64(m)
	}
	s.size = max(s.size, off)
	return n, nil
}

// load returns a chunk, which stays in memory until the next call; nil for one
// that was never written, unless it is to be made.
func (s *scratch) load(i int, make bool) ([]byte, error) {
	if i < len(s.chunks) && s.chunks[i].data != nil {
		return s.chunks[i].data, nil
	}
	if !make && (i >= len(s.chunks) || !s.chunks[i].stored) {
		return nil, nil
	}
	if len(s.loaded) >= s.most {
		if err := s.evict(); err != nil {
			return nil, err
		}
	}
	if i >= len(s.chunks) {
		s.chunks = append(s.chunks, slices.Repeat([]chunk{{}}, i+1-len(s.chunks))...)
	}
	c := &s.chunks[i]
	data := chunkPool.Get().(*[chunkSize]byte)[:]
	if !c.stored {
		clear(data)
	} else if err := s.fetch(i, data); err != nil {
		release(data)
		return nil, err
	}
	c.data, c.dirty = data, false
	s.loaded = append(s.loaded, i)
	return data, nil
}

func release(data []byte) { chunkPool.Put((*[chunkSize]byte)(data)) }

// evict takes the chunk that came first out of memory.
func (s *scratch) evict() error {
	i := s.loaded[0]
	c := &s.chunks[i]
	if c.dirty {
		if err := s.spill(i); err != nil {
			return err
		}
	}
	release(c.data)
	c.data = nil
	s.loaded = s.loaded[1:]
	return nil
}

// spill seals a chunk into the file.
func (s *scratch) spill(i int) error {
	if err := s.open(); err != nil {
		return err
	}
	c := &s.chunks[i]
	buf := chunkPool.Get().(*[chunkSize]byte)
	defer chunkPool.Put(buf)
	out, nonce, tag, err := s.cipher.Seal(buf[:0], c.data, chunkAD(i))
	if err != nil {
		return fmt.Errorf("sqlitevfs: seal for a spill file: %w", err)
	}
	if _, err := s.file.WriteAt(out, int64(i)*chunkSize); err != nil {
		return fmt.Errorf("sqlitevfs: write a spill file: %w", err)
	}
	c.nonce, c.tag, c.stored, c.dirty = nonce, tag, true, false
	return nil
}

// fetch opens a chunk of the file.
func (s *scratch) fetch(i int, data []byte) error {
	if n, err := s.file.ReadAt(data, int64(i)*chunkSize); n < len(data) {
		return fmt.Errorf("sqlitevfs: read a spill file: %w", err)
	}
	c := &s.chunks[i]
	if _, err := s.cipher.Open(data[:0], data, chunkAD(i), c.nonce, c.tag); err != nil {
		return fmt.Errorf("sqlitevfs: a spill file was changed: %w", err)
	}
	return nil
}

func chunkAD(i int) []byte { return binary.LittleEndian.AppendUint64([]byte("scratch"), uint64(i)) }

// open makes the file and its key.
func (s *scratch) open() (err error) {
	if s.file != nil {
		return nil
	}
	if s.key, err = dek.Generate(256); err != nil {
		return fmt.Errorf("sqlitevfs: key of a spill file: %w", err)
	}
	if s.cipher, err = seal.NewFrame(s.key, blockstore.NewUUID(), blockstore.NewUUID()); err != nil {
		s.key.Destroy()
		return fmt.Errorf("sqlitevfs: cipher of a spill file: %w", err)
	}
	if s.file, err = s.v.fs.TempFile(s.v.opts.SpillDir); err != nil {
		s.cipher.Close()
		s.key.Destroy()
		return fmt.Errorf("sqlitevfs: spill file: %w", err)
	}
	return nil
}

// Truncate sets the length. What is cut off reads as zeros when the file grows again.
func (s *scratch) Truncate(size int64) error {
	if size < s.size {
		if rest := size % chunkSize; rest != 0 {
			data, err := s.load(int(size/chunkSize), false)
			if err != nil {
				return code(err, sqlite3.IOERR_TRUNCATE)
			}
			if data != nil {
				clear(data[rest:])
				s.chunks[size/chunkSize].dirty = true
			}
		}
		s.cut(int((size + chunkSize - 1) / chunkSize))
	}
	s.size = size
	return nil
}

// cut forgets the chunks from the n-th on.
func (s *scratch) cut(n int) {
	if n >= len(s.chunks) {
		return
	}
	for i := n; i < len(s.chunks); i++ {
		if s.chunks[i].data != nil {
			release(s.chunks[i].data)
		}
	}
	clear(s.chunks[n:])
	s.chunks = s.chunks[:n]
	s.loaded = slices.DeleteFunc(s.loaded, func(i int) bool { return i >= n })
}

// Size returns the length.
func (s *scratch) Size() (int64, error) { return s.size, nil }

// The rest has no meaning for a file that one connection has and nobody finds again.

func (s *scratch) Sync(vfs.SyncFlag) error          { return nil }
func (s *scratch) Lock(vfs.LockLevel) error         { return nil }
func (s *scratch) Unlock(vfs.LockLevel) error       { return nil }
func (s *scratch) CheckReservedLock() (bool, error) { return false, nil }
func (s *scratch) LockState() vfs.LockLevel         { return vfs.LOCK_EXCLUSIVE }
func (s *scratch) SectorSize() int                  { return 512 }

// DeviceCharacteristics are those of [file].
func (s *scratch) DeviceCharacteristics() vfs.DeviceCharacteristic {
	return vfs.IOCAP_POWERSAFE_OVERWRITE | vfs.IOCAP_SEQUENTIAL | vfs.IOCAP_SUBPAGE_READ
}
