package pebblefs

import (
	"errors"
	"fmt"
	"io"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/seal"
)

// A content is an open file below with what it takes to seal and open its pages.
type content struct {
	fs     *FS
	file   vfs.File
	h      *header
	key    *keyRef
	cipher seal.Cipher
	keep   *cache // of opened pages; nil for none
	once   bool   // it is read from one end to the other: nothing is worth keeping for long
}

// newContent takes over key, whatever happens, and file unless it fails.
func (f *FS) newContent(file vfs.File, h *header, key *keyRef) (*content, error) {
	cipher, err := seal.New(seal.SuiteGCM, key.lease.Key(), h.scope())
	if err != nil {
		f.release(key)
		return nil, fmt.Errorf("pebblefs: %w", err)
	}
	c := &content{fs: f, file: file, h: h, key: key, cipher: cipher}
	if h.kind != Random { // whose pages change
		c.keep = f.kept
	}
	return c, nil
}

// close closes the file and drops the subkeys.
func (c *content) close() error {
	err := c.file.Close()
	c.cipher.Close()
	c.fs.release(c.key)
	return err
}

// openContent reads and checks the head of an open file. base is the name it is opened under. It takes over file
// unless it fails. An empty file has no head: errEmpty.
func (f *FS) openContent(file vfs.File, base string) (*content, error) {
	head := make([]byte, headSize)
	n, err := file.ReadAt(head[:pageSize], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if n == 0 {
		return nil, errEmpty
	}
	h, err := parseHeader(head[:n])
	if err != nil {
		return nil, fmt.Errorf("pebblefs: %s: %w", base, err)
	}
	key, err := f.acquire(h.key)
	if err != nil {
		return nil, fault.Hint(fmt.Errorf("%s: %w", base, err), "Activate the key file or key server that holds this key.")
	}
	if err := h.admit(file, head, key, base); err != nil {
		f.release(key)
		return nil, fmt.Errorf("%s: %w", base, err)
	}
	return f.newContent(file, h, key)
}

// errEmpty: the file below has no byte.
var errEmpty = errors.New("pebblefs: empty file")

// admit authenticates the header and the name. Of head only the header is there: aliases are read where
// they are needed.
func (h *header) admit(file vfs.File, head []byte, key *keyRef, base string) error {
	if err := h.authenticate(head, key.lease.Key()); err != nil {
		return err
	}
	tag, err := h.nameTag(key.lease.Key(), base)
	if err != nil || h.named(head[:pageSize], tag) {
		return err
	}
	n, err := file.ReadAt(head[pageSize:], pageSize)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if !h.named(head[:pageSize+n], tag) {
		return ErrName
	}
	return nil
}

// read reads up to batch whole pages from index on and opens them in place. It returns how many pages
// there were; what became of each is in s.blocks[i].Err.
func (c *content) read(s *scratch, index int64, pages int) (int, error) {
	n, err := c.file.ReadAt(s.buf[:pages*pageSize], headSize+index*pageSize)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	n /= pageSize
	if n > 0 {
		if err := openPages(c.cipher, s.blocks[:n], s.buf[:], index); errors.Is(err, seal.ErrClosed) {
			return 0, err
		}
	}
	return n, nil
}

// readGood reads pages that must be there and authentic, need of them, and further ones up to pages as far as they
// are. It returns how many there are, and what their inner headers say.
func (c *content) readGood(s *scratch, index int64, need, pages int, inners []inner) (int, error) {
	n, err := c.read(s, index, pages)
	if err != nil {
		return 0, err
	}
	for i := range pages {
		switch {
		case i >= n:
			err = fmt.Errorf("pebblefs: page %d is missing: %w", index+int64(i), fault.Both(fault.Tampered, fault.Damaged))
		case s.blocks[i].Err != nil:
			err = fmt.Errorf("pebblefs: page %d: %w", index+int64(i), s.blocks[i].Err)
		default:
			inners[i], err = parseInner(s.page(i), index+int64(i))
		}
		if err != nil && i >= need {
			return i, nil // nobody has asked for it yet
		}
		if err != nil {
			return 0, err
		}
	}
	return pages, nil
}

// at reads one page and returns its inner header, or false if there is no authentic page.
func (c *content) at(s *scratch, index int64) (in inner, ok bool, err error) {
	n, err := c.read(s, index, 1)
	if err != nil || n == 0 || s.blocks[0].Err != nil {
		return inner{}, false, err
	}
	in, err = parseInner(s.page(0), index)
	return in, err == nil, err
}
