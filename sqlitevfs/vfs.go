package sqlitevfs

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"sync"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/vfs"

	"github.com/cofferdb/coffer/blockstore"
	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/fsx"
)

// Options of a VFS. The zero value is ready to use.
type Options struct {
	// Volume holds what every volume is opened with, and made with: suite, key and
	// permissions of new ones, cache, segments. Size and BlockSize are not looked at: a new
	// volume is empty, and its blocks are as large as the pages of its database, at least 4,096 bytes.
	// ReadOnly opens all of them so.
	Volume blockstore.CreateOptions
	// SpillBytes is how much of each file that SQLite keeps for itself (a rollback
	// journal, a temporary database) stays in memory; 0 is 16 MiB.
	SpillBytes int64
	// SpillDir is the folder for what does not; "" is the system's.
	SpillDir string
}

const defaultSpillBytes = 16 << 20

// VFS is a SQLite VFS whose databases are volumes. It may be used by many goroutines.
type VFS struct {
	keys *dek.Keyring
	opts Options
	fs   fsx.FS

	mu  sync.Mutex // guards dbs and the refs in them
	dbs map[string]*database
}

var _ vfs.VFSFilename = (*VFS)(nil)

// New returns a VFS for databases under the keys of a keyring. [vfs.Register]
// gives it the name by which SQLite finds it.
func New(keys *dek.Keyring, o *Options) (*VFS, error) {
	v := &VFS{keys: keys, dbs: make(map[string]*database)}
	if o != nil {
		v.opts = *o
	}
	if v.opts.SpillBytes == 0 {
		v.opts.SpillBytes = defaultSpillBytes
	}
	if v.opts.SpillBytes < 0 {
		return nil, fmt.Errorf("sqlitevfs: %d bytes for spill files: %w", v.opts.SpillBytes, fault.Usage)
	}
	if v.fs = v.opts.Volume.FS; v.fs == nil {
		v.fs = fsx.OS()
	}
	return v, nil
}

// Register makes databases under keys reachable as file:PATH?vfs=NAME. A name
// that is taken, "" and "os" are refused.
func Register(name string, keys *dek.Keyring, o *Options) error {
	if name == "" || vfs.Find(name) != nil {
		return fmt.Errorf("sqlitevfs: the name %q is taken: %w", name, fault.State)
	}
	v, err := New(keys, o)
	if err != nil {
		return err
	}
	vfs.Register(name, v)
	return nil
}

// Open is what SQLite calls for files without a name.
func (v *VFS) Open(name string, flags vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	if name != "" {
		return nil, flags, sqlite3.CANTOPEN // with a name it is OpenFilename
	}
	return v.OpenFilename(nil, flags)
}

// OpenFilename opens a database, or one of the files that SQLite keeps for itself.
func (v *VFS) OpenFilename(name *vfs.Filename, flags vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	switch {
	case flags&vfs.OPEN_WAL != 0:
		return nil, flags, vfs.SystemError(errNoWAL, sqlite3.CANTOPEN)
	case flags&vfs.OPEN_SUPER_JOURNAL != 0:
		return v.openSuper(name.String()), flags, nil
	case flags&vfs.OPEN_MAIN_DB == 0 || name.String() == "":
		return newScratch(v), flags, nil
	}
	f, err := v.openMain(name, flags)
	if err != nil {
		return nil, flags, vfs.SystemError(err, sqlite3.CANTOPEN)
	}
	if f.readOnly {
		flags = flags&^(vfs.OPEN_READWRITE|vfs.OPEN_CREATE) | vfs.OPEN_READONLY
	}
	return f, flags, nil
}

// openMain opens a database file.
func (v *VFS) openMain(name *vfs.Filename, flags vfs.OpenFlag) (*file, error) {
	how, err := v.openingOf(name, flags)
	if err != nil {
		return nil, err
	}
	db, err := v.acquire(name.String(), how)
	if err != nil {
		return nil, err
	}
	f := &file{db: db, readOnly: how.readOnly || db.store.Load() != nil && db.store.Load().ReadOnly(), lock: vfs.LOCK_NONE}
	if how.unlocked {
		err = f.snapshot()
	}
	if err != nil {
		return nil, errors.Join(err, v.release(db))
	}
	return f, nil
}

// opening is how a database is to be opened.
type opening struct {
	readOnly bool
	create   bool
	unlocked bool   // SQLite will take no locks: one snapshot for as long as the file is open
	anchor   string // its history must contain this one; "" does not care
}

// openingOf reads flags and URI. A key in a URI is refused: it would stand in
// logs, process lists and shell histories.
func (v *VFS) openingOf(name *vfs.Filename, flags vfs.OpenFlag) (o opening, err error) {
	for _, key := range []string{"key", "hexkey", "textkey", "password", "passphrase"} {
		if name.URIParameter(key) != "" {
			return o, fault.Hint(fmt.Errorf("sqlitevfs: the URI has a parameter %q: %w", key, fault.Usage),
				"keys are given in Go, to sqlitevfs.Register, and never in a URI")
		}
	}
	o.readOnly = flags&vfs.OPEN_READONLY != 0 || v.opts.Volume.ReadOnly
	o.create = flags&vfs.OPEN_CREATE != 0 && !o.readOnly
	o.anchor = name.URIParameter("anchor")
	o.unlocked = name.URIBoolean("nolock", false) || name.URIBoolean("immutable", false)
	if o.unlocked && !o.readOnly {
		return o, fmt.Errorf("sqlitevfs: nolock and immutable are for databases opened with mode=ro: %w", fault.Usage)
	}
	return o, nil
}

// Delete is called for journals, which are gone when they are closed, and for super-journals.
func (v *VFS) Delete(name string, syncDir bool) error { return v.deleteSuper(name, syncDir) }

// Access denies that there is anything beside a database: no hot journal, no WAL.
func (v *VFS) Access(name string, _ vfs.AccessFlag) (bool, error) {
	return findSuper(name) != nil, nil
}

// FullPathname returns the one name under which a database is known.
func (v *VFS) FullPathname(name string) (string, error) {
	if v.fs != fsx.OS() {
		return path.Clean(name), nil
	}
	full, err := filepath.Abs(name)
	if err != nil {
		return "", vfs.SystemError(err, sqlite3.CANTOPEN_FULLPATH)
	}
	real, err := filepath.EvalSymlinks(full)
	switch {
	case errors.Is(err, fs.ErrNotExist): // the folder's own links count all the same
		if dir, err := filepath.EvalSymlinks(filepath.Dir(full)); err == nil {
			return filepath.Join(dir, filepath.Base(full)), nil
		}
		return full, nil
	case err != nil:
		return "", vfs.SystemError(err, sqlite3.CANTOPEN_FULLPATH)
	case real != full:
		return real, sqlite3.ExtendedErrorCode(okSymlink)
	}
	return full, nil
}

// okSymlink is SQLITE_OK_SYMLINK, by which SQLite knows what SQLITE_OPEN_NOFOLLOW forbids.
const okSymlink = 2 << 8
