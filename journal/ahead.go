package journal

import (
	"errors"
	"syscall"
)

const (
	firstFill = 256 << 10 // bytes a slot is made with
	mostFill  = 1 << 20   // bytes filled at once, at the most
)

// lookAhead wakes the goroutine that works ahead, where there is work. mu is held; end is what tickets have reserved in s.
func (j *Journal) lookAhead(s *segment, end int64) {
	if j.o.Inline {
		return
	}
	filled := s.slots[0].filled.Load()
	if filled < int64(s.hdr.capacity) && filled-end < quantum(filled)/2 || end > int64(s.hdr.capacity)/2 && !s.foreseen {
		select {
		case j.kick <- struct{}{}:
		default:
		}
	}
}

// quantum is how much is filled next: as much as there is, within bounds.
func quantum(filled int64) int64 { return min(max(filled, firstFill), mostFill) }

// workAhead fills the slot that takes frames, ahead of them, and makes the next one, so that a commit costs no metadata.
func (j *Journal) workAhead() {
	defer j.idle.Done()
	for {
		select {
		case <-j.stop:
			return
		case <-j.kick:
		}
		if err := j.ahead(); err != nil {
			// A full disk: whoever needs the space meets it, and is told. Anything else has poisoned the journal.
			j.o.Logger.Warn("journal: cannot work ahead", "dir", j.o.Dir, "error", err)
		}
	}
}

func (j *Journal) ahead() error {
	j.mu.Lock()
	s := j.taking()
	place, end := s.slots[0], s.end+s.out
	soon := end > int64(s.hdr.capacity)/2 && !s.foreseen
	s.foreseen = s.foreseen || soon
	refused := j.refusal()
	j.mu.Unlock()
	if refused != nil {
		return nil
	}
	filled := place.filled.Load()
	if err := j.fill(place, min(end+quantum(filled), int64(s.hdr.capacity))); err != nil || !soon {
		return err
	}
	next, err := j.prepare(s)
	if next == nil || err != nil {
		return err
	}
	for filled := next.filled.Load(); filled < j.o.SegmentBytes && !j.stopping(); filled = next.filled.Load() {
		if err := j.fill(next, min(filled+firstFill, j.o.SegmentBytes)); err != nil {
			return err
		}
	}
	return nil
}

func (j *Journal) stopping() bool {
	select {
	case <-j.stop:
		return true
	default:
		return false
	}
}

// prepare makes the slot of the segment behind s, unless one can be recycled.
func (j *Journal) prepare(s *segment) (*slot, error) {
	j.admin.Lock()
	defer j.admin.Unlock()
	for _, spare := range j.spare {
		if spare.key == s.hdr.key {
			return nil, nil
		}
	}
	if j.prepared != nil || j.stopping() {
		return nil, nil
	}
	made, err := makeSlot(&j.o, j.names, min(firstFill, j.o.SegmentBytes))
	if err != nil {
		return nil, j.failedAhead(err)
	}
	j.prepared = made
	return made, nil
}

// fill writes zeros behind what is filled of a slot, at least up to end, and syncs them.
func (j *Journal) fill(s *slot, end int64) error {
	s.io.Lock()
	defer s.io.Unlock()
	filled := s.filled.Load()
	if filled >= end || s.file == nil { // filled, or no longer this journal's, meanwhile
		return nil
	}
	end = min(max(end, roundUp(end, firstFill)), j.o.SegmentBytes)
	if err := writeZeros(s.file, filled, end); err != nil {
		return j.failedAhead(err)
	}
	if err := s.file.Sync(); err != nil {
		// Frames written before may be lost with the zeros, and the next sync would not say so.
		j.mu.Lock()
		defer j.mu.Unlock()
		j.poison(err)
		return j.err
	}
	s.filled.Store(end)
	return nil
}

// failedAhead poisons the journal on an error that is not a full disk, and returns what to tell the caller.
func (j *Journal) failedAhead(err error) error {
	if errors.Is(err, syscall.ENOSPC) {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.poison(err)
	return j.err
}
