package sqlitevfs

import (
	"io"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/vfs"

	"github.com/cofferdb/coffer/blockstore"
)

// file is one connection's view of a database. SQLite uses it from one goroutine at a time.
//
// Under SHARED tx is a snapshot, from RESERVED on the write transaction of the
// volume. It is committed where SQLite says that the transaction is committed
// ([file.CommitPhaseTwo]) and nowhere else; every way to unlock gives it up.
type file struct {
	db       *database
	readOnly bool
	closed   bool

	lock  vfs.LockLevel
	owner bool           // this connection has the writer's place
	tx    *blockstore.Tx // nil: none yet; a snapshot of an empty database where empty is set
	empty bool           // the snapshot was taken before the volume was made

	writing   bool // a lock for a write transaction is about to be asked for
	exclusive bool // PRAGMA locking_mode
	synced    bool // SQLite asked for a sync since the transaction began
	super     *super
	failed    error  // why the write transaction was given up; nothing of it may be committed
	cause     error  // of the last failure, for people
	half      error  // why what SQLite believes of this file is wrong until it lets go of it
	renew     bool   // the next look at the change counter must make SQLite drop its cache
	seen      uint64 // sequence of the snapshot that SQLite's cache is of
	moved     bool   // the present one is another

	scan  scan
	block []byte // one block, for what is not a whole one
}

var (
	_ vfs.FileLockState      = (*file)(nil)
	_ vfs.FileSync           = (*file)(nil)
	_ vfs.FileCommitPhaseTwo = (*file)(nil)
	_ vfs.FilePragma         = (*file)(nil)
)

// Close gives up what is open.
func (f *file) Close() error {
	if f.closed {
		return nil
	}
	f.closed = true
	_ = f.Unlock(vfs.LOCK_NONE)
	f.drop()
	if err := f.db.v.release(f.db); err != nil {
		return err
	}
	return remind(f.cause)
}

// drop ends the transaction or snapshot.
func (f *file) drop() {
	if f.tx != nil {
		f.tx.Rollback()
	}
	f.tx, f.empty = nil, false
}

// snapshot takes one, if there is none.
func (f *file) snapshot() error {
	if f.tx != nil || f.empty {
		return nil
	}
	s := f.db.store.Load()
	if s == nil {
		f.empty = true
		return nil
	}
	tx, err := s.Begin(false)
	f.tx = tx
	return err
}

// view returns what reads look at, nil for an empty database. Without a lock
// that is whatever is newest, and done ends it.
func (f *file) view() (tx *blockstore.Tx, done func(), err error) {
	if f.half != nil {
		return nil, nil, f.half
	}
	held := f.tx != nil || f.empty
	if err := f.snapshot(); err != nil {
		return nil, nil, err
	}
	if held || f.lock >= vfs.LOCK_SHARED {
		return f.tx, func() {}, nil
	}
	return f.tx, f.drop, nil
}

// fails maps an error for SQLite and keeps it for people.
func (f *file) fails(err error, otherwise sqlite3.ExtendedErrorCode) error {
	if err != nil {
		f.cause = err
	}
	return code(err, otherwise)
}

// Size returns the length of the database in bytes.
func (f *file) Size() (int64, error) {
	tx, done, err := f.view()
	if err != nil {
		return 0, f.fails(err, sqlite3.IOERR_FSTAT)
	}
	defer done()
	if tx == nil {
		return 0, nil
	}
	return tx.Size(), nil
}

// Where a database says how it is journaled ("Database File Format", section 1.3).
const (
	versionOff = 18 // write version, then read version: 1 rollback journal, 2 write-ahead log
	rollback   = 1
	changeOff  = 24 // what a connection looks at to see whether its cache is stale
	changeLen  = 16
)

