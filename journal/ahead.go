package journal

import "fmt"

const (
	firstFill = 256 << 10 // bytes a slot is made with
	mostFill  = 4 << 20   // bytes of a slot in use filled at once, at the most: commits wait meanwhile, so it is done seldom
	paceFill  = 256 << 10 // bytes of the slot behind it filled at once: commits share the disk with it
)

// lookAhead wakes the goroutine that works ahead, where there is work. mu is held; end is what tickets have reserved in s.
func (j *Journal) lookAhead(s *segment, end int64) {
	if j.o.Inline || s.stuck || s.fillTo(end) == 0 && !s.foresee(end) && s.behindTo(j.o.SegmentBytes, end) == 0 {
		return
	}
	select {
	case j.kick <- struct{}{}:
	default:
	}
}

// fillTo is how far to fill the segment's own slot when tickets have reserved
// end of it, 0 where enough is filled: as much again as there is, within bounds.
func (s *segment) fillTo(end int64) int64 {
	filled := s.slots[0].filled.Load()
	quantum := min(max(filled, firstFill), mostFill)
	if filled == int64(s.hdr.capacity) || filled-end >= quantum/2 {
		return 0
	}
	return min(end+quantum, int64(s.hdr.capacity))
}

// foresee reports whether it is time to make the slot of the next segment.
func (s *segment) foresee(end int64) bool { return !s.foreseen && end > int64(s.hdr.capacity)/2 }

// behindTo is how far to fill the next segment's slot, 0 where enough is filled.
// It takes from the disk what commits need, so it goes along with them: from
// where half the segment is reserved until 7/8 are.
func (s *segment) behindTo(size, end int64) int64 {
	if s.behind == nil {
		return 0
	}
	half := int64(s.hdr.capacity) / 2
	due := min(max(end-half, 0)/3*8, size)
	filled := s.behind.filled.Load()
	if filled >= due {
		return 0
	}
	return min(filled+paceFill, size)
}

// workAhead fills the slot that takes frames, ahead of them, and makes the next one, so that a commit costs no metadata.
func (j *Journal) workAhead() {
	defer j.idle.Done()
	for {
		select {
		case <-j.stop:
			return
		case <-j.kick:
		}
		for more := true; more && !j.stopping(); {
			more = j.ahead()
		}
	}
}

// ahead takes a step of the work ahead, and reports whether there was one to take.
// An error is no failure: whoever needs the space meets it, and is told.
func (j *Journal) ahead() bool {
	j.mu.Lock()
	s := j.taking()
	if s.stuck || j.refusal() != nil {
		j.mu.Unlock()
		return false
	}
	end := s.end + s.out
	own, behind, behindTo, foresee := s.fillTo(end), s.behind, s.behindTo(j.o.SegmentBytes, end), s.foresee(end)
	j.mu.Unlock()
	var err error
	switch {
	case own != 0:
		err = j.fill(s.slots[0], own)
	case foresee:
		behind, err = j.prepare(s)
		j.mu.Lock()
		s.foreseen, s.behind = true, behind
		j.mu.Unlock()
	case behindTo != 0:
		err = j.fill(behind, behindTo)
	default:
		return false
	}
	if err != nil {
		j.mu.Lock()
		s.stuck = true
		j.mu.Unlock()
		j.o.Logger.Warn("journal: cannot work ahead", "dir", j.o.Dir, "error", err)
	}
	return err == nil
}

func (j *Journal) stopping() bool {
	select {
	case <-j.stop:
		return true
	default:
		return false
	}
}

// prepare returns the slot of the segment behind s, made now or before; nil where one can be recycled.
func (j *Journal) prepare(s *segment) (*slot, error) {
	j.admin.Lock()
	defer j.admin.Unlock()
	for _, spare := range j.spare {
		if spare.key == s.hdr.key {
			return nil, nil
		}
	}
	if j.prepared != nil || j.stopping() {
		return j.prepared, nil
	}
	made, err := makeSlot(&j.o, j.names, min(firstFill, j.o.SegmentBytes))
	if err != nil {
		return nil, err
	}
	j.prepared = made
	return made, nil
}

// fill writes zeros behind what is filled of a slot, at least up to end, and
// syncs them. Where that fails it can be tried again, and writes them anew;
// only a failed sync may take frames with it, and then the journal is poisoned.
func (j *Journal) fill(s *slot, end int64) error {
	s.io.Lock()
	defer s.io.Unlock()
	filled := s.filled.Load()
	if filled >= end || s.file == nil { // filled, or no longer this journal's, meanwhile
		return nil
	}
	end = min(max(end, roundUp(end, firstFill)), j.o.SegmentBytes)
	if err := writeZeros(s.file, filled, end); err != nil {
		return fmt.Errorf("journal: fill segment: %w", err)
	}
	if err := s.file.Sync(); err != nil {
		if !s.dirty {
			return fmt.Errorf("journal: fill segment: %w", err)
		}
		// Frames written before may be lost with the zeros, and the next sync would not say so.
		j.mu.Lock()
		defer j.mu.Unlock()
		j.poison(err)
		return j.err
	}
	s.dirty = false
	s.filled.Store(end)
	return nil
}
