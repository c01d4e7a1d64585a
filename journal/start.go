package journal

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
)

// Start begins a journal behind position at, with segment number at.Segment+1
// whose header names at.Seq and at.Chain as its predecessor's end. Header, file
// and folder are durable on return, and [Journal.Durable] is
// {at.Segment+1, at.Seq, at.Chain}. The zero key makes plain segments;
// generation is what both copies of the caller's label durably have; session
// names this opening.
//
// It is for a volume that needs no recovery. It refuses ([ErrState]) where the
// folder holds frames of this stream behind at, and removes segments of the
// stream above at.Segment that hold none. Other errors: [ErrNotActivated],
// [ErrUsage], [ErrVersion], the file system's.
func Start(o Options, at Position, key dek.ID, generation uint64, session [16]byte) (*Journal, error) {
	o, err := o.check()
	if err != nil {
		return nil, err
	}
	j := newJournal(o)
	s, err := j.compose(predecessor{number: at.Segment, end: at.Seq, chain: at.Chain}, key, generation, session)
	if err != nil {
		return nil, err
	}
	if err := j.claim(at); err != nil {
		s.free()
		return nil, err
	}
	if err := j.begin(s); err != nil {
		return nil, err
	}
	return j, nil
}

// claim makes the folder and sees to it that nothing in it goes on from at.
func (j *Journal) claim(at Position) error {
	if err := makeFolder(j.o.FS, j.o.Dir); err != nil {
		return err
	}
	slots, err := readFolder(j.o.FS, j.o.Dir)
	if err != nil {
		return err
	}
	for _, s := range slots {
		if s.err != nil && !headerIsForeign(&s.hdr, s.err, &j.o) {
			return &SegmentError{Segment: s.hdr.number, Slot: s.name, Err: s.err}
		}
	}
	behind, last, err := framesBehind(slots, &j.o, at)
	if err != nil {
		return err
	}
	if behind != 0 {
		return fmt.Errorf("journal: segment %d holds frame %d, after %d: %w", behind, last, at.Seq, fault.State)
	}
	for _, s := range slots {
		if s.err != nil || !s.hdr.ours(&j.o) || s.hdr.number <= at.Segment {
			continue
		}
		if err := j.o.FS.Remove(filepath.Join(j.o.Dir, s.name)); err != nil {
			return fmt.Errorf("journal: remove empty segment: %w", err)
		}
		s.gone = true
	}
	// Before a segment of that number comes to be again, the old one is gone for good.
	if err := j.o.FS.SyncDir(j.o.Dir); err != nil {
		return fmt.Errorf("journal: sync folder: %w", err)
	}
	j.inherit(slots, at.Segment+1, nil)
	return nil
}

// GoesOn reports whether the folder holds frames of the stream behind at. It
// goes by checksums, needs no key and writes nothing; slots that cannot be read
// say nothing. A caller whose own state says that no journal is needed learns
// from it that an older state was put back.
func GoesOn(o Options, at Position) (bool, error) {
	o, err := o.check()
	if err != nil {
		return false, err
	}
	slots, err := readFolder(o.FS, o.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	segment, _, err := framesBehind(slots, &o, at)
	return segment != 0, err
}

// framesBehind looks for a frame of the stream behind at, by checksum alone. It
// returns the number of the first segment that has one and its last frame there, or 0.
func framesBehind(slots []*found, o *Options, at Position) (segment, last uint64, err error) {
	for _, images := range groupSegments(slots, o.Volume) {
		h := &images[0].hdr
		if !h.ours(o) || h.number < at.Segment {
			continue
		}
		last, err := lastFrame(images)
		if err != nil {
			return 0, 0, err
		}
		if last > at.Seq {
			return h.number, last, nil
		}
	}
	return 0, 0, nil
}

// lastFrame returns the sequence number of the last whole frame of a segment, by checksum alone.
func lastFrame(images []*found) (uint64, error) {
	w := newWalker(&images[0].hdr, imagesOf(images), nil)
	defer w.close()
	for {
		f, err := w.next()
		if err != nil && !errors.Is(err, ErrTampered) {
			return 0, fmt.Errorf("journal: read %s: %w", images[0].name, err)
		}
		if f == nil || err != nil {
			return w.seq - 1, nil
		}
	}
}

// inherit takes over what is in the folder: segments read by a recovery, and slots below start.
func (j *Journal) inherit(slots []*found, start uint64, segs []*segment) {
	j.segs = segs
	for _, s := range segs {
		s.begun, s.done = true, true
	}
	for _, f := range slots {
		if f.gone {
			continue
		}
		n, _ := slotNumber(f.name)
		j.names[n] = true
		switch {
		case f.err != nil:
			j.junk = append(j.junk, f)
		case f.hdr.volume != j.o.Volume: // somebody else's: left alone
		case !f.hdr.ours(&j.o):
			j.junk = append(j.junk, f)
		case f.hdr.number < start:
			j.kept = addImage(j.kept, f)
		case f.hdr.number-start < uint64(len(segs)):
			s := segs[f.hdr.number-start]
			s.slots = append(s.slots, &slot{name: f.name})
		}
	}
	slices.SortStableFunc(j.kept, func(a, b *segment) int { return cmp.Compare(a.hdr.number, b.hdr.number) })
}

// addImage adds a slot below the redo position to the segments kept.
func addImage(kept []*segment, f *found) []*segment {
	for _, s := range kept {
		if s.hdr == f.hdr {
			s.slots = append(s.slots, &slot{name: f.name})
			return kept
		}
	}
	return append(kept, &segment{hdr: f.hdr, slots: []*slot{{name: f.name}}, begun: true, done: true})
}
