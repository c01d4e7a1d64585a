package blockstore

// epochLimit is how many epochs the write key may have before the oldest are
// re-sealed in the background, so that one is always free.
const epochLimit = 5

// resealEpochs starts, where it is due and nothing else runs, the conversion
// that moves every block to the write key's current epoch. It is not a
// conversion for the label: records that name an older epoch are all it needs
// to know, and an interrupted one begins again with the next checkpoint.
func (s *Store) resealEpochs() {
	l := s.label.Load()
	if s.opts.Tune.Inline || s.sealable() != nil || len(l.write().epochs) < epochLimit || l.conv.op != opNone || !s.convMu.TryLock() {
		return
	}
	defer s.convMu.Unlock()
	if s.conv != nil && !s.conv.finished() || s.ctx.Err() != nil {
		return
	}
	s.conv = s.epochConverter(l)
	s.conv.start()
}

func (s *Store) epochConverter(l *label) *Converter {
	slot, current := l.writeSlot, l.write().current().number
	v := s.newConverter(opNone, slot, Conversion{Workers: 1})
	v.current = current
	v.stale = func(r *record) bool { return r.kind == recordData && r.slot == slot && r.epoch < current }
	return v
}

// dropEpochs takes the epochs that no record names any more out of the label.
func (v *Converter) dropEpochs() error {
	used := make(map[uint32]bool)
	err := v.s.eachGroup(v.ctx, func(_ uint64, m *metaBlock, err error) error {
		if err != nil {
			return err
		}
		for i := range perGroup {
			r, err := m.record(i)
			if err != nil {
				return err
			}
			if r.kind == recordData && r.slot == v.to {
				used[r.epoch] = true
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return v.s.backups.drop(v.ctx, v.waitsForBackup, func() error { return v.dropUnused(used) })
}

// dropUnused takes the epochs older than the current one that are not used out of the label.
func (v *Converter) dropUnused(used map[uint32]bool) error {
	return v.s.changeLabel(func(next *label) error {
		ks := &next.slots[v.to]
		kept := ks.epochs[:0]
		for _, e := range ks.epochs {
			if used[e.number] || e.number >= v.current {
				kept = append(kept, e)
			}
		}
		ks.epochs = kept
		return nil
	})
}
