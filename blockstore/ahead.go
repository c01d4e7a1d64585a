package blockstore

// aheadAtOnce is how many hints are followed at a time; more are dropped.
const aheadAtOnce = 2

// Ahead is a hint that n blocks from first on will be read soon, as in a scan:
// those not in memory are read and opened in the background, in batches. It
// never fails; what is wrong with a block its Read says. The channel is closed
// when that is over; it is nil where the hint is not followed.
func (tx *Tx) Ahead(first, n uint64) <-chan struct{} {
	s := tx.s
	end := min(first+n, tx.Blocks())
	if tx.finished || first >= end || s.opts.Tune.Inline || s.gate.enter() != nil {
		return nil
	}
	select {
	case s.ahead <- struct{}{}:
	default:
		s.gate.leave()
		return nil
	}
	done := make(chan struct{})
	go func() {
		defer s.gate.leave()
		defer func() { <-s.ahead }()
		defer close(done)
		for first < end {
			run := min(end-first, perGroup-first%perGroup, readBatch)
			s.fetch(first, run)
			first += run
		}
	}()
	return done
}

// fetch brings blocks of one group into the cache, from where they lie. The latch is as in [Store.readPlace], and
// so is the snapshot, since the one that asked may have ended: a range of holes takes no latch, and would
// otherwise be settled between the look at a record and the cache, which would keep what was trimmed.
func (s *Store) fetch(first, n uint64) {
	snap := s.acquireHead()
	defer s.release(snap)
	l := s.latch(first)
	l.RLock()
	defer l.RUnlock()
	batch := make([]placed, 0, n)
	for b := first; b < first+n; b++ {
		if !s.inMemory(b) {
			batch = append(batch, placed{block: b, dst: make([]byte, s.lay.blockSize)})
		}
	}
	batch, err := s.lookUp(batch)
	if err != nil {
		return
	}
	s.openPlaced(batch, false)
	for i := range batch {
		if batch[i].err == nil {
			s.cache.put(batch[i].block, batch[i].dst)
		}
	}
}

// inMemory reports whether a block's newest state is in memory, or a hole.
func (s *Store) inMemory(b uint64) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if v, hole := s.over.find(b, latest); v != nil || hole {
		return true
	}
	_, ok := s.cache.get(b)
	return ok
}
