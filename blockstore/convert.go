package blockstore

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
)

// Conversion says what a volume is to be converted to.
type Conversion struct {
	// Suite of the blocks afterwards; 0 keeps the suite. None decrypts: the
	// store must have been opened with Options.AllowPlain.
	Suite Suite
	// Key of the blocks afterwards; zero keeps the key. Ignored under suite none.
	Key dek.ID
	// Workers is how many goroutines re-seal; 0 is the store's number.
	Workers int
	// AcceptLoss turns blocks that do not authenticate into lost records, so
	// that they need no key. Reads of them fail from then on.
	AcceptLoss bool
	// Back allows the target to be what an unfinished conversion comes from: that
	// one is turned around, and every block ends where it began. Any other target,
	// or none, means what it means without Back; the way back to suite none has to be named.
	Back bool
	// Purge overwrites journal files, too, before they are removed: see [Store.Purge].
	Purge bool
	// Pace is how fast it may go; the zero Pace adapts to what else goes on.
	Pace Pace
}

// ConversionError refuses a conversion while another one is unfinished.
type ConversionError struct {
	Operation string // encrypt, decrypt or rekey
	From, To  dek.ID
	ToSuite   Suite
	Running   bool // in this process; otherwise it was interrupted
}

func (e *ConversionError) Error() string {
	state := "was interrupted"
	if e.Running {
		state = "is running"
	}
	if e.ToSuite == None {
		return fmt.Sprintf("blockstore: a conversion (%s from key %v to suite none) %s", e.Operation, e.From, state)
	}
	return fmt.Sprintf("blockstore: a conversion (%s to key %v under %v) %s", e.Operation, e.To, e.ToSuite, state)
}

// Unwrap returns [ErrState].
func (e *ConversionError) Unwrap() error { return fault.State }

// Convert starts the conversion of all blocks to another key or suite, while
// the volume is used. A conversion to the target that the volume records as
// unfinished goes on where it was; another target is refused then with a
// [ConversionError], except the way back: see Conversion.Back.
func (s *Store) Convert(ctx context.Context, c Conversion) (*Converter, error) {
	return s.startConversion(ctx, func(l *label) (Conversion, error) { return s.resolveTarget(l, c) })
}

// ResumeConversion goes on with the conversion that the volume records,
// a weakening one too.
func (s *Store) ResumeConversion(ctx context.Context) (*Converter, error) {
	return s.startConversion(ctx, func(l *label) (Conversion, error) {
		if l.conv.op == opNone {
			return Conversion{}, fmt.Errorf("blockstore: no conversion is unfinished: %w", fault.State)
		}
		to := &l.slots[l.conv.to]
		return Conversion{Suite: to.suite, Key: to.key}, nil
	})
}

// resolveTarget fills in what the caller left out and checks it against the label.
func (s *Store) resolveTarget(l *label, c Conversion) (Conversion, error) {
	back := c.goesBack(l)
	setDefault(&c.Suite, l.write().suite)
	switch {
	case c.Suite == None:
		c.Key = dek.ID{}
		if !s.opts.AllowPlain {
			return c, ErrPlain
		}
	case c.Key.IsZero():
		if c.Key = l.write().key; c.Key.IsZero() {
			return c, fmt.Errorf("blockstore: no key to encrypt under: %w", fault.Usage)
		}
	}
	if l.conv.op != opNone {
		to := &l.slots[l.conv.to]
		if !back && (to.key != c.Key || to.suite != c.Suite) {
			return c, fault.Hint(s.conversionError(l, false), "finish it first, it continues to its recorded target; or turn it around (in Go Conversion.Back)")
		}
		return c, nil
	}
	if w := l.write(); w.key == c.Key && w.suite == c.Suite {
		return c, fmt.Errorf("blockstore: the volume is under that key and suite already: %w", fault.State)
	}
	return c, nil
}

func (s *Store) conversionError(l *label, running bool) *ConversionError {
	from, to := &l.slots[l.conv.from], &l.slots[l.conv.to]
	return &ConversionError{l.conv.op.String(), from.key, to.key, to.suite, running}
}

