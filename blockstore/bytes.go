package blockstore

import (
	"fmt"
	"io"

	"github.com/cofferdb/coffer/internal/fault"
)

var (
	_ io.ReaderAt = (*Tx)(nil)
	_ io.WriterAt = (*Tx)(nil)
)

// ReadAt implements [io.ReaderAt] at any offset, with the transaction's own
// writes. Where a block cannot be read, n counts the bytes before it.
func (tx *Tx) ReadAt(p []byte, off int64) (n int, err error) {
	if err := checkRead(off); err != nil {
		return 0, err
	}
	if err := tx.check(0, 0); err != nil || len(p) == 0 {
		return 0, err
	}
	return readBytes(p, off, tx.Size(), tx.s.lay.blockSize, tx.ReadInto)
}

// WriteAt implements [io.WriterAt] at any offset; of blocks that it covers in
// part the rest stays. Writing past the end grows the volume. On an error some
// of p may have been written: return it, so that nothing is committed.
func (tx *Tx) WriteAt(p []byte, off int64) (n int, err error) {
	if err := checkWrite(p, off); err != nil {
		return 0, err
	}
	if err := tx.checkWrite(0, 0); err != nil || len(p) == 0 {
		return 0, err
	}
	if end := off + int64(len(p)); end > tx.Size() {
		if err := tx.Resize(end); err != nil {
			return 0, err
		}
	}
	bs := tx.s.lay.blockSize
	for n < len(p) {
		at := off + int64(n)
		part := p[n:]
		part = part[:min(bs-at%bs, int64(len(part)))]
		if err := tx.patch(uint64(at/bs), at%bs, part); err != nil {
			return n, err
		}
		n += len(part)
	}
	return n, nil
}

// patch writes part of a block, or all of it, at offset in of the block.
func (tx *Tx) patch(block uint64, in int64, part []byte) error {
	if int64(len(part)) == tx.s.lay.blockSize {
		return tx.Write(block, part)
	}
	page, err := tx.Read(block)
	if err != nil {
		return err
	}
	copy(page[in:], part)
	return tx.Write(block, page)
}

// Zero makes n bytes from off on read as zeros. Whole blocks become holes, in
// the others zeros are written. What lies behind the end is left out: the length stays.
func (tx *Tx) Zero(off, n int64) error {
	if off < 0 || n < 0 {
		return fmt.Errorf("blockstore: zeros at offset %d, %d bytes: %w", off, n, fault.Usage)
	}
	if err := tx.checkWrite(0, 0); err != nil {
		return err
	}
	size, bs := tx.Size(), tx.s.lay.blockSize
	if off >= size {
		return nil
	}
	end := off + min(n, size-off)
	first, last := tx.s.lay.blocks(off), uint64(end/bs) // whole blocks: from first up to last
	if end == size {
		last = tx.s.lay.blocks(size)
	}
	if first > last { // within one block
		return tx.blank(off, end)
	}
	if err := tx.blank(off, min(int64(first)*bs, end)); err != nil {
		return err
	}
	if err := tx.Trim(first, last-first); err != nil {
		return err
	}
	return tx.blank(int64(last)*bs, end)
}

// blank zeroes the bytes from off up to end, which lie in one block. A block in
// which they are zeros already, such as a hole, stays as it is.
func (tx *Tx) blank(off, end int64) error {
	if off >= end {
		return nil
	}
	bs := tx.s.lay.blockSize
	page, err := tx.Read(uint64(off / bs))
	if err != nil {
		return err
	}
	part := page[off%bs:][:end-off]
	if allZero(part) == nil {
		return nil
	}
	clear(part)
	return tx.Write(uint64(off/bs), page)
}

// readBytes reads at any offset by reading whole blocks: straight into p where
// it covers them, the ends through a block of its own.
func readBytes(p []byte, off, size, bs int64, blocks func(first uint64, dst []byte) error) (n int, err error) {
	if off >= size {
		return 0, io.EOF
	}
	want := int(min(int64(len(p)), size-off))
	var page []byte
	for n < want {
		at := off + int64(n)
		part := p[n:want]
		if at%bs == 0 && int64(len(part)) >= bs {
			part = part[:min(int64(len(part))/bs*bs, readBatch*bs)] // so that n is right where a block fails
			err = blocks(uint64(at/bs), part)
		} else {
			if page == nil {
				page = make([]byte, bs)
			}
			err = blocks(uint64(at/bs), page)
			part = part[:copy(part, page[at%bs:])]
		}
		if err != nil {
			return n, err
		}
		n += len(part)
	}
	if want < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func checkRead(off int64) error {
	if off < 0 {
		return fmt.Errorf("blockstore: read at negative offset %d: %w", off, fault.Usage)
	}
	return nil
}

func checkWrite(p []byte, off int64) error {
	if off < 0 || off+int64(len(p)) < off {
		return fmt.Errorf("blockstore: write of %d bytes at offset %d: %w", len(p), off, fault.Usage)
	}
	return nil
}
