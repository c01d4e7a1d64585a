package pebblefs

import (
	"bytes"
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
	"io/fs"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/guid"
	"github.com/cofferdb/coffer/internal/seal"
	"github.com/cofferdb/coffer/internal/secmem"
)

// The file of names: FORMAT.md, "Hidden names".
const (
	namesMagic   = "COFFERPN"
	namesInfo    = "coffer/1 pebble names"
	namesKeySize = 32
	namesSize    = 64 + namesKeySize + dek.WrapOverhead + 4
	maxHidden    = 150 // bytes of a name
)

// alphabet is of RFC 4648's extended hex, in lower case: it sorts, and file systems that fold case keep it.
var alphabet = base32.NewEncoding("0123456789abcdefghijklmnopqrstuv").WithPadding(base32.NoPadding)

// A hider turns base names into hidden ones and back.
type hider struct {
	path string // of the file of names
	key  *secmem.Buffer
}

func (h *hider) close() { h.key.Release() }

// hide returns AES key wrap (RFC 3394) of the name's length, the name and zeros, in letters: the same name gives the same
// letters, and nothing else about it can be seen but its length, in steps of eight. A name that is too long
// stays what it is, and is refused by length below.
func (h *hider) hide(base string) string {
	if len(base) > maxHidden {
		return strings.Repeat("0", 256) // no file system takes it: ENAMETOOLONG
	}
	plain := make([]byte, max(16, (1+len(base)+7)/8*8))
	plain[0] = uint8(len(base))
	copy(plain[1:], base)
	wrapped, err := dek.Wrap(h.key.Bytes(), plain)
	if err != nil {
		return strings.Repeat("0", 256) // FIPS mode was asked for and failed: nothing works
	}
	return alphabet.EncodeToString(wrapped)
}

// reveal is the inverse of hide.
func (h *hider) reveal(hidden string) (string, bool) {
	wrapped, err := alphabet.DecodeString(hidden)
	if err != nil || alphabet.EncodeToString(wrapped) != hidden { // the decoder passes over line ends and spare bits
		return "", false
	}
	plain, err := dek.Unwrap(h.key.Bytes(), wrapped)
	if err != nil {
		return "", false
	}
	defer plain.Release()
	b := plain.Bytes()
	n := int(b[0])
	if n > maxHidden || len(b) != max(16, (1+n+7)/8*8) || !zero(b[1+n:]) {
		return "", false
	}
	return string(b[1 : 1+n]), true
}

// listed returns the name of an entry of a folder: as it was hidden, or as it is for a folder.
func (h *hider) listed(inner vfs.FS, dir, entry string) (string, error) {
	if name, ok := h.reveal(entry); ok {
		return name, nil
	}
	info, err := inner.Stat(inner.PathJoin(dir, entry))
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.IsDir() {
		return entry, nil
	}
	if err != nil {
		return "", err
	}
	return "", fault.Hint(fmt.Errorf("pebblefs: %s in %s is not a name of this file system: %w", entry, dir, fault.Tampered),
		"Names here are hidden under another key, or not at all, or somebody put the file there.")
}

// openNames reads the file of names, or makes it where nothing is yet.
func (f *FS) openNames(path string) error {
	b, err := readAll(f.inner, path)
	if errors.Is(err, fs.ErrNotExist) {
		return f.createNames(path)
	}
	if err != nil {
		return err
	}
	id, err := parseNames(b)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	key, err := f.acquire(id)
	if err != nil {
		return err
	}
	defer f.release(key)
	if check := key.lease.Key().CheckValue(b[16:32]); !bytes.Equal(check[:], b[48:64]) {
		return fmt.Errorf("pebblefs: %s: key %s: %w", path, id, fault.WrongKey)
	}
	err = withNamesKEK(key.lease.Key(), b[16:32], func(kek []byte) (err error) {
		f.names = &hider{path: path}
		f.names.key, err = dek.Unwrap(kek, b[64:64+namesKeySize+dek.WrapOverhead])
		return err
	})
	if err != nil {
		f.names = nil
		return fmt.Errorf("pebblefs: %s: the key of names does not unwrap: %w", path, fault.Tampered)
	}
	return nil
}

