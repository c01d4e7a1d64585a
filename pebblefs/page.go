package pebblefs

import (
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/seal"
)

// A page of the body: nonce, tag and checksum in clear, then one sealed block, which begins with a header
// of its own. FORMAT.md, "Pages of a Pebble file".
const (
	pageClear = 32                                // bytes before the ciphertext
	pageInner = 24                                // bytes of the inner header
	pageData  = pageSize - pageClear - pageInner  // bytes of content at most
	dataAt    = pageClear + pageInner             // where content begins, before sealing
	batch     = 32                                // pages sealed, written or read at a time
	batchSize = batch * pageSize                  // bytes
	flagFinal = 1                                 // a table is complete here
	flagEnd   = 2                                 // a log was closed here
	flagsAll  = flagFinal | flagEnd               //
	_         = uint((pageSize - pageClear) & 15) // a block's length is a multiple of 16
)

// inner is the authenticated header inside a page.
type inner struct {
	offset int64 // of the first byte of content in the file
	synced int64 // so many pages, from the first, were durable when this one was written
	length int   // bytes of content
	flags  uint8
}

// put encodes the inner header into a page that is not sealed yet, and clears what lies behind the content.
func (in *inner) put(page []byte) {
	b := page[pageClear:pageSize]
	binary.LittleEndian.PutUint64(b[0:], uint64(in.offset))
	binary.LittleEndian.PutUint64(b[8:], uint64(in.synced))
	binary.LittleEndian.PutUint16(b[16:], uint16(in.length))
	b[18] = in.flags
	clear(b[19:pageInner])
	clear(b[pageInner+in.length:])
}

// parseInner decodes the inner header of an opened page at index.
func parseInner(page []byte, index int64) (inner, error) {
	b := page[pageClear:pageSize]
	in := inner{offset: int64(binary.LittleEndian.Uint64(b[0:])), synced: int64(binary.LittleEndian.Uint64(b[8:])),
		length: int(binary.LittleEndian.Uint16(b[16:])), flags: b[18]}
	if in.length > pageData || in.flags&^flagsAll != 0 || !zero(b[19:pageInner]) ||
		in.offset < 0 || in.offset > index*pageData || in.synced < 0 || in.synced > index {
		return inner{}, fmt.Errorf("pebblefs: page %d contradicts itself: %w", index, fault.Tampered)
	}
	return in, nil
}

// end is the offset behind the page's content.
func (in *inner) end() int64 { return in.offset + int64(in.length) }

// scratch is what a batch of pages needs while it is read or written.
type scratch struct {
	buf    [batchSize]byte
	blocks [batch]seal.Block
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// page returns the i-th page of the batch.
func (s *scratch) page(i int) []byte { return s.buf[i*pageSize : (i+1)*pageSize] }

// block makes the i-th block of a batch out of the page, which is sealed and opened in place.
func block(b *seal.Block, page []byte, index int64) {
	b.Position, b.Src, b.Dst, b.Err = uint64(index), page[pageClear:pageSize], page[pageClear:pageSize], nil
}

// sealPages seals n pages that lie one after the other in buf, the first of them at index.
func sealPages(c seal.Cipher, blocks []seal.Block, buf []byte, index int64) error {
	for i := range blocks {
		block(&blocks[i], buf[i*pageSize:], index+int64(i))
	}
	if err := c.Seal(blocks); err != nil {
		return err
	}
	for i := range blocks {
		page, b := buf[i*pageSize:], &blocks[i]
		copy(page[0:12], b.Nonce[:])
		copy(page[12:28], b.Tag[:])
		binary.LittleEndian.PutUint32(page[28:], b.CRC)
		b.Src, b.Dst = nil, nil
	}
	return nil
}

// openPages opens pages in place. Each block's Err says what became of its page; the result only that
// something failed.
func openPages(c seal.Cipher, blocks []seal.Block, buf []byte, index int64) error {
	for i := range blocks {
		page, b := buf[i*pageSize:], &blocks[i]
		block(b, page, index+int64(i))
		b.Nonce, b.Tag, b.CRC = [12]byte(page), [16]byte(page[12:]), binary.LittleEndian.Uint32(page[28:])
	}
	err := c.Open(blocks)
	for i := range blocks {
		blocks[i].Src, blocks[i].Dst = nil, nil
	}
	return err
}
