package journal

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
)

// Settle makes what was accepted durable; afterwards, and not before, the caller
// may believe it. What lies past the durable mark may be in the system's cache
// only, and a sync that succeeds now proves nothing after one that failed: so it
// is written again. It may as well have been acknowledged, and a power cut
// spoils sectors that are being overwritten: so it is written to another slot,
// a copy of the segment, and what is there stays as it is. After an error
// Settle may be called again.
func (r *Recovered) Settle(ctx context.Context) error {
	if r.settled {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("journal: settle: %w", err)
	}
	if s := r.segs[len(r.segs)-1]; len(r.raw) > 0 || !r.proven(s) {
		if err := r.copy(s); err != nil {
			return fmt.Errorf("journal: settle: %w", err)
		}
	}
	if err := r.o.FS.SyncDir(r.o.Dir); err != nil {
		return fmt.Errorf("journal: settle: %w", err)
	}
	r.raw, r.settled = nil, true
	return nil
}

// proven reports whether the segment's own header is known to be durable.
func (r *Recovered) proven(s *segment) bool {
	return len(r.images) == 1 &&
		(s.hdr.number <= max(r.from.MustReach, r.from.Position.Segment) || s.hdr.first <= r.DurableMark)
}

// copy writes the header and what Settle is about into a slot of its own. Older
// copies, which an interrupted Settle left, are contained in it and removed.
func (r *Recovered) copy(s *segment) error {
	pieces := append([]rawFrame{{data: s.hdr.marshal()}}, r.raw...)
	c, err := makeSlot(&r.o, r.used(), 0, pieces...)
	if err != nil {
		return err
	}
	c.close()
	r.all = append(r.all, &found{name: c.name, hdr: s.hdr})
	if len(r.images) == 1 {
		return nil
	}
	for _, m := range r.images {
		if m.gone {
			continue
		}
		if err := r.o.FS.Remove(filepath.Join(r.o.Dir, m.name)); err != nil {
			return err
		}
		m.gone = true
	}
	r.images = r.all[len(r.all)-1:] // should the sync of the folder fail and Settle be called again
	return nil
}

// used returns the numbers of the slots that exist.
func (r *Recovered) used() map[int]bool {
	used := map[int]bool{}
	for _, f := range r.all {
		if n, ok := slotNumber(f.name); ok && !f.gone {
			used[n] = true
		}
	}
	return used
}

// Continue goes on with the journal in a new segment after End, whose header,
// file and name are durable on return. Generation and session are as in
// [Start]; a key that is not activated or only decrypts is refused, so is a
// journal not settled ([ErrState]). The journal takes over the leases. After an
// error of the file system nobody knows whether the segment came to be: the
// caller recovers again.
func (r *Recovered) Continue(key dek.ID, generation uint64, session [16]byte) (*Journal, error) {
	if !r.settled || r.spent {
		return nil, fmt.Errorf("journal: continue before settle, or twice: %w", fault.State)
	}
	last := r.segs[len(r.segs)-1]
	j := newJournal(r.o)
	s, err := j.compose(predecessor{
		number: last.hdr.number, segment: last.hdr.segment,
		end: last.last, offset: uint64(last.end), chain: last.chain,
	}, key, generation, session)
	if err != nil {
		return nil, err
	}
	r.spent = true
	j.inherit(r.all, r.start(), r.segs)
	if err := j.begin(s); err != nil {
		return nil, err
	}
	r.once.Do(func() {}) // the leases are the journal's now
	r.raw = nil
	return j, nil
}
