package pebblefs

import (
	"fmt"
	"io"
	"os"

	"github.com/cofferdb/coffer/internal/fault"
)

// readAt reads content. h, if not nil, is where the last read ended, and is moved on. at least ahead pages are read
// and kept, if any, where they can be kept.
func (c *content) readAt(p []byte, off int64, e *extent, h *hint, ahead int) (int, error) {
	if off < 0 {
		return 0, os.ErrInvalid
	}
	if len(p) == 0 {
		return 0, nil
	}
	if off >= e.size {
		return 0, io.EOF
	}
	want := int(min(int64(len(p)), e.size-off))
	n := 0
	if e.uniform {
		n = c.readKept(p[:want], off)
	}
	if n < want {
		m, err := c.readBelow(p[n:want], off+int64(n), e, h, ahead)
		if n += m; err != nil {
			return n, err
		}
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// readKept reads from pages that are kept, as far as they go. Every page must be full.
func (c *content) readKept(p []byte, off int64) (n int) {
	if c.keep == nil {
		return 0
	}
	for n < len(p) {
		m, ok := c.keep.read(p[n:], &c.h.file, (off+int64(n))/pageData, off+int64(n), c.once)
		if !ok {
			break
		}
		n += m
	}
	return n
}

// readBelow reads from the file below. All of p is before the end.
func (c *content) readBelow(p []byte, off int64, e *extent, h *hint, ahead int) (n int, err error) {
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	index, err := c.locate(s, off, e, h)
	if err != nil {
		return 0, err
	}
	for n < len(p) {
		m, pages, err := c.readRun(s, p[n:], off+int64(n), index, e, h, ahead)
		n += m
		if err != nil {
			return n, err
		}
		index += int64(pages)
	}
	return n, nil
}

// readRun reads into p from the pages at index and behind, the first of which holds off: at most a batch of
// them. It returns how many bytes, and how many pages are done with.
func (c *content) readRun(s *scratch, p []byte, off, index int64, e *extent, h *hint, ahead int) (n, pages int, err error) {
	pages = (int(off-index*pageData)+len(p)-1)/pageData + 1 // if all are full
	if !e.uniform {
		pages = (len(p)-1)/pageData + 2
	}
	need := int(min(int64(pages), batch, e.pages-index))
	pages = need
	if c.keep != nil && e.uniform {
		pages = int(min(int64(max(need, ahead)), e.pages-index))
	}
	var inners [batch]inner
	if pages, err = c.readGood(s, index, need, pages, inners[:]); err != nil {
		return 0, 0, err
	}
	done := 0
	for i := range pages {
		in := &inners[i]
		if n < len(p) {
			skip := off + int64(n) - in.offset
			if skip < 0 || skip > int64(in.length) || i > 0 && skip != 0 {
				return n, 0, fmt.Errorf("pebblefs: page %d holds other bytes than those looked for: %w", index+int64(i), fault.Tampered)
			}
			n += copy(p[n:], s.page(i)[dataAt+skip:dataAt+in.length])
			if h != nil {
				h.page, h.offset = index+int64(i), in.offset
			}
			done = i + 1
		}
		if c.keep != nil && e.uniform && need < batch {
			c.keep.put(&c.h.file, index+int64(i), *in, s.page(i)[dataAt:dataAt+in.length])
		}
	}
	return n, done, nil
}

// locate returns the page that holds off, which lies before the end. Where every page is full that is a
// division; else a binary search over the pages, since a page of index i begins at i·pageData at most.
func (c *content) locate(s *scratch, off int64, e *extent, h *hint) (int64, error) {
	low, high := off/pageData, e.pages-1
	if e.uniform {
		return low, nil
	}
	probe := low + (high-low)/2
	if h != nil && h.offset <= off && h.page >= low && h.page <= high {
		low, probe = h.page, h.page
	}
	var inners [1]inner
	for {
		if _, err := c.readGood(s, probe, 1, 1, inners[:]); err != nil {
			return 0, err
		}
		in := inners[0]
		switch {
		case off < in.offset:
			high = probe - 1
		case off >= in.end():
			low = probe + 1
		default:
			return probe, nil
		}
		if low > high {
			return 0, fmt.Errorf("pebblefs: no page holds offset %d: %w", off, fault.Tampered)
		}
		if h != nil && low == h.page+1 && probe == h.page {
			probe = low
			continue
		}
		probe = low + (high-low)/2
	}
}
