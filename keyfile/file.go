package keyfile

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/secmem"
)

// File is a key file opened by an administrator. Close it to wipe the KEK.
type File struct {
	path  string  // links resolved
	admin string  // who opened it, canonical
	opts  Options // complete

	mu  sync.Mutex     // guards what follows; held over a change's input and output
	kek *secmem.Buffer // nil once closed
	cur *content       // as last read or written; never changed in place
}

// KeyInfo describes a key without its bytes.
type KeyInfo struct {
	ID          dek.ID    `json:"id"`
	Bits        int       `json:"bits"`
	Created     time.Time `json:"created"` // to the second, UTC
	Description string    `json:"description"`
	Default     bool      `json:"default"`
	Journal     bool      `json:"journal"`
}

// AdminInfo describes an administrator.
type AdminInfo struct {
	Name       string `json:"name"`       // upper case
	Iterations int    `json:"iterations"` // of PBKDF2-HMAC-SHA512
}

// Info is what a key file says without a password, in the file's order.
type Info struct {
	GUID        string      `json:"guid"`       // the file's own, upper case; copies share it
	Generation  uint64      `json:"generation"` // 1 when created, one more with each change
	Size        int         `json:"size"`       // bytes
	Description string      `json:"description"`
	Admins      []AdminInfo `json:"admins"`
	Keys        []KeyInfo   `json:"keys"`
	Intact      bool        `json:"intact"` // the checksum holds and every field is within bounds; not a proof of origin
}

// Close wipes the KEK. Keys handed out stay. It may be called again. Methods
// that need the KEK then return [ErrClosed]; those that only describe go on.
func (f *File) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.kek != nil {
		f.kek.Release()
		f.kek = nil
	}
	return nil
}

// Path returns where the file is, symbolic links resolved.
func (f *File) Path() string { return f.path }

// Admin returns the name of the administrator who opened the file.
func (f *File) Admin() string { return f.admin }

func (f *File) snapshot() *content {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.cur
}

// Info describes the file. Unlike that of [Inspect] it is authentic.
func (f *File) Info() Info { return f.snapshot().info() }

// Keys describes the keys, in the order they were added.
func (f *File) Keys() []KeyInfo { return f.snapshot().info().Keys }

// Default returns the ID of the default key.
func (f *File) Default() dek.ID { return f.snapshot().marked(flagDefault) }

// Journal returns the ID of the journal key.
func (f *File) Journal() dek.ID { return f.snapshot().marked(flagJournal) }

// Key unwraps one key; the caller destroys it. [ErrUnknownKey] if it is not there.
func (f *File) Key(id dek.ID) (*dek.Key, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.kek == nil {
		return nil, ErrClosed
	}
	i := f.cur.findKey(id)
	if i < 0 {
		return nil, unknownKey(id)
	}
	return f.cur.keys[i].unwrap(f.kek)
}

// AllKeys unwraps every key: the default key first, then the journal key, then
// the others in the file's order. The caller destroys them.
func (f *File) AllKeys() ([]*dek.Key, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.kek == nil {
		return nil, ErrClosed
	}
	records := slices.Clone(f.cur.keys)
	slices.SortStableFunc(records, func(a, b keyRecord) int { return a.rank() - b.rank() })
	keys := make([]*dek.Key, 0, len(records))
	for i := range records {
		k, err := records[i].unwrap(f.kek)
		if err != nil {
			destroyAll(keys)
			return nil, err
		}
		keys = append(keys, k)
	}
	return keys, nil
}

func (k *keyRecord) rank() int {
	switch {
	case k.flags&flagDefault != 0:
		return 0
	case k.flags&flagJournal != 0:
		return 1
	}
	return 2
}

func destroyAll(keys []*dek.Key) {
	for _, k := range keys {
		k.Destroy()
	}
}

// Activate activates every key of the file, as many as fit (row K3), the
// default and the journal key first; Activated says which did not fit. Where
// the keyring had no default key, the file's marks become the keyring's.
// Errors as for dek.Keyring.ActivateAll.
func (f *File) Activate(ring *dek.Keyring, use dek.Use, mode dek.Mode) (dek.Activated, error) {
	return ring.ActivateFrom(context.Background(), f.Source(), use, mode)
}

// source is a File as a dek.Source: Keys of File itself describes them.
type source struct{ f *File }

var (
	_ dek.Source     = source{}
	_ dek.MarkSource = source{}
)

// Source returns the file as a source of keys: all of them, the default key
// first, then the journal key, and its marks. It is valid until Close.
func (f *File) Source() dek.Source { return source{f} }

// Keys is AllKeys of the file, which waits on nothing.
func (s source) Keys(context.Context) ([]*dek.Key, error) { return s.f.AllKeys() }

// Marks returns the IDs of the default and the journal key.
func (s source) Marks() (def, journal dek.ID) {
	c := s.f.snapshot()
	return c.marked(flagDefault), c.marked(flagJournal)
}

func (c *content) info() Info {
	in := Info{GUID: dek.ID(c.guid).String(), Generation: c.generation, Size: c.size(), Description: c.description, Intact: true}
	for _, a := range c.admins {
		in.Admins = append(in.Admins, AdminInfo{a.name, int(a.iterations)})
	}
	for _, k := range c.keys {
		in.Keys = append(in.Keys, KeyInfo{ID: k.id, Bits: int(k.bits), Created: time.Unix(int64(k.created), 0).UTC(),
			Description: k.description, Default: k.flags&flagDefault != 0, Journal: k.flags&flagJournal != 0})
	}
	return in
}
