package blockstore

// contentSource hands out what a volume holds, stretch by stretch.
type contentSource interface {
	// stretch says what the blocks from b on hold, up to end at most. Where
	// images is nil they are n holes. Else they are n blocks of one group; those
	// for which images says so are in buf, at their place, the others are holes
	// and their place in buf holds anything. buf has room for readBatch blocks.
	stretch(b, end uint64, buf []byte) (n uint64, images []bool, err error)
}

var _ contentSource = storeSource{}

// storeSource is a store as of a snapshot that somebody holds.
type storeSource struct {
	s    *Store
	snap uint64
}

func (v storeSource) stretch(b, end uint64, buf []byte) (uint64, []bool, error) {
	if n := v.s.holesFrom(b, end); n > 0 {
		return n, nil, nil
	}
	n := stretchLen(b, end)
	images, err := v.s.readImages(v.snap, b, buf[:n*uint64(v.s.lay.blockSize)])
	return n, images, err
}

// stretchLen is how many blocks from b on are read at a time.
func stretchLen(b, end uint64) uint64 { return min(end-b, perGroup-b%perGroup, readBatch) }

// holesFrom returns how many blocks from b on, up to end, lie in groups of
// which nothing is in the tree, with no version in memory. Who has a block that
// is in neither sees it in memory before the look into the tree, or, where it
// was saved for a snapshot meanwhile, after it.
func (s *Store) holesFrom(b, end uint64) uint64 {
	g := b / perGroup
	before := s.nextVersion(b, end)
	n := min(s.meta.absent(g, 0, false), maxGroups)
	if n == 0 {
		return 0
	}
	after := s.nextVersion(b, end)
	return min((g+n)*perGroup, before, after, end) - b
}

// nextVersion returns the first block from b on, below end, that has a version in memory, else end.
func (s *Store) nextVersion(b, end uint64) uint64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for v := range s.over.chains {
		if v >= b && v < end {
			end = v
		}
	}
	return end
}

// readImages reads consecutive blocks of one group as of snapshot snap and says
// which of them are images; the others are holes. As in readPlace, the latch
// and the order of the looks keep checkpoints from making it miss something.
func (s *Store) readImages(snap, first uint64, dst []byte) (images []bool, err error) {
	l := s.latch(first)
	l.RLock()
	defer l.RUnlock()
	bs := s.lay.blockSize
	images = make([]bool, int64(len(dst))/bs)
	var batch []placed
	for i := range images {
		p := placed{block: first + uint64(i), dst: dst[int64(i)*bs:][:bs:bs]}
		known, image, err := s.readVersion(snap, p.block, p.dst)
		if err != nil {
			return nil, err
		}
		if images[i] = image; !known {
			batch = append(batch, p)
		}
	}
	if batch, err = s.lookUp(batch); err != nil {
		return nil, err
	}
	for i := range batch {
		images[batch[i].block-first] = true
	}
	s.openPlaced(batch, false)
	return images, firstError(batch)
}

// readVersion reads a block from memory, if a version of it is there.
func (s *Store) readVersion(snap, block uint64, dst []byte) (known, image bool, err error) {
	s.mu.RLock()
	defer s.mu.RUnlock() // a place in the spill file is only ours while mu is held
	v, hole := s.over.find(block, snap)
	switch {
	case v != nil:
		return true, v.kind == verPage, s.copyVersion(dst, block, v.kind, v.page, v.spill, false)
	case hole:
		return true, false, nil
	}
	return false, false, nil
}
