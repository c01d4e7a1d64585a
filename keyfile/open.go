package keyfile

import (
	"crypto/hmac"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/fsx"
	"github.com/cofferdb/coffer/internal/secmem"
)

// Open opens a key file with an administrator's name and password. It takes no
// lock and writes nothing. What can be wrong is looked for in this order:
// [ErrNotKeyFile], [ErrVersion], [ErrDamaged], [ErrUnknownAdmin], [ErrWrongKey]
// (wrong password or altered administrator record), [ErrTampered].
func Open(path string, cred Credentials, o *Options) (*File, error) {
	opts, err := o.complete()
	if err != nil {
		return nil, err
	}
	path = opts.resolve(path)
	data, err := readFile(opts.FS, path)
	if err != nil {
		return nil, err
	}
	f, err := unlock(data, cred, opts)
	if err != nil {
		return nil, err
	}
	f.path = path
	return f, nil
}

// unlock does what Open does, from bytes.
func unlock(data []byte, cred Credentials, opts Options) (*File, error) {
	c, err := decode(data)
	if err != nil {
		return nil, err
	}
	i := -1
	name, err := canonicalName(cred.Admin)
	if err == nil {
		i = c.findAdmin(name)
	}
	if i < 0 {
		return nil, fault.Hint(ErrUnknownAdmin, "The names of a key file's administrators are shown without a password.")
	}
	kek, err := c.admins[i].unwrapKEK(opts.derive, cred.Password)
	if err != nil {
		return nil, err
	}
	if err := checkMAC(kek, c.guid, data); err != nil {
		kek.Release()
		return nil, err
	}
	return &File{admin: name, opts: opts, kek: kek, cur: c}, nil
}

// checkMAC authenticates a whole file that decode accepted.
func checkMAC(kek *secmem.Buffer, guid [16]byte, data []byte) error {
	body := data[:len(data)-trailerSize]
	want, err := fileMAC(kek, guid, body)
	if err != nil {
		return err
	}
	if !hmac.Equal(want[:], data[len(body):len(body)+macSize]) {
		return fault.Hint(fmt.Errorf("keyfile: %w: the file's MAC is wrong", fault.Tampered), "Put a backup copy of the key file in its place.")
	}
	return nil
}

// readFile reads a whole file through a handle of its own, so that a replacement
// at the same time gives the old file or the new one.
func readFile(fsys fsx.FS, path string) (data []byte, err error) {
	g, err := fsys.Open(path, os.O_RDONLY, 0)
	if err != nil {
		return nil, fmt.Errorf("keyfile: %w", err)
	}
	defer func() { err = errors.Join(err, g.Close()) }()
	return readOpen(g)
}

// readOpen reads at most one byte more than a key file can have.
func readOpen(g fsx.File) ([]byte, error) {
	size, err := g.Size()
	if err != nil {
		return nil, fmt.Errorf("keyfile: %w", err)
	}
	data := make([]byte, min(max(size, 0), MaxFileSize+1))
	n, err := io.ReadFull(io.NewSectionReader(g, 0, int64(len(data))), data)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, fmt.Errorf("keyfile: read: %w", err)
	}
	return data[:n], nil // shorter than it was: the checks say so
}