// ReadAt reads at any offset. A database in WAL mode is shown as one that is not.
func (f *file) ReadAt(p []byte, off int64) (n int, err error) {
	tx, done, err := f.view()
	if err != nil {
		return 0, f.fails(err, sqlite3.IOERR_READ)
	}
	defer done()
	if tx == nil || off >= tx.Size() {
		return 0, io.EOF
	}
	n = int(min(int64(len(p)), tx.Size()-off))
	if err := f.read(tx, p[:n], off); err != nil {
		return 0, f.fails(err, sqlite3.IOERR_READ)
	}
	if off <= versionOff+1 {
		for i := max(off, versionOff); i <= versionOff+1 && i-off < int64(n); i++ {
			if p[i-off] > rollback {
				p[i-off] = rollback
			}
		}
	}
	if (f.renew || f.moved) && off == changeOff && len(p) == changeLen {
		p[0] ^= 0x80
		f.renew, f.moved = false, false
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// read reads what lies within the volume.
func (f *file) read(tx *blockstore.Tx, p []byte, off int64) error {
	bs := int64(tx.BlockSize())
	for len(p) > 0 {
		b, in := uint64(off/bs), off%bs
		n := int64(len(p)) / bs * bs
		if in == 0 && n > 0 {
			f.scan.look(tx, b, uint64(n/bs))
			if err := tx.ReadInto(b, p[:n]); err != nil {
				return err
			}
		} else {
			page, err := f.one(tx, b)
			if err != nil {
				return err
			}
			n = int64(copy(p, page[in:]))
		}
		p, off = p[n:], off+n
	}
	return nil
}

// one reads a block into the file's own buffer.
func (f *file) one(tx *blockstore.Tx, b uint64) ([]byte, error) {
	if len(f.block) != tx.BlockSize() {
		f.block = make([]byte, tx.BlockSize())
	}
	return f.block, tx.ReadInto(b, f.block)
}

// WriteAt writes at any offset. What lies between the end and off reads as zeros.
func (f *file) WriteAt(p []byte, off int64) (int, error) {
	tx, err := f.writable(len(p))
	if err == nil {
		err = f.write(tx, p, off)
	}
	if err != nil {
		return 0, f.fails(f.giveUp(err), sqlite3.IOERR_WRITE)
	}
	return len(p), nil
}

func (f *file) write(tx *blockstore.Tx, p []byte, off int64) error {
	if end := off + int64(len(p)); end > tx.Size() {
		if err := tx.Resize(end); err != nil {
			return err
		}
	}
	bs := int64(tx.BlockSize())
	for len(p) > 0 {
		b, in := uint64(off/bs), off%bs
		n := min(bs-in, int64(len(p)))
		page := p[:n]
		if n < bs || b == 0 {
			whole, err := f.one(tx, b)
			if err != nil {
				return err
			}
			f.patch(whole, page, in, b == 0)
			page = whole
		}
		if err := tx.Write(b, page); err != nil {
			return err
		}
		p, off = p[n:], off+n
	}
	return nil
}

// patch puts p into a block at offset in. In the first one the mark of a
// database in WAL mode stays, which SQLite was not shown; where SQLite itself
// brings one, copying a database in WAL mode, it must not go by its cache.
func (f *file) patch(block, p []byte, in int64, first bool) {
	stored := [2]byte(block[versionOff:])
	copy(block[in:], p)
	if first && in <= versionOff && in+int64(len(p)) > versionOff+1 {
		for i, was := range stored {
			switch now := &block[versionOff+i]; {
			case *now > rollback:
				f.renew = true
			case was > rollback && *now == rollback:
				*now = was
			}
		}
	}
}

// Truncate sets the length.
func (f *file) Truncate(size int64) error {
	if f.empty && size == 0 {
		return nil
	}
	tx, err := f.writable(minBlock)
	if err == nil {
		err = tx.Resize(size)
	}
	if err != nil {
		return f.fails(f.giveUp(err), sqlite3.IOERR_TRUNCATE)
	}
	return nil
}

// SectorSize is what SQLite believes to be torn by a power cut: nothing is.
func (f *file) SectorSize() int { return 512 }

// DeviceCharacteristics say that nothing beside what is written changes, that
// writes keep their order, and that parts of pages can be read. Atomic writes are
// not claimed: SQLite would use them to leave its own rollback journal out, and with
// it what SAVEPOINT and a failed statement go back to.
func (f *file) DeviceCharacteristics() vfs.DeviceCharacteristic {
	return vfs.IOCAP_POWERSAFE_OVERWRITE | vfs.IOCAP_SEQUENTIAL | vfs.IOCAP_SUBPAGE_READ
}
