package sqlitevfs

import (
	"fmt"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/vfs"

	"github.com/cofferdb/coffer/blockstore"
)

// writable returns the write transaction. Under locking_mode=EXCLUSIVE, where
// SQLite does not unlock between transactions, it may have to begin one; and the
// first write to a new database makes its volume, with blocks as large as its pages.
func (f *file) writable(pageSize int) (*blockstore.Tx, error) {
	switch {
	case f.half != nil:
		return nil, f.half
	case !f.owner || f.lock < vfs.LOCK_RESERVED:
		return nil, errUnlocked
	case f.tx != nil && f.tx.Writable():
		return f.tx, nil
	case f.empty:
		if _, err := f.db.make(pageSize); err != nil {
			return nil, err
		}
		f.empty = false
	}
	if err := f.snapshot(); err != nil {
		return nil, err
	}
	return f.tx, f.tx.Promote()
}

// giveUp drops the write transaction after an error: SQLite rolls back, and what
// it then writes and reads is what was there before. Nothing is committed until it
// has let go of its lock.
func (f *file) giveUp(err error) error {
	if f.owner && f.tx != nil && f.tx.Writable() {
		f.drop()
	}
	if f.failed == nil {
		f.failed = err
	}
	return err
}

// SyncSuper comes before the sync of a commit, and alone where synchronous is
// off. With a super-journal of ours the commit is due when that is deleted.
func (f *file) SyncSuper(name string) error {
	f.synced = false
	if s := findSuper(name); s != nil && s.join(f) {
		f.super = s
	}
	return nil
}

// Sync asks for durability; the commit itself brings it. A rollback syncs too.
func (f *file) Sync(vfs.SyncFlag) error {
	f.synced = true
	return nil
}

// CommitPhaseTwo is where a transaction of SQLite is committed: its journal is
// finalised, and the file has its length. Only errors that the pager takes for
// failures of the file are returned; it drops its cache then.
func (f *file) CommitPhaseTwo() error {
	f.super = nil // what its deletion has committed; SQLite may have cut the file since
	return f.fails(f.commit(), sqlite3.IOERR_FSYNC)
}

// commit makes what was written one commit of the volume, durable if SQLite asked for that.
func (f *file) commit() error {
	switch {
	case f.failed != nil:
		return fmt.Errorf("%w: %w", errBroken, f.failed)
	case f.tx == nil || !f.tx.Writable():
		return nil
	case !f.tx.Changed():
		f.drop()
		return nil
	}
	tx := f.tx
	f.tx = nil
	if f.synced {
		f.failed = tx.Commit()
	} else {
		f.failed = tx.CommitLazy()
	}
	f.synced = false
	return f.failed
}

// quit leaves a super-journal that was not deleted: its transaction is rolled back.
func (f *file) quit() {
	if f.super != nil {
		f.super.leave(f)
		f.super = nil
	}
}
