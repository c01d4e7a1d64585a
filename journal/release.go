package journal

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/cofferdb/coffer/internal/fault"
)

// DefaultSpare is [Options.Spare] where it is 0.
const DefaultSpare = 2

// Release says that a recovery will start at position at or behind it, durably:
// segments wholly before at.Segment are needed no more. Their leases end. As many
// of them as Options.Retain says are kept; of the others a few slots are recycled
// under the same key, the rest is removed, oldest first, and so is what a former
// opening left. With discard no free slot stays: call it so after a change of
// key. Slots that may hold plaintext are overwritten with zeros before they are
// removed with discard, and wherever the journal is under a key by now.
// at is not behind [Journal.Durable] ([ErrUsage]). After an error of the file
// system nothing is lost that recovery needs, and Release can be called again.
func (j *Journal) Release(ctx context.Context, at Position, discard bool) error {
	j.admin.Lock()
	defer j.admin.Unlock()
	j.mu.Lock()
	if err := j.refusal(); err != nil {
		j.mu.Unlock()
		return err
	}
	if at.Segment > j.durable.Segment || at.Seq > j.durable.Seq {
		j.mu.Unlock()
		return fmt.Errorf("journal: release up to frame %d of segment %d, which are not durable: %w", at.Seq, at.Segment, fault.Usage)
	}
	n := 0
	for n < len(j.segs)-1 && j.segs[n].hdr.number < at.Segment {
		j.segs[n].free()
		n++
	}
	j.kept = append(j.kept, j.segs[:n]...)
	j.segs = slices.Clone(j.segs[n:])
	key := j.taking().hdr.key
	j.mu.Unlock()

	drop := j.junk
	for _, s := range j.surplus() {
		for _, p := range s.slots {
			if !discard && len(j.spare) < j.o.Spare && p.mine && len(s.slots) == 1 && p.key == key && p.filled.Load() == j.o.SegmentBytes {
				j.spare = append(j.spare, p)
			} else {
				drop = append(drop, &found{name: p.name, hdr: s.hdr, slot: p})
			}
		}
	}
	j.spare = slices.DeleteFunc(j.spare, func(p *slot) bool {
		gone := discard || p.key != key
		if gone {
			drop = append(drop, &found{name: p.name, hdr: header{key: p.key}, slot: p})
		}
		return gone
	})
	return j.drop(ctx, drop, discard || !key.IsZero())
}

// Wipe makes everything that is removed from now on be overwritten with zeros
// first, under whatever key it is.
func (j *Journal) Wipe() { j.wipe.Store(true) }

// surplus takes out of the segments kept those that Retain does not keep, oldest first, and closes the files of the others. admin is held.
func (j *Journal) surplus() []*segment {
	n := 0
	if j.o.Retain >= 0 {
		n = max(0, len(j.kept)-j.o.Retain)
	}
	for i, s := range j.kept {
		if j.held != 0 && s.hdr.number >= j.held {
			n = min(n, i)
			break
		}
	}
	out := j.kept[:n]
	j.kept = slices.Clone(j.kept[n:])
	for _, s := range j.kept {
		for _, p := range s.slots {
			p.close()
		}
	}
	return out
}

// drop removes slots in this order, with wipe after overwriting plain ones; those it could not remove stay for the next time. admin is held.
func (j *Journal) drop(ctx context.Context, slots []*found, wipe bool) error {
	j.junk = nil
	if len(slots) == 0 {
		return nil
	}
	for i, f := range slots {
		err := ctx.Err()
		if err == nil {
			if f.slot == nil {
				f.slot = &slot{name: f.name}
			}
			err = f.slot.destroy(&j.o, wipe && f.hdr.key.IsZero() || j.wipe.Load())
		}
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		if err != nil {
			j.junk = slots[i:]
			return fmt.Errorf("journal: release: %w", err)
		}
		if n, ok := slotNumber(f.name); ok {
			delete(j.names, n)
		}
	}
	if err := j.o.FS.SyncDir(j.o.Dir); err != nil {
		return fmt.Errorf("journal: release: %w", err)
	}
	j.o.Logger.Debug("journal: slots removed", "dir", j.o.Dir, "slots", len(slots))
	return nil
}

