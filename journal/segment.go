package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/fsx"
	"github.com/cofferdb/coffer/internal/seal"
)

// slot is a slot file.
type slot struct {
	name string
	file fsx.File // nil: not open; nobody holds files of segments that have ended

	// io is held while the file is written and synced. A sync that fails may
	// take with it what somebody else wrote just before, so nobody writes while
	// somebody else syncs. It comes before Journal.mu.
	io     sync.Mutex
	dirty  bool         // frames or a header were written since the last sync; io guards it
	filled atomic.Int64 // bytes known to be allocated and durable, from 0 on

	mine bool   // made by this Journal, so that file, size and name are known to be durable
	used bool   // held a segment
	key  dek.ID // of every segment it held, if used and mine
}

// segment is a segment that recovery may need.
type segment struct {
	hdr    header
	slots  []*slot          // the first is written to; more are copies made by Settle
	lease  *dek.Lease       // nil where plain
	cipher seal.FrameCipher // nil once every frame is written or read

	// Guarded by Journal.mu.
	next  *segment // after a switch
	begun bool     // its header is in the file
	done  bool     // no frame will be added
	end   int64    // bytes used
	out   int64    // bytes reserved by tickets, at the most
	last  uint64   // sequence number of the last frame written
	chain [32]byte // its chain value

	foreseen bool  // the slot of the next one was thought of
	behind   *slot // of the next one, if it was made ahead for it
	stuck    bool  // work ahead of its tickets failed: they meet what is in the way themselves
}

// unlock leases the segment's key and derives its subkeys.
func (s *segment) unlock(o *Options) error {
	holder := fmt.Sprintf("%s, segment %d", o.Holder, s.hdr.number)
	if !s.hdr.key.IsZero() {
		if o.Keys == nil {
			return fmt.Errorf("key %v: no keyring: %w", s.hdr.key, fault.NotActivated)
		}
		l, err := o.Keys.Lease(s.hdr.key, dek.Database, holder)
		if err != nil {
			return err
		}
		s.lease = l
		if s.hdr.bits == 0 { // a new segment
			s.hdr.bits = uint32(l.Key().Bits())
		}
		if int(s.hdr.bits) != l.Key().Bits() {
			s.lease.Release()
			return fmt.Errorf("key %v has %d bits here and %d there: %w", s.hdr.key, l.Key().Bits(), s.hdr.bits, fault.WrongKey)
		}
	}
	var key *dek.Key
	if s.lease != nil {
		key = s.lease.Key()
	}
	c, err := seal.NewFrame(key, s.hdr.volume, s.hdr.segment)
	if err != nil {
		s.lease.Release()
		return err
	}
	s.cipher = c
	return nil
}

// lock drops the subkeys; the lease stays until the segment is needed no more.
func (s *segment) lock() {
	if s.cipher != nil {
		s.cipher.Close()
		s.cipher = nil
	}
}

// free gives back everything but the slots.
func (s *segment) free() {
	s.lock()
	s.lease.Release()
}

// mayWrite refuses a key that only decrypts.
func (s *segment) mayWrite() error {
	if s.lease != nil && s.lease.Mode() != dek.Active {
		return fmt.Errorf("journal: key %v: %w", s.hdr.key, dek.ErrDecryptOnly)
	}
	return nil
}

// makeSlot creates a slot file under a number not in use: the pieces, zeros from behind
// the first one up to size, synced with its name. It takes the number.
func makeSlot(o *Options, used map[int]bool, size int64, pieces ...rawFrame) (*slot, error) {
	for {
		number := 1
		for used[number] {
			number++
		}
		s := &slot{name: slotName(number), mine: true}
		path := filepath.Join(o.Dir, s.name)
		f, err := o.FS.Open(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		if err == nil {
			s.file = f
			err = s.fill(o, size, pieces)
		}
		if errors.Is(err, fs.ErrExist) { // left over from an attempt that failed
			used[number] = true
			continue
		}
		if err != nil {
			if f != nil {
				_ = f.Close()
				_ = o.FS.Remove(path) // nobody knows of it yet
			}
			return nil, fmt.Errorf("make segment: %w", err)
		}
		used[number] = true
		return s, nil
	}
}

// fill gives a new slot file its content and makes it and its name durable.
func (s *slot) fill(o *Options, size int64, pieces []rawFrame) error {
	from := int64(0)
	for i, p := range pieces {
		if _, err := s.file.WriteAt(p.data, p.off); err != nil {
			return err
		}
		if i == 0 {
			from = p.off + int64(len(p.data))
		}
	}
	if err := writeZeros(s.file, from, size); err != nil {
		return err
	}
	if err := s.file.Sync(); err != nil {
		return err
	}
	s.filled.Store(size)
	return o.FS.SyncDir(o.Dir)
}

// writeZeros fills a file with zeros from one offset to another.
func writeZeros(f fsx.File, from, to int64) error {
	for ; from < to; from += int64(len(zeros)) {
		if _, err := f.WriteAt(zeros[:min(to-from, int64(len(zeros)))], from); err != nil {
			return err
		}
	}
	return nil
}

// open opens the file for writing, unless it is.
func (s *slot) open(o *Options) (err error) {
	s.io.Lock()
	defer s.io.Unlock()
	if s.file == nil {
		s.file, err = o.FS.Open(filepath.Join(o.Dir, s.name), os.O_RDWR, 0)
	}
	return err
}

// close closes the file, once nobody writes it.
func (s *slot) close() {
	s.io.Lock()
	defer s.io.Unlock()
	s.closeLocked()
}

// closeLocked is close where io is held.
func (s *slot) closeLocked() {
	if s.file != nil {
		_ = s.file.Close() // what counts was synced
		s.file = nil
	}
}

// destroy removes the slot's name, after overwriting the file with zeros if wipe is set.
func (s *slot) destroy(o *Options, wipe bool) error {
	path := filepath.Join(o.Dir, s.name)
	if wipe && s.file == nil { // whoever put a link there does not get what it leads to overwritten
		alone, err := fsx.Alone(o.FS, path)
		if err != nil {
			return fmt.Errorf("journal: overwrite %s: %w", s.name, err)
		}
		wipe = alone
	}
	if wipe {
		if err := s.overwrite(o); err != nil {
			return fmt.Errorf("journal: overwrite %s: %w", s.name, err)
		}
	}
	s.close()
	if err := o.FS.Remove(path); err != nil {
		return fmt.Errorf("journal: remove segment: %w", err)
	}
	return nil
}

func (s *slot) overwrite(o *Options) error {
	if err := s.open(o); err != nil {
		return err
	}
	s.io.Lock()
	defer s.io.Unlock()
	size, err := s.file.Size()
	if err != nil {
		return err
	}
	if err := writeZeros(s.file, 0, size); err != nil {
		return err
	}
	return s.file.Sync()
}