func (s *Store) startConversion(ctx context.Context, target func(*label) (Conversion, error)) (*Converter, error) {
	if err := s.enterWrite(); err != nil {
		return nil, err
	}
	defer s.gate.leave()
	s.convMu.Lock()
	defer s.convMu.Unlock()
	if s.conv != nil && s.conv.op == opNone {
		s.conv.Stop() // re-sealing an old epoch; the conversion does that too
	}
	if s.conv != nil && !s.conv.finished() {
		return nil, s.conversionError(s.label.Load(), true)
	}
	l := s.label.Load()
	c, err := target(l)
	if err == nil {
		err = errors.Join(c.Pace.check(), mayConvertTo(c.Suite))
	}
	if err != nil {
		return nil, err
	}
	switch {
	case l.conv.op == opNone:
		err = s.recordConversion(ctx, c)
	case c.goesBack(l):
		err = s.turnAround(ctx, c.Key)
	default:
		err = s.takeUp(l)
	}
	if err != nil {
		return nil, err
	}
	l = s.label.Load()
	to := l.conv.to
	v := s.newConverter(l.conv.op, to, c)
	v.stale = func(r *record) bool { return r.kind == recordData && r.slot != to }
	if c.Purge {
		s.journal.Wipe()
	}
	s.conv = v
	v.start()
	return v, nil
}

// recordConversion switches the journal away from the old key and then names
// both keys in the label, durable before any block changes.
func (s *Store) recordConversion(ctx context.Context, c Conversion) error {
	l := s.label.Load()
	from, op := l.writeSlot, opRekey
	switch {
	case c.Suite == None:
		op = opDecrypt
	case l.write().suite == None:
		op = opEncrypt
	}
	slot, err := s.targetSlot(c)
	if err != nil {
		return err
	}
	if op == opEncrypt {
		if err := s.plainJournal(ctx); err != nil {
			return err
		}
	}
	to := l.freeSlot()
	if to == noSlot {
		return fmt.Errorf("blockstore: all %d key slots are in use: %w", maxSlots, fault.State)
	}
	if err := s.ciphers.lease(to, &slot); err != nil {
		return err
	}
	if op != opDecrypt && l.journalKey == l.write().key && l.journalKey != c.Key {
		err = s.setJournalKey(ctx, c.Key)
	} else {
		err = s.switchJournal(ctx, l.journalKey)
	}
	if err == nil {
		err = s.changeLabel(func(next *label) error {
			next.slots[to] = slot
			next.conv = conversion{op, from, to}
			next.writeSlot, next.macSlot = to, to
			if op == opDecrypt {
				next.macSlot = from
			}
			s.sealsUsed = 0
			return nil
		})
	}
	if err != nil {
		s.ciphers.drop(to)
	}
	return err
}

// plainJournal makes sure that recovery needs no segment from before the volume
// became plain: behind one under a key it refuses plain ones, once the label is under a key.
func (s *Store) plainJournal(ctx context.Context) error {
	keyed := func(id dek.ID) bool { return !id.IsZero() }
	l := s.label.Load()
	if !l.journalKey.IsZero() || !slices.ContainsFunc(l.journalKeys, keyed) { // an encryption that did not come about left it under its key
		return nil
	}
	if err := s.switchJournal(ctx, l.journalKey); err != nil { // a decryption that could not end left the segment of its time
		return err
	}
	if err := s.settleAll(ctx, checkpointRequest{label: func(*label) {}}); err != nil {
		return err
	}
	if !slices.ContainsFunc(s.label.Load().journalKeys, keyed) {
		return nil
	}
	return fault.Hint(fmt.Errorf("blockstore: the journal still holds what a snapshot from before the decryption needs: %w", fault.State), "end it first")
}

func (s *Store) targetSlot(c Conversion) (slot keySlot, err error) {
	if c.Suite == None {
		return newSlot(None, nil, s.volume, s.opts.Tune.SealReserve), nil
	}
	err = withKey(s.keys, c.Key, func(key *dek.Key) error {
		if err := c.Suite.Valid(key.Bits()); err != nil {
			return err
		}
		slot = newSlot(c.Suite, key, s.volume, s.opts.Tune.SealReserve)
		return nil
	})
	return slot, err
}

// takeUp makes the recorded target the write slot again where an ordinary open had stepped back from a weakening one.
func (s *Store) takeUp(l *label) error {
	if l.writeSlot == l.conv.to {
		return nil
	}
	return s.changeLabel(func(next *label) error {
		next.writeSlot = next.conv.to
		s.sealsUsed = next.write().current().reserved
		return nil
	})
}

// stopConversion ends a running conversion where it is.
func (s *Store) stopConversion() {
	s.convMu.Lock()
	v := s.conv
	s.convMu.Unlock()
	if v != nil {
		v.Stop()
	}
}
