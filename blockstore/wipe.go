package blockstore

import (
	"context"
	"fmt"
	"sort"

	"github.com/cofferdb/coffer/internal/fsx"
)

// wipeFree overwrites with zeros what lies in the file where no record says
// that there is data: blocks that were trimmed, cut off or given up, and the
// tag blocks of groups that are gone. What the old suite or key left there
// would otherwise outlive the conversion.
func (s *Store) wipeFree(ctx context.Context) error {
	if err := s.cutToSize(); err != nil { // who made the file longer than the volume does not make the work so
		return err
	}
	size, err := s.file.Size()
	if err != nil {
		return fmt.Errorf("blockstore: size of the volume file: %w", err)
	}
	wiped := false
	for g, ok := s.groupWithData(0); ok && s.lay.tagPair(g) < size; g, ok = s.groupWithData(g + 1) {
		if err := ctx.Err(); err != nil {
			return err
		}
		did, err := s.wipeGroup(g, size)
		if err != nil {
			return err
		}
		wiped = wiped || did
	}
	if !wiped {
		return nil
	}
	if err := s.file.SyncData(); err != nil {
		return s.fail(fmt.Errorf("blockstore: sync overwritten blocks: %w", err))
	}
	return nil
}

// groupWithData returns the first group from g on in whose place the file may hold
// anything but zeros; ok is false where none does. It passes over holes of the file, so that the work goes by what
// was written and not by the length.
func (s *Store) groupWithData(g uint64) (_ uint64, ok bool) {
	off, ok := fsx.NextData(s.file, s.lay.tagPair(g))
	if !ok {
		return 0, false
	}
	behind := sort.Search(maxGroups, func(i int) bool { return s.lay.tagPair(uint64(i)) > off })
	return max(g, uint64(behind)-1), true
}

// cutToSize cuts the file where the volume ends, as of the last checkpoint.
func (s *Store) cutToSize() error {
	s.ckptMu.Lock()
	defer s.ckptMu.Unlock()
	return s.cutFile(s.label.Load().size)
}

// wipeGroup wipes the free places of one group below size. No checkpoint runs
// meanwhile, so that what is free stays free.
func (s *Store) wipeGroup(g uint64, size int64) (wiped bool, err error) {
	s.ckptMu.Lock()
	defer s.ckptMu.Unlock()
	if err := s.usable(); err != nil {
		return false, err
	}
	m, err := s.meta.get(metaKey{0, g})
	if err != nil {
		return false, err
	}
	wipe := func(off, n int64) error {
		did, err := s.wipeRange(off, min(n, size-off))
		wiped = wiped || did
		return err
	}
	if m == nil {
		if err := wipe(s.lay.tagPair(g), pairSize); err != nil {
			return wiped, err
		}
	}
	for i := range uint64(perGroup) {
		off := s.lay.block(g*perGroup + i)
		if off >= size {
			break
		}
		if m != nil {
			if r, err := m.record(int(i)); err != nil {
				return wiped, err
			} else if r.kind == recordData {
				continue
			}
		}
		if err := wipe(off, s.lay.blockSize); err != nil {
			return wiped, err
		}
	}
	return wiped, nil
}

// wipeRange writes zeros unless they are there already, so that a sparse file stays sparse.
func (s *Store) wipeRange(off, n int64) (bool, error) {
	if n <= 0 {
		return false, nil
	}
	buf := make([]byte, n)
	if err := readFull(s.file, buf, off); err == nil && allZero(buf) == nil {
		return false, nil
	}
	clear(buf)
	if _, err := s.file.WriteAt(buf, off); err != nil {
		return false, fmt.Errorf("blockstore: overwrite what is free at %d: %w", off, err)
	}
	return true, nil
}
