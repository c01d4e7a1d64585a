package pebblefs

import (
	"fmt"
	"io"
	"os"

	"github.com/cofferdb/coffer/internal/fault"
)

// readAt reads content. h, if not nil, is where the last read ended, and is moved on.
func (c *content) readAt(p []byte, off int64, e *extent, h *hint) (int, error) {
	if off < 0 {
		return 0, os.ErrInvalid
	}
	if len(p) == 0 {
		return 0, nil
	}
	if off >= e.size {
		return 0, io.EOF
	}
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	index, err := c.locate(s, off, e, h)
	if err != nil {
		return 0, err
	}
	n, want := 0, int(min(int64(len(p)), e.size-off))
	for n < want {
		m, pages, err := c.readRun(s, p[n:want], off+int64(n), index, e, h)
		n += m
		if err != nil {
			return n, err
		}
		index += int64(pages)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// readRun reads into p from the pages at index and behind, the first of which holds off: at most a batch of
// them. It returns how many bytes, and how many pages are done with.
func (c *content) readRun(s *scratch, p []byte, off, index int64, e *extent, h *hint) (n, pages int, err error) {
	pages = (int(off-index*pageData)+len(p)-1)/pageData + 1 // if all are full
	if !e.uniform {
		pages = (len(p)-1)/pageData + 2
	}
	pages = int(min(int64(pages), batch, e.pages-index))
	var inners [batch]inner
	if err := c.readGood(s, index, pages, inners[:]); err != nil {
		return 0, 0, err
	}
	for i := range pages {
		in := inners[i]
		skip := off + int64(n) - in.offset
		if skip < 0 || skip > int64(in.length) || i > 0 && skip != 0 {
			return n, 0, fmt.Errorf("pebblefs: page %d holds other bytes than those looked for: %w", index+int64(i), fault.Tampered)
		}
		data := s.page(i)[dataAt : dataAt+in.length]
		m := copy(p[n:], data[skip:])
		n += m
		if h != nil {
			h.page, h.offset = index+int64(i), in.offset
		}
		if n == len(p) {
			return n, i, nil
		}
	}
	return n, pages, nil
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
		if err := c.readGood(s, probe, 1, inners[:]); err != nil {
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