// Segments describes every slot the journal knows, by segment number; free slots come first.
func (j *Journal) Segments() []SegmentInfo {
	j.admin.Lock()
	defer j.admin.Unlock()
	j.mu.Lock()
	defer j.mu.Unlock()
	var list []SegmentInfo
	add := func(s *segment, state SegmentState) {
		for i, p := range s.slots {
			info := s.hdr.info()
			info.Slot, info.State, info.Copy = p.name, state, i > 0
			info.Last, info.Bytes, info.FileBytes = s.last, s.end, p.filled.Load()
			list = append(list, info)
		}
	}
	for _, s := range j.kept {
		add(s, StateKept)
	}
	for _, s := range j.segs {
		add(s, StateLive)
	}
	for _, p := range j.spare {
		list = append(list, SegmentInfo{Slot: p.name, Key: p.key, FileBytes: p.filled.Load(), State: StateFree})
	}
	if p := j.prepared; p != nil {
		list = append(list, SegmentInfo{Slot: p.name, FileBytes: p.filled.Load(), State: StateFree})
	}
	for _, f := range j.junk {
		info := f.info()
		if f.err == nil {
			info.State = StateFree
		}
		list = append(list, info)
	}
	sortInfos(list)
	return list
}

// giveBack ends leases and closes files. Nobody writes any more.
func (j *Journal) giveBack() {
	j.admin.Lock()
	defer j.admin.Unlock()
	j.mu.Lock()
	for _, s := range j.segs {
		s.free()
	}
	j.mu.Unlock()
	for _, p := range j.slots() {
		p.close()
	}
}

// slots returns every slot but those of junk. admin is held.
func (j *Journal) slots() []*slot {
	all := slices.Clone(j.spare)
	if j.prepared != nil {
		all = append(all, j.prepared)
	}
	for _, s := range slices.Concat(j.kept, j.segs) {
		all = append(all, s.slots...)
	}
	return all
}

// Remove, after [Journal.Close] and where the caller needs no recovery any more
// (the volume is durably marked clean), removes every segment but the newest
// ones that Options.Retain keeps, oldest first, and the folder if that leaves it
// empty. A poisoned journal is not removed ([ErrOutcomeUnknown]), nor one that is open ([ErrState]).
func (j *Journal) Remove(ctx context.Context) error {
	j.admin.Lock()
	defer j.admin.Unlock()
	j.mu.Lock()
	err := j.err
	if err == nil && !j.closed {
		err = fmt.Errorf("journal: remove while open: %w", fault.State)
	}
	wipe := false
	if err == nil && !j.removed {
		wipe = !j.taking().hdr.key.IsZero()
		j.kept = append(j.kept, j.segs...)
		j.segs = nil
	}
	j.mu.Unlock()
	if err != nil || j.removed {
		return err
	}
	drop := j.junk
	for _, s := range j.surplus() {
		for _, p := range s.slots {
			drop = append(drop, &found{name: p.name, hdr: s.hdr, slot: p})
		}
	}
	for _, p := range append(j.spare, j.prepared) {
		if p != nil {
			drop = append(drop, &found{name: p.name, slot: p})
		}
	}
	j.spare, j.prepared = nil, nil
	if err := j.drop(ctx, drop, wipe); err != nil {
		return err
	}
	j.removed = true
	return removeFolder(j.o.FS, j.o.Dir)
}

// removeFolder removes a folder that is empty.
func removeFolder(fsys interface {
	ReadDir(string) ([]string, error)
	Remove(string) error
	SyncDir(string) error
}, dir string) error {
	names, err := fsys.ReadDir(dir)
	if err != nil || len(names) > 0 {
		return err
	}
	if err := fsys.Remove(dir); err != nil {
		return fmt.Errorf("journal: remove folder: %w", err)
	}
	if err := fsys.SyncDir(filepath.Dir(filepath.Clean(dir))); err != nil {
		return fmt.Errorf("journal: remove folder: %w", err)
	}
	return nil
}
