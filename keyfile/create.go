package keyfile

import (
	"crypto/rand"
	"fmt"
	"time"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fsx"
	"github.com/cofferdb/coffer/internal/guid"
	"github.com/cofferdb/coffer/internal/secmem"
)

// CreateOptions say what a new key file holds. Only Admin is required.
type CreateOptions struct {
	// Admin is the first administrator; the name has 1 to [MaxName], the
	// password 1 to [MaxPassword] printable ASCII characters.
	Admin Credentials
	// Bits is the length of the first key: 128, 192 or 256; 0 is 256, or the length of Key.
	Bits int
	// Key, where not nil, becomes the first key (a copy of it) instead of a new
	// random one: for keys that come from a key server.
	Key *dek.Key
	// Description is the file's, KeyDescription the first key's: printable
	// UTF-8, at most [MaxDescription] bytes.
	Description    string
	KeyDescription string
	// Iterations is the work factor, see [Options].
	Iterations int
	// Policy is asked of the password.
	Policy Policy
	// FS holds the file; nil is the operating system.
	FS fsx.FS

	derive deriver          // as in Options
	now    func() time.Time // as in Options
}

// Create makes a key file with one administrator and one key, which is default
// and journal key, and returns it open. The file appears whole, with mode 0600;
// one that exists is never overwritten ([ErrFileExists]). Make a backup copy of
// it at once, see [File.Backup]: data under a key is lost with the key's last copy.
func Create(path string, c CreateOptions) (*File, error) {
	o := &Options{FS: c.FS, Iterations: c.Iterations, Policy: c.Policy, derive: c.derive, now: c.now}
	opts, err := o.complete()
	if err != nil {
		return nil, err
	}
	name, err := checkCreate(c)
	if err != nil {
		return nil, err
	}
	f := &File{path: path, admin: name, opts: opts}
	if err := f.fill(name, c); err != nil {
		_ = f.Close()
		return nil, err
	}
	data, err := f.cur.seal(f.kek)
	if err == nil {
		err = notOverwritten(fsx.Create(opts.FS, path, fileMode, writeAll(data)))
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("keyfile: create: %w", err)
	}
	f.path = opts.resolve(path)
	return f, nil
}

func checkCreate(c CreateOptions) (name string, err error) {
	if name, err = canonicalName(c.Admin.Admin); err != nil {
		return "", err
	}
	if err := c.Policy.check(c.Admin.Password); err != nil {
		return "", err
	}
	if c.Key != nil && c.Key.ExposeSecret() == nil {
		return "", dek.ErrDestroyed
	}
	if c.Key != nil && c.Bits != 0 && c.Bits != c.Key.Bits() {
		return "", usage("the key given has %d bits, not %d", c.Key.Bits(), c.Bits)
	}
	for _, text := range []string{c.Description, c.KeyDescription} {
		if err := checkText(text); err != nil {
			return "", err
		}
	}
	return name, nil
}

// fill makes the KEK, the administrator and the first key.
func (f *File) fill(name string, c CreateOptions) (err error) {
	if f.kek, err = secmem.New(kekSize); err != nil {
		return fmt.Errorf("keyfile: memory for a key: %w", err)
	}
	rand.Read(f.kek.Bytes()) // never fails: crypto/rand ends the process instead
	key := c.Key
	if key == nil {
		if key, err = dek.Generate(defaultBits(c.Bits)); err != nil {
			return err
		}
		defer key.Destroy()
	}
	admin, err := newAdmin(f.opts.derive, name, c.Admin.Password, f.opts.work(0), f.kek)
	if err != nil {
		return err
	}
	first, err := f.wrapKey(key, c.KeyDescription, f.opts.now())
	if err != nil {
		return err
	}
	first.flags = flagDefault | flagJournal
	f.cur = &content{generation: 1, guid: guid.New(), description: c.Description,
		admins: []adminRecord{admin}, keys: []keyRecord{first}}
	return nil
}

func defaultBits(bits int) int {
	if bits == 0 {
		return 256
	}
	return bits
}
