package blockstore

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/journal"
)

// chooseLabel finds the newest copy of the label that authenticates. Unlike an
// ordinary open it looks at the second where the first does not.
func (v *salvage) chooseLabel() error {
	copies, _ := tryLabels(v.file)
	order := []int{0, 1}
	if a, b := copies.l[0], copies.l[1]; a == nil || b != nil && b.generation > a.generation {
		order = []int{1, 0}
	}
	var failed [2]error
	for _, i := range order {
		l := copies.l[i]
		if l == nil {
			failed[i] = copies.err[i]
			continue
		}
		s, err := v.try(l, copies.raw[i])
		switch failed[i] = err; {
		case err != nil:
		case v.label == nil:
			v.label, v.s = l, s
		case v.label.volume != l.volume:
			return errors.Join(v.drop(s), fault.Hint(fmt.Errorf("blockstore: the copies of the label are of different volumes, and both authenticate: %w", fault.Tampered),
				"name the volume that is meant (in Go Options.ExpectUUID), or put a copy of its label back: coffer label restore VOLUME COPY"))
		default:
			if err := v.drop(s); err != nil {
				return err
			}
		}
	}
	if v.label == nil {
		return v.noLabel(copies, failed, order)
	}
	for i, p := range copies.problems() {
		switch {
		case failed[i] != nil:
			v.report.Label = append(v.report.Label, fmt.Sprintf("copy %d: %v", i+1, failed[i]))
		case p != "":
			v.report.Label = append(v.report.Label, fmt.Sprintf("copy %d: %s", i+1, p))
		}
	}
	return nil
}

// noLabel is the error where no copy of the label can be used: the newest
// intact one's, for its key may be all that is missing, or that of both. Where
// nothing of a label is left, a file that has a length as a volume can have it counts as
// a damaged one: it cannot be told from another file.
func (v *salvage) noLabel(copies labelCopies, failed [2]error, order []int) error {
	for _, i := range order {
		if copies.l[i] != nil && !errors.Is(failed[i], fault.Tampered) {
			return failed[i]
		}
	}
	err := copies.none()
	if copies.l[0] != nil || copies.l[1] != nil {
		err = errors.Join(failed[0], failed[1])
	}
	if errors.Is(err, fault.NotFormat) {
		size, sizeErr := v.file.Size()
		if sizeErr != nil || size < dataStart || size%MinBlockSize != 0 {
			return err
		}
		err = fmt.Errorf("neither is there, in a file of %d bytes: %w", size, fault.Damaged)
	}
	return fault.Hint(fmt.Errorf("blockstore: no copy of the label can be used, and without one nothing can be authenticated: %w", err),
		"if there is a copy of the label, put it back: coffer label restore VOLUME COPY (in Go RestoreLabel); else only a backup helps")
}

// try sets up a store over one copy of the label.
func (v *salvage) try(l *label, raw []byte) (*Store, error) {
	if err := checkPolicy(l, &v.opts); err != nil {
		return nil, err
	}
	s := new(Store)
	s.init(v.path, v.file, v.keys, v.opts, l)
	s.ciphers.lacks = v.without
	if err := s.authenticate(raw, l); err != nil {
		return nil, errors.Join(v.keyHint(s, l, err), v.drop(s))
	}
	return s, nil
}

// keyHint says what can be done about a key that is missing: without that of the
// MAC nothing is authentic, without another one what is under the rest.
func (v *salvage) keyHint(s *Store, l *label, err error) error {
	if !errors.Is(err, fault.NotActivated) && !errors.Is(err, fault.WrongKey) {
		return err
	}
	mac := &l.slots[l.macSlot]
	if key := s.ciphers.key(l.macSlot); key != nil && key.CheckValue(l.volume[:]) == mac.check {
		return fault.Hint(err, "activate this key too; if it is gone for good, --without-key ID (in Go SalvageOptions.WithoutKeys) counts what is under it as lost, and takes the rest")
	}
	if slices.Contains(v.without, mac.key) {
		return fault.Hint(err, "the label is under this key, and without the label nothing can be authenticated: it cannot be left out")
	}
	return err
}

// drop gives back what a store that was only set up holds.
func (v *salvage) drop(s *Store) error {
	s.stop()
	s.ciphers.close()
	return s.spill.close()
}

// replay takes what the journal holds behind the label's redo position, up to
// the first thing that recovery would refuse.
func (v *salvage) replay(ctx context.Context) error {
	l, s := v.label, v.s
	r := &replay{s: s, l: l, end: l.redo}
	o := s.journalOptions(l)
	v.report.Journal.Through = l.redo.Seq
	switch {
	case l.clean:
		on, err := journal.GoesOn(o, l.redo)
		if on && err == nil {
			err = ErrJournalGoesOn
		}
		v.leftOut(err)
	case v.opts.DiscardJournal:
		v.leftOut(fmt.Errorf("blockstore: left out as asked: %w", fault.State))
	default:
		floor := journal.Floor{Position: l.redo, Generation: l.generation, DurableThrough: l.durableThrough,
			Keys: l.journalKeys, MustReach: l.mustReach, Sealed: l.slots[l.macSlot].suite != None}
		p, err := journal.Prefix(ctx, o, floor, r.apply)
		r.drop()
		if err != nil {
			return fault.Hint(fmt.Errorf("blockstore: salvage: %w", err), journalKeyHint(err))
		}
		v.leftOut(p.Cause)
		r.end, s.ended = p.End, p.End
		v.report.Journal.Through = p.End.Seq
		if p.Tail != nil {
			v.report.Journal.TailBytes = p.Tail.Bytes
		}
	}
	return s.checkAnchor(l, r)
}

func journalKeyHint(err error) string {
	if !errors.Is(err, fault.NotActivated) {
		return fault.HintOf(err)
	}
	return "activate the journal's key too; if it is gone for good, leave the journal out with --discard-journal (in Go Options.DiscardJournal)"
}

// leftOut notes that the journal was not taken to its end.
func (v *salvage) leftOut(cause error) {
	if cause != nil {
		v.report.Journal.LeftOut, v.report.Journal.err = cause.Error(), cause
	}
}
