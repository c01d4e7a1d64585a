package blockstore

import (
	"sync"

	"github.com/cofferdb/coffer/internal/seal"
)

// readBatch is how many blocks one read of the file and one call of a cipher take at most.
const readBatch = 64

// readRun reads consecutive blocks as of snapshot snap into dst.
func (s *Store) readRun(snap, first uint64, dst []byte) error {
	bs := int(s.lay.blockSize)
	n := uint64(len(dst) / bs)
	for i := uint64(0); i < n; {
		b := first + i
		if ok, err := s.readMemory(snap, b, dst[i*uint64(bs):][:bs]); err != nil {
			return err
		} else if ok {
			i++
			continue
		}
		// A run that is not in memory: up to the end of its group, in one batch.
		run := min(n-i, perGroup-b%perGroup, readBatch)
		if err := s.readPlace(snap, b, dst[i*uint64(bs):][:run*uint64(bs)]); err != nil {
			return err
		}
		i += run
	}
	return nil
}

// readMemory copies a block from the overlay or the cache.
func (s *Store) readMemory(snap, block uint64, dst []byte) (bool, error) {
	s.mu.RLock()
	v, hole := s.over.find(block, snap)
	if v != nil && v.spill != nil { // its place in the spill file is only ours while mu is held
		defer s.mu.RUnlock()
		return true, s.copyVersion(dst, block, v.kind, nil, v.spill, false)
	}
	// Under mu too: a checkpoint that passes this snapshot puts newer pages into
	// the cache and older ones into the overlay in one step.
	page, ok := s.cache.get(block)
	s.mu.RUnlock()
	if v != nil {
		return true, s.copyVersion(dst, block, v.kind, v.page, nil, false)
	}
	if hole {
		clear(dst)
		return true, nil
	}
	if ok {
		s.stats.hits.Add(1)
		copy(dst, page)
	}
	return ok, nil
}

func (s *Store) copyVersion(dst []byte, block uint64, kind verKind, page []byte, ref *spillRef, hole bool) error {
	switch {
	case hole || kind == verHole:
		clear(dst)
	case kind == verLost:
		return &BlockError{"read", block, ErrLost}
	case page != nil:
		copy(dst, page)
	default:
		page, err := s.spill.get(ref)
		if err != nil {
			return &BlockError{"read", block, err}
		}
		copy(dst, page)
	}
	return nil
}

// readPlace reads blocks of one group, none of which was in memory a moment
// ago, from where they lie. The latch keeps a checkpoint from overwriting them
// meanwhile; what it saved for this snapshot before is seen by looking again.
func (s *Store) readPlace(snap, first uint64, dst []byte) error {
	l := s.latch(first)
	l.RLock()
	defer l.RUnlock()
	bs := s.lay.blockSize
	n := uint64(len(dst)) / uint64(bs)
	var batch []placed
	for i := range n {
		b, d := first+i, dst[int64(i)*bs:][:bs:bs]
		if ok, err := s.readMemory(snap, b, d); err != nil {
			return err
		} else if !ok {
			batch = append(batch, placed{block: b, dst: d})
		}
	}
	batch, err := s.lookUp(batch)
	if err != nil {
		return err
	}
	s.openPlaced(batch, true)
	return firstError(batch)
}

// lookUp fills in the records of blocks of one group and settles those that
// have no image. It comes after the look into the overlay: a version is dropped
// there only when its record is what is found here.
func (s *Store) lookUp(batch []placed) ([]placed, error) {
	if len(batch) == 0 {
		return nil, nil
	}
	m, err := s.meta.get(metaKey{0, batch[0].block / perGroup})
	if err != nil {
		return nil, &BlockError{"read", batch[0].block, err}
	}
	rest := batch[:0]
	for _, p := range batch {
		if m != nil {
			if p.rec, err = m.record(int(p.block % perGroup)); err != nil {
				return nil, &BlockError{"read", p.block, err}
			}
		}
		switch p.rec.kind {
		case recordNever, recordHole:
			clear(p.dst)
		case recordLost:
			return nil, &BlockError{"read", p.block, ErrLost}
		default:
			rest = append(rest, p)
		}
	}
	return rest, nil
}

// placed is a block to be read from its place.
type placed struct {
	block uint64
	rec   record
	dst   []byte
	err   error
}

func firstError(batch []placed) error {
	for i := range batch {
		if batch[i].err != nil {
			return batch[i].err
		}
	}
	return nil
}

// openPlaced reads and opens blocks in place, in order of block. Failures are in
// the err of the blocks; keep puts what opened into the cache.
func (s *Store) openPlaced(batch []placed, keep bool) {
	for i := 0; i < len(batch); {
		j := i + 1
		for j < len(batch) && batch[j].block == batch[j-1].block+1 && batch[j].block/perGroup == batch[i].block/perGroup &&
			batch[j].rec.slot == batch[i].rec.slot && batch[j].rec.epoch == batch[i].rec.epoch {
			j++
		}
		s.openRun(batch[i:j])
		i = j
	}
	s.stats.misses.Add(uint64(len(batch)))
	if keep {
		for i := range batch {
			if batch[i].err == nil {
				s.cache.put(batch[i].block, append([]byte(nil), batch[i].dst...))
			}
		}
	}
}

// rawPool holds buffers for ciphertext on its way in.
var rawPool = sync.Pool{New: func() any { return new([]byte) }}

// openRun reads adjacent blocks under one cipher. Where the read fails it is
// tried block by block, so that one bad sector takes no other block along.
func (s *Store) openRun(run []placed) {
	bs := s.lay.blockSize
	buf := rawPool.Get().(*[]byte)
	defer rawPool.Put(buf)
	if int64(cap(*buf)) < int64(len(run))*bs {
		*buf = make([]byte, int64(len(run))*bs)
	}
	raw := (*buf)[:int64(len(run))*bs]
	if err := readFull(s.file, raw, s.lay.block(run[0].block)); err != nil {
		if len(run) == 1 {
			run[0].err = &BlockError{"read", run[0].block, err}
			return
		}
		for i := range run {
			s.openRun(run[i : i+1])
		}
		return
	}
	cipher, err := s.ciphers.get(s.label.Load(), run[0].rec.slot, run[0].rec.epoch)
	if err != nil {
		for i := range run {
			run[i].err = &BlockError{"read", run[i].block, err}
		}
		return
	}
	blocks := make([]seal.Block, len(run))
	for i := range run {
		r := &run[i].rec
		blocks[i] = seal.Block{Position: run[i].block, Src: raw[int64(i)*bs:][:bs], Dst: run[i].dst, Nonce: r.nonce, Tag: r.tag, CRC: r.crc}
	}
	if cipher.Open(blocks) == nil {
		return
	}
	for i := range blocks {
		if blocks[i].Err != nil {
			run[i].err = &BlockError{"read", run[i].block, blocks[i].Err}
		}
	}
}