// createNames makes a file of names, unless there are files whose names it could not know.
func (f *FS) createNames(path string) error {
	dir := f.inner.PathDir(path)
	if err := f.inner.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	entries, err := f.inner.List(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		info, err := f.inner.Stat(f.inner.PathJoin(dir, e))
		if err == nil && !info.IsDir() && !strings.HasSuffix(e, tmpSuffix) {
			return fault.Hint(fmt.Errorf("pebblefs: %s is missing, and there are files beside it: %w", path, fault.State),
				"Put the file of names back; names can be hidden only from the beginning.")
		}
	}
	key, err := secmem.New(namesKeySize)
	if err != nil {
		return err
	}
	rand.Read(key.Bytes()) // never fails: crypto/rand ends the process instead
	f.names = &hider{path: path, key: key}
	return f.writeNames()
}

// writeNames puts the key of names, wrapped under the key of new files, into its file, whole or not at all.
func (f *FS) writeNames() error {
	key, err := f.acquireWrite()
	if err != nil {
		return err
	}
	defer f.release(key)
	b := make([]byte, namesSize)
	copy(b, namesMagic)
	binary.LittleEndian.PutUint16(b[8:], version)
	id, salt := key.lease.ID(), guid.New()
	copy(b[16:], salt[:])
	copy(b[32:], id[:])
	check := key.lease.Key().CheckValue(salt[:])
	copy(b[48:], check[:])
	err = withNamesKEK(key.lease.Key(), salt[:], func(kek []byte) error {
		wrapped, err := dek.Wrap(kek, f.names.key.Bytes())
		copy(b[64:], wrapped)
		return err
	})
	if err != nil {
		return err
	}
	binary.LittleEndian.PutUint32(b[namesSize-4:], seal.Checksum(b[:namesSize-4]))
	return replace(f.inner, f.names.path, b)
}

// withNamesKEK lends the key that wraps the key of names.
func withNamesKEK(key *dek.Key, salt []byte, use func(kek []byte) error) error {
	kek, err := secmem.New(namesKeySize)
	if err != nil {
		return err
	}
	defer kek.Release()
	if err := key.Derive(kek.Bytes(), salt, namesInfo); err != nil {
		return err
	}
	return use(kek.Bytes())
}

// parseNames checks a file of names, as far as that needs no key, and returns the ID of its key.
func parseNames(b []byte) (id dek.ID, err error) {
	switch {
	case len(b) < 8 || !bytes.Equal(b[:8], []byte(namesMagic)):
		return id, fmt.Errorf("pebblefs: not a file of names: %w", fault.NotFormat)
	case len(b) != namesSize || binary.LittleEndian.Uint32(b[namesSize-4:]) != seal.Checksum(b[:namesSize-4]):
		return id, fmt.Errorf("pebblefs: file of names: %w", fault.Damaged)
	case binary.LittleEndian.Uint16(b[8:]) != version:
		return id, fmt.Errorf("pebblefs: file of names: %w", fault.Version)
	}
	if id = dek.ID(b[32:48]); id.IsZero() || !zero(b[10:16]) {
		return id, fmt.Errorf("pebblefs: file of names: %w", fault.Damaged)
	}
	return id, nil
}

// replace makes a file hold b, whole or not at all.
func replace(inner vfs.FS, path string, b []byte) error {
	tmp := path + tmpSuffix
	file, err := inner.Create(tmp, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = file.Write(bytes.Clone(b)) // Write may spoil what it is given
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return errors.Join(err, inner.Remove(tmp))
	}
	if err := inner.Rename(tmp, path); err != nil {
		return errors.Join(err, inner.Remove(tmp))
	}
	return syncDir(inner, inner.PathDir(path))
}

// syncDir makes the names in a folder durable.
func syncDir(inner vfs.FS, dir string) error {
	d, err := inner.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// readAll returns the content of a small file below.
func readAll(inner vfs.FS, path string) ([]byte, error) {
	file, err := inner.Open(path)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(file, pageSize))
	return b, errors.Join(err, file.Close())
}
