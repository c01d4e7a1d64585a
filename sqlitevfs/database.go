package sqlitevfs

import (
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cofferdb/coffer/blockstore"
	"github.com/cofferdb/coffer/internal/fault"
)

// database is what the connections to one volume share.
type database struct {
	v    *VFS
	path string
	refs int // guarded by v.mu

	opening sync.Mutex // one open or close at a time; guards the fields below, but for reading store
	store   atomic.Pointer[blockstore.Store]
	anchor  string // that the store was opened with
	reading bool   // the store was opened for reading only, because that was asked for

	mu    sync.Mutex    // guards the fields below
	owner *file         // who may write, nil if nobody
	freed chan struct{} // closed when owner becomes nil

	rekey rekeying
}

// acquire returns the database at path, open unless it is still to be made.
func (v *VFS) acquire(path string, how opening) (*database, error) {
	v.mu.Lock()
	db := v.dbs[path]
	if db == nil {
		db = &database{v: v, path: path}
		v.dbs[path] = db
	}
	db.refs++
	v.mu.Unlock()
	if err := db.open(how); err != nil {
		return nil, errors.Join(err, v.release(db))
	}
	return db, nil
}

// release gives a reference back. The last one closes the volume, which is then clean and complete.
func (v *VFS) release(db *database) error {
	db.opening.Lock()
	defer db.opening.Unlock()
	v.mu.Lock()
	db.refs--
	last := db.refs == 0
	v.mu.Unlock()
	if !last {
		return nil
	}
	var err error
	if s := db.store.Swap(nil); s != nil {
		err = s.Close()
	}
	db.anchor, db.reading = "", false
	db.rekey.forget()
	v.mu.Lock()
	defer v.mu.Unlock()
	if db.refs == 0 {
		delete(v.dbs, db.path)
	}
	return err
}

// open opens the volume for a connection, unless another one has.
func (db *database) open(how opening) error {
	db.opening.Lock()
	defer db.opening.Unlock()
	if db.store.Load() != nil {
		return db.fits(how)
	}
	o := db.v.opts.Volume.Options
	o.ReadOnly = how.readOnly
	if how.anchor != "" {
		a, err := blockstore.ParseAnchor(how.anchor)
		if err != nil {
			return fmt.Errorf("sqlitevfs: the URI's anchor: %w", err)
		}
		o.ExpectAnchor = &a
	}
	s, err := blockstore.Open(db.path, db.v.keys, &o)
	switch {
	case err == nil:
		db.anchor, db.reading = how.anchor, how.readOnly
		db.store.Store(s)
		return nil
	case errors.Is(err, fs.ErrNotExist) && how.create && how.anchor == "":
		return nil // made by the first write, which knows how large pages are
	case errors.Is(err, fault.NotFormat):
		return fault.Hint(fmt.Errorf("%s is not a volume: %w", db.path, err), "coffer encrypt turns a SQLite database into a volume")
	}
	return err
}

// fits refuses a connection that wants more than the volume was opened for.
func (db *database) fits(how opening) error {
	switch {
	case db.reading && !how.readOnly:
		return fault.Hint(fmt.Errorf("sqlitevfs: %s is open read-only in this process: %w", db.path, fault.InUse),
			"open the first connection for writing, or close those with mode=ro before")
	case how.anchor != "" && how.anchor != db.anchor:
		return fmt.Errorf("sqlitevfs: the volume is open already, an anchor is checked when it is opened: %w", fault.State)
	}
	return nil
}

// make makes the volume of a new database whose pages have so many bytes.
func (db *database) make(pageSize int) (*blockstore.Store, error) {
	db.opening.Lock()
	defer db.opening.Unlock()
	if s := db.store.Load(); s != nil {
		return s, nil
	}
	o := db.v.opts.Volume
	o.Size, o.BlockSize, o.ReadOnly = 0, max(pageSize, minBlock), false
	s, err := blockstore.Create(db.path, db.v.keys, o)
	if err != nil {
		return nil, err
	}
	db.store.Store(s)
	return s, nil
}

const minBlock = 4096 // the smallest block of a volume, in bytes

// patience is how long a connection waits for the writer's place before SQLite is
// told that it is taken, and asks the busy handler. go-sqlite3's counts on about this.
const patience = time.Millisecond

// own takes the writer's place for f and reports whether it got it.
func (db *database) own(f *file) bool {
	var timeout <-chan time.Time
	for {
		db.mu.Lock()
		if db.owner == nil {
			db.owner = f
			db.mu.Unlock()
			return true
		}
		if db.freed == nil {
			db.freed = make(chan struct{})
		}
		freed := db.freed
		db.mu.Unlock()
		if timeout == nil {
			timer := time.NewTimer(patience)
			defer timer.Stop()
			timeout = timer.C
		}
		select {
		case <-freed:
		case <-timeout:
			return false
		}
	}
}

// disown frees the writer's place.
func (db *database) disown() {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.owner = nil
	if db.freed != nil {
		close(db.freed)
		db.freed = nil
	}
}

// owned reports whether somebody is writing.
func (db *database) owned() bool {
	db.mu.Lock()
	defer db.mu.Unlock()
	return db.owner != nil
}

// Store returns the open volume of a database, for what only Go can say: Convert
// with a pace, BackupTo, Verify. It opens the volume where no connection has, and
// keeps it open until release is called, also while no connection is open. Blocks
// are not to be written through it.
func (v *VFS) Store(name string) (s *blockstore.Store, release func() error, err error) {
	path, err := v.FullPathname(name)
	if err != nil && path == "" {
		return nil, nil, err
	}
	db, err := v.acquire(path, opening{readOnly: v.opts.Volume.ReadOnly})
	if err != nil {
		return nil, nil, err
	}
	if s = db.store.Load(); s == nil {
		return nil, nil, errors.Join(fmt.Errorf("sqlitevfs: %s was not written yet: %w", path, fs.ErrNotExist), v.release(db))
	}
	return s, sync.OnceValue(func() error { return v.release(db) }), nil
}
