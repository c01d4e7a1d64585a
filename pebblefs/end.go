package pebblefs

import (
	"fmt"

	"github.com/cofferdb/coffer/internal/fault"
)

// An extent says where the content of a file ends.
type extent struct {
	pages   int64 // accepted, from the first
	size    int64 // bytes of content
	uniform bool  // every page but the last is full: positions can be computed
}

// extend adds the next page.
func (e *extent) extend(in inner) {
	e.uniform = in.offset == e.pages*pageData && (e.uniform || e.pages == 0)
	e.pages++
	e.size = in.end()
}

// findEnd finds the end of the content. What is accepted, and what is refused as damage, is said in
// FORMAT.md, "The end of a Pebble file".
func (c *content) findEnd() (extent, error) {
	info, err := c.file.Stat()
	if err != nil {
		return extent{}, err
	}
	pages := max(0, (info.Size()-headSize)/pageSize)
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	switch c.h.kind {
	case Log, Plain:
		return c.logEnd(s, pages)
	case Random:
		return c.randomEnd(s, pages)
	}
	return c.tableEnd(s, pages, info.Size())
}

// tableEnd: a table ends with a page that says so, and with it the file ends.
func (c *content) tableEnd(s *scratch, pages, size int64) (extent, error) {
	if pages == 0 || size != headSize+pages*pageSize {
		return extent{}, ErrUnfinished
	}
	var inners [1]inner
	if _, err := c.readGood(s, pages-1, 1, 1, inners[:]); err != nil {
		return extent{}, fmt.Errorf("the last page: %w: %w", ErrUnfinished, err)
	}
	in := inners[0]
	if in.flags&flagFinal == 0 {
		return extent{}, ErrUnfinished
	}
	return extent{pages: pages, size: in.end(), uniform: in.offset == (pages-1)*pageData}, nil
}

// logEnd: a log, or a plain file, ends before the first page that is not authentic, and such a page is damage if a later one
// knows that it was durable.
func (c *content) logEnd(s *scratch, pages int64) (extent, error) {
	known, err := c.knownDurable(s, pages)
	if err != nil {
		return extent{}, err
	}
	e, last, err := c.scan(s, known, pages)
	if err != nil || last.flags&flagEnd != 0 {
		return e, err
	}
	return e, c.checkBehind(s, e.pages, pages)
}

// knownDurable returns how many pages, from the first, some page says were durable. It looks at the last page,
// or, where that is a leftover of a recycled file's former life or of a power cut, for a border between authentic
// pages and others: all durable pages lie before any such border.
func (c *content) knownDurable(s *scratch, pages int64) (int64, error) {
	good, bad := int64(-1), pages // the page at good is authentic, the one at bad is not; −1 stands for the header
	var known int64
	for probe := pages - 1; bad-good > 1; probe = good + (bad-good)/2 {
		in, ok, err := c.at(s, probe)
		if err != nil {
			return 0, err
		}
		if ok {
			good, known = probe, max(known, in.synced)
		} else {
			bad = probe
		}
	}
	return known, nil
}

// scan accepts pages from known on, as long as they are authentic and follow one another.
func (c *content) scan(s *scratch, known, pages int64) (e extent, last inner, err error) {
	if known > 0 {
		var inners [1]inner
		if _, err := c.readGood(s, known-1, 1, 1, inners[:]); err != nil {
			return e, last, fmt.Errorf("a page that was durable: %w", err)
		}
		last = inners[0]
		e = extent{pages: known, size: last.end(), uniform: last.offset == (known-1)*pageData}
	}
	for e.pages < pages {
		n, err := c.read(s, e.pages, int(min(batch, pages-e.pages)))
		if err != nil || n == 0 {
			return e, last, err
		}
		first := e.pages
		for i := range n {
			if s.blocks[i].Err != nil {
				return e, last, nil
			}
			in, err := parseInner(s.page(i), first+int64(i))
			if err != nil {
				return e, last, err
			}
			if in.offset != e.size {
				return e, last, fmt.Errorf("pebblefs: page %d does not follow the one before: %w", e.pages, fault.Tampered)
			}
			e.extend(in)
			last = in
		}
	}
	return e, last, nil
}

// checkBehind looks behind the end for a page that knows better.
func (c *content) checkBehind(s *scratch, end, pages int64) error {
	for index := end + 1; index < pages; {
		n, err := c.read(s, index, int(min(batch, pages-index)))
		if err != nil || n == 0 {
			return err
		}
		for i := range n {
			if s.blocks[i].Err != nil {
				continue
			}
			in, err := parseInner(s.page(i), index+int64(i))
			if err != nil {
				return err
			}
			if in.synced > end {
				return fmt.Errorf("pebblefs: page %d was durable and does not authenticate: %w", end, fault.Both(fault.Tampered, fault.Damaged))
			}
		}
		index += int64(n)
	}
	return nil
}

// randomEnd: every page has its place; the last says how much of it counts.
func (c *content) randomEnd(s *scratch, pages int64) (extent, error) {
	if pages == 0 {
		return extent{uniform: true}, nil
	}
	var inners [1]inner
	if _, err := c.readGood(s, pages-1, 1, 1, inners[:]); err != nil {
		return extent{}, err
	}
	if inners[0].offset != (pages-1)*pageData {
		return extent{}, fmt.Errorf("pebblefs: page %d lies elsewhere: %w", pages-1, fault.Tampered)
	}
	return extent{pages: pages, size: inners[0].end(), uniform: true}, nil
}
