package blockstore

import (
	"fmt"
	"sync"

	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/seal"
)

// writeBatch is how many blocks are sealed in one call and written with one
// write where they are adjacent.
const writeBatch = 64

// batchItem is one block on its way to its place.
type batchItem struct {
	block uint64
	v     version // its image, hole or loss as of the checkpoint
	rec   record
}

// writeBlocks seals what the plan's blocks are as of its position, writes the
// images in place and enters the records into edit.
func (s *Store) writeBlocks(edit *metaEdit, p *plan) error {
	items, err := s.collect(p)
	if err != nil {
		return err
	}
	if err := s.inBatches(items, func(batch []batchItem) error { return s.writeBatch(batch, p) }); err != nil {
		return err
	}
	for i := range items {
		it := &items[i]
		m, err := edit.block(metaKey{0, it.block / perGroup}, it.rec.kind != recordHole)
		if err != nil {
			return err
		}
		if m != nil {
			m.setRecord(int(it.block%perGroup), &it.rec)
		}
	}
	return nil
}

// collect looks every block of the plan up. A block that a later range trimmed is left to [Store.applyHoles].
func (s *Store) collect(p *plan) ([]batchItem, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	items := make([]batchItem, 0, len(p.blocks))
	for _, b := range p.blocks {
		v, hole := s.over.find(b, p.pos.Seq)
		if hole {
			continue
		}
		if v == nil {
			return nil, fmt.Errorf("block %d is dirty without a version: %w", b, fault.State)
		}
		items = append(items, batchItem{block: b, v: *v})
	}
	return items, nil
}

// inBatches runs do over runs of items that lie in one group, on several goroutines.
func (s *Store) inBatches(items []batchItem, do func([]batchItem) error) error {
	var batches [][]batchItem
	for i := 0; i < len(items); {
		j := i + 1
		for j < len(items) && j-i < writeBatch && items[j].block/perGroup == items[i].block/perGroup {
			j++
		}
		batches = append(batches, items[i:j])
		i = j
	}
	if s.opts.Tune.Inline || len(batches) == 1 || s.opts.Workers == 1 {
		for _, b := range batches {
			if err := do(b); err != nil {
				return err
			}
		}
		return nil
	}
	next := make(chan []batchItem)
	errs := make(chan error, s.opts.Workers)
	var wg sync.WaitGroup
	for range s.opts.Workers {
		wg.Go(func() {
			for b := range next {
				if err := do(b); err != nil {
					select {
					case errs <- err:
					default:
					}
				}
			}
		})
	}
	for _, b := range batches {
		next <- b
	}
	close(next)
	wg.Wait()
	select {
	case err := <-errs:
		return err
	default:
		return nil
	}
}

// writeBatch seals one batch and writes it, under the latch of its group.
func (s *Store) writeBatch(batch []batchItem, p *plan) error {
	sealed, err := s.sealBatch(batch)
	if err != nil {
		return err
	}
	l := s.latch(batch[0].block)
	l.Lock()
	defer l.Unlock()
	if p.saving {
		if err := s.saveImages(batch, p.oldest); err != nil {
			return err
		}
	}
	return s.writeRuns(batch, sealed)
}

// sealBatch seals the images of a batch and fills in the records. The result
// holds the ciphertexts of the images, one after the other.
func (s *Store) sealBatch(batch []batchItem) ([]byte, error) {
	bs := int(s.lay.blockSize)
	l := s.label.Load()
	ks := l.write()
	cipher, err := s.ciphers.get(l, l.writeSlot, ks.current().number)
	if err != nil {
		return nil, err
	}
	out := make([]byte, 0, len(batch)*bs)
	blocks := make([]seal.Block, 0, len(batch))
	for i := range batch {
		it := &batch[i]
		it.rec = record{version: it.v.seq}
		switch it.v.kind {
		case verHole:
			it.rec.kind = recordHole
			continue
		case verLost:
			it.rec.kind = recordLost
			continue
		}
		page := it.v.page
		if page == nil {
			if page, err = s.spill.get(it.v.spill); err != nil {
				return nil, err
			}
		}
		out = out[:len(out)+bs]
		blocks = append(blocks, seal.Block{Position: it.block, Src: page, Dst: out[len(out)-bs:]})
	}
	if len(blocks) == 0 {
		return nil, nil
	}
	if err := cipher.Seal(blocks); err != nil {
		return nil, fmt.Errorf("seal %d blocks: %w", len(blocks), err)
	}
	s.stats.sealed.Add(uint64(len(blocks)))
	n := 0
	for i := range batch {
		if batch[i].v.kind != verPage {
			continue
		}
		b := &blocks[n]
		batch[i].rec = record{b.Nonce, b.Tag, b.CRC, recordData, l.writeSlot, ks.current().number, batch[i].v.seq}
		n++
	}
	return out, nil
}

