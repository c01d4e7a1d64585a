package sqlitevfs

import (
	"errors"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/vfs"

	"github.com/cofferdb/coffer/blockstore"
)

// LockState returns the lock held.
func (f *file) LockState() vfs.LockLevel { return f.lock }

// CheckReservedLock reports whether somebody is writing.
func (f *file) CheckReservedLock() (bool, error) { return f.owner || f.db.owned(), nil }

// Lock takes a snapshot for SHARED, which never waits, and the writer's place for
// RESERVED. EXCLUSIVE waits for nobody: readers have their snapshots.
func (f *file) Lock(lock vfs.LockLevel) error {
	if f.lock >= lock {
		return nil
	}
	if lock >= vfs.LOCK_RESERVED && f.readOnly {
		return sqlite3.IOERR_LOCK
	}
	if f.lock == vfs.LOCK_NONE {
		f.cause = nil
		if err := f.share(); err != nil {
			return err
		}
	}
	if lock >= vfs.LOCK_RESERVED {
		if err := f.reserve(); err != nil {
			return err
		}
	}
	f.lock = lock
	return nil
}

// share takes the snapshot of a read transaction. Where it is known that the
// transaction will write, or that nobody else may, the writer's place comes first: then no snapshot is stale.
func (f *file) share() error {
	if (f.writing || f.exclusive) && !f.readOnly && !f.take() {
		return sqlite3.BUSY
	}
	f.drop() // of a file that is read without locks
	if err := f.snapshot(); err != nil {
		f.leave()
		return f.fails(err, sqlite3.IOERR_LOCK)
	}
	f.moved = f.look() || f.moved
	f.lock = vfs.LOCK_SHARED
	return nil
}

// look notes which state the snapshot is of and reports whether that is news. A
// connection in locking_mode=EXCLUSIVE does not count its changes in the
// database's header, where others would look; so they are told by the volume's sequence.
func (f *file) look() bool {
	was := f.seen
	if f.seen = 0; f.tx != nil {
		f.seen = f.tx.Sequence()
	}
	return f.seen != was
}

// take takes the writer's place and reports whether this connection has it.
func (f *file) take() bool {
	f.owner = f.owner || f.db.own(f)
	return f.owner
}

// leave gives the writer's place back.
func (f *file) leave() {
	if f.owner {
		f.owner = false
		f.db.disown()
	}
}

// reserve turns the snapshot into the write transaction.
func (f *file) reserve() error {
	owned := f.owner
	if !f.take() {
		return sqlite3.BUSY
	}
	err := f.promote()
	if err != nil && !owned {
		f.leave()
	}
	switch {
	case errors.Is(err, blockstore.ErrStale):
		return sqlite3.BUSY_SNAPSHOT
	case err != nil:
		return f.fails(err, sqlite3.IOERR_LOCK)
	}
	f.synced, f.failed = false, nil
	return nil
}

// promote makes tx a write transaction; where there is no volume yet that is left to the first write.
func (f *file) promote() error {
	if f.empty {
		if f.db.store.Load() != nil {
			return blockstore.ErrStale
		}
		return nil
	}
	if err := f.snapshot(); err != nil {
		return err
	}
	return f.tx.Promote()
}

// Unlock gives up what was written and not committed. Under SHARED the
// connection goes on reading what it has committed, or what was there before.
func (f *file) Unlock(lock vfs.LockLevel) error {
	f.writing = false // SQLite unlocks also what it could not lock
	if f.lock <= lock {
		return remind(f.cause)
	}
	f.quit()
	if f.owner && f.tx != nil && f.tx.Writable() {
		f.drop()
	}
	var err error
	if lock == vfs.LOCK_NONE {
		f.drop()
		f.half = nil
	} else {
		if err = f.snapshot(); f.owner { // nobody else can have committed
			f.look()
		}
	}
	if lock == vfs.LOCK_NONE || !f.exclusive {
		f.leave()
	}
	f.lock, f.synced, f.failed = lock, false, nil
	if err != nil {
		return f.fails(err, sqlite3.IOERR_UNLOCK)
	}
	return remind(f.cause)
}
