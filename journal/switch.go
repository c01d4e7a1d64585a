package journal

import (
	"context"
	"fmt"

	"github.com/cofferdb/coffer/dek"
)

// Switch closes the segment and opens the next one under key, zero for plain. On
// return both are durable, nothing is written under the old key any more, and
// Durable().Segment is the new one. It waits for open tickets of the old
// segment. Where ctx ends first the switch goes on with the next Wait or Switch.
// Errors: [ErrNotActivated]; [ErrState] for a key that only decrypts; the file
// system's, where no slot could be made: with these nothing was switched,
// [Journal.Err] is nil, and Switch can be tried again. [ErrOutcomeUnknown] where the journal is poisoned.
func (j *Journal) Switch(ctx context.Context, key dek.ID) error {
	j.mu.Lock()
	err, s := j.refusal(), j.taking()
	j.mu.Unlock()
	if err != nil {
		return err
	}
	next, err := j.advance(s, key)
	if err != nil {
		return err
	}
	if next == nil || next.hdr.key != key { // somebody else switched meanwhile
		return j.Switch(ctx, key)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.await(ctx, next.hdr.pred.end, next.hdr.number)
}

// advance makes the segment behind from the one that takes tickets: it takes the
// ticket of from's closing frame and commits it. The new segment's header is
// written once that frame is durable. nil where somebody else was faster.
func (j *Journal) advance(from *segment, key dek.ID) (*segment, error) {
	j.admin.Lock()
	defer j.admin.Unlock()
	j.mu.Lock()
	stale, refused := j.taking() != from, j.refusal()
	j.mu.Unlock()
	if stale || refused != nil {
		return nil, refused
	}
	next, err := j.compose(predecessor{number: from.hdr.number, segment: from.hdr.segment}, key, 0, from.hdr.session)
	if err != nil {
		return nil, err
	}
	place, recycled, err := j.vacant(key)
	if err != nil {
		next.free()
		return nil, err
	}
	next.hdr.recycled = recycled
	next.slots = []*slot{place}
	place.used, place.key = true, key

	j.mu.Lock()
	if err := j.refusal(); err != nil {
		j.mu.Unlock()
		// Closed or poisoned: the slot stays, for the next recovery to find.
		place.close()
		next.free()
		return nil, err
	}
	t := j.issue(from, closingSize)
	next.hdr.first, next.hdr.pred.end = t.seq+1, t.seq
	next.last = t.seq
	from.next = next
	j.segs = append(j.segs, next)
	j.mu.Unlock()

	c := closing{segment: next.hdr.segment, number: next.hdr.number, key: key}.encode()
	if err := t.hand(kindClose, c[:]); err != nil {
		return nil, err
	}
	j.o.Logger.Debug("journal: segment ended", "segment", from.hdr.number, "next", next.hdr.number, "key", key)
	return next, nil
}

// vacant returns a slot for a segment under key: one to recycle, which held
// nothing under another key; the one made ahead; or a new one. An error says
// that there is none now: no frame is affected, and it can be tried again. admin is held.
func (j *Journal) vacant(key dek.ID) (s *slot, recycled bool, err error) {
	for i, s := range j.spare {
		if s.key == key {
			j.spare = append(j.spare[:i], j.spare[i+1:]...)
			if err := s.open(&j.o); err != nil {
				j.junk = append(j.junk, &found{name: s.name, slot: s})
				return nil, false, fmt.Errorf("journal: recycle segment: %w", err)
			}
			return s, true, nil
		}
	}
	if s := j.prepared; s != nil {
		j.prepared = nil
		return s, false, nil
	}
	s, err = makeSlot(&j.o, j.names, min(firstFill, j.o.SegmentBytes))
	if err != nil {
		return nil, false, fmt.Errorf("journal: %w", err)
	}
	return s, false, nil
}