// writeRuns writes the sealed images, adjacent blocks with one call.
func (s *Store) writeRuns(batch []batchItem, sealed []byte) error {
	bs := int(s.lay.blockSize)
	for i := 0; i < len(batch); {
		if batch[i].v.kind != verPage {
			i++
			continue
		}
		j := i + 1
		for j < len(batch) && batch[j].v.kind == verPage && batch[j].block == batch[j-1].block+1 {
			j++
		}
		run := sealed[:(j-i)*bs]
		sealed = sealed[len(run):]
		if _, err := s.file.WriteAt(run, s.lay.block(batch[i].block)); err != nil {
			return &BlockError{"write", batch[i].block, err}
		}
		i = j
	}
	return nil
}

// saveImages keeps, for the oldest snapshot, what a batch is about to
// overwrite. The latch is held, so nobody reads these places meanwhile.
func (s *Store) saveImages(batch []batchItem, oldest uint64) error {
	for i := range batch {
		b := batch[i].block
		s.mu.RLock()
		v := s.over.chains[b]
		_, hole := s.over.find(b, oldest)
		s.mu.RUnlock()
		tail := v
		for ; v != nil; v = v.older {
			tail = v
		}
		if tail == nil || tail.seq <= oldest {
			continue
		}
		base, err := s.baseVersion(b, hole)
		if err != nil {
			return err
		}
		s.mu.Lock()
		tail.older = base
		s.mu.Unlock()
	}
	return nil
}

// baseVersion reads what lies in place into the spill file. A block that
// cannot be read leaves the snapshot's reader with the loss, nobody else.
func (s *Store) baseVersion(b uint64, hole bool) (*version, error) {
	r, err := s.meta.record(b)
	if err != nil {
		return nil, err
	}
	if hole || r.kind == recordNever || r.kind == recordHole {
		return &version{kind: verHole}, nil
	}
	if r.kind == recordLost {
		return &version{kind: verLost}, nil
	}
	batch := []placed{{block: b, rec: r, dst: make([]byte, s.lay.blockSize)}}
	if err := s.openPlaced(batch, false); err != nil {
		return nil, err
	}
	if batch[0].err != nil {
		s.opts.Logger.Warn("coffer: a snapshot loses a damaged block", "volume", s.volume.String(), "block", b, "cause", batch[0].err)
		return &version{kind: verLost}, nil
	}
	ref, err := s.spill.put(batch[0].dst)
	if err != nil {
		return nil, err
	}
	return &version{kind: verPage, spill: ref}, nil
}

// applyHoles turns the records under the plan's ranges into holes. A group
// that lies wholly in a range is dropped from the tree.
func (s *Store) applyHoles(edit *metaEdit, p *plan) error {
	for _, h := range p.holes {
		for g := h.first / perGroup; g <= (h.first+h.n-1)/perGroup; g++ {
			if skip := s.meta.absent(g, 0, false); skip > 0 { // nor is it in edit: holes make no tag blocks
				g += skip - 1
				continue
			}
			if err := applyHole(edit, h, g); err != nil {
				return err
			}
		}
	}
	return nil
}

func applyHole(edit *metaEdit, h rangeHole, g uint64) error {
	m, err := edit.block(metaKey{0, g}, false)
	if m == nil || err != nil {
		return err
	}
	first := max(h.first, g*perGroup)
	end := min(h.first+h.n, (g+1)*perGroup)
	if end-first == perGroup {
		clear(m.data[offMetaBody:]) // empty: its parent will say none
		return nil
	}
	for b := first; b < end; b++ {
		i := int(b % perGroup)
		r, err := m.record(i)
		if err != nil {
			return err
		}
		if r.kind != recordNever {
			m.setRecord(i, &record{kind: recordHole, version: h.seq})
		}
	}
	return nil
}
