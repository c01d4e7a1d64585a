package blockstore

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

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

// Result of a conversion.
type Result struct {
	Converted uint64   `json:"converted"` // blocks re-sealed
	Skipped   uint64   `json:"skipped"`   // lost races: somebody wrote the block, under the new key, meanwhile
	Damaged   []uint64 `json:"damaged"`   // left as they are, under the old key, or recorded as lost
	Lost      uint64   `json:"lost"`      // of those, recorded as lost
	// Complete: nothing in the volume or in the journal that recovery needs is under the old key.
	Complete bool `json:"complete"`
	// KeptSegments are retained journal segments that still need the old key.
	KeptSegments int `json:"kept_segments"`
}

// Progress of a conversion.
type Progress struct {
	Operation      string        `json:"operation"`
	State          string        `json:"state"` // running, paused, finishing, done, stopped, failed
	Total          uint64        `json:"total"` // blocks
	Done           uint64        `json:"done"`
	Damaged        uint64        `json:"damaged"`
	BytesPerSecond float64       `json:"bytes_per_second"`
	Remaining      time.Duration `json:"remaining"` // an estimate; 0 where there is none yet
}

// Converter is a conversion under way. Its methods may be called from any goroutine.
type Converter struct {
	s      *Store
	op     operation
	to     uint8
	accept bool
	stale  func(r *record) bool // whether a record is to be re-sealed
	begun  time.Time
	cancel context.CancelFunc
	ctx    context.Context
	over   chan struct{}
	work   int

	passed    atomic.Uint64 // blocks looked at in this pass
	total     atomic.Uint64
	converted atomic.Uint64
	skipped   atomic.Uint64
	lost      atomic.Uint64

	mu      sync.Mutex    // guards the fields below
	paused  chan struct{} // closed when it goes on; nil while running
	state   string
	damaged map[uint64]struct{}
	result  Result
	err     error
}

// Convert starts the conversion of all blocks to another key or suite, while
// the volume is used. A conversion to the target that the volume records as
// unfinished goes on where it was; another target is refused then with a
// [ConversionError].
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
		if to.key != c.Key || to.suite != c.Suite {
			return c, fault.Hint(s.conversionError(l, false), "finish it first; it continues to its recorded target")
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
		err = mayConvertTo(c.Suite)
	}
	if err != nil {
		return nil, err
	}
	if l.conv.op == opNone {
		err = s.recordConversion(ctx, c)
	} else {
		err = s.takeUp(l)
	}
	if err != nil {
		return nil, err
	}
	l = s.label.Load()
	to := l.conv.to
	v := s.newConverter(l.conv.op, to, c)
	v.stale = func(r *record) bool { return r.kind == recordData && r.slot != to }
	s.conv = v
	go v.run()
	return v, nil
}

func (s *Store) newConverter(op operation, to uint8, c Conversion) *Converter {
	v := &Converter{s: s, op: op, to: to, accept: c.AcceptLoss, begun: time.Now(), over: make(chan struct{}),
		work: c.Workers, state: "running", damaged: make(map[uint64]struct{})}
	setDefault(&v.work, s.opts.Workers)
	v.ctx, v.cancel = context.WithCancel(s.ctx)
	v.total.Store(s.lay.blocks(s.laterSize()))
	return v
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
		return s.reserveSeals(next, 0)
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

func (v *Converter) finished() bool {
	select {
	case <-v.over:
		return true
	default:
		return false
	}
}

// Done is closed when the conversion has ended, in whatever way.
func (v *Converter) Done() <-chan struct{} { return v.over }

// Wait returns when the conversion has ended. A stopped one returns an error
// that wraps [context.Canceled]; the volume then works with both keys, and the
// conversion can be resumed.
func (v *Converter) Wait() (Result, error) {
	<-v.over
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.result, v.err
}

// Stop ends the conversion where it is and waits until it has ended.
func (v *Converter) Stop() {
	v.cancel()
	<-v.over
}

// Pause halts the workers after the batches under way.
func (v *Converter) Pause() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.paused == nil && v.state == "running" {
		v.paused, v.state = make(chan struct{}), "paused"
	}
}

// Resume goes on after Pause.
func (v *Converter) Resume() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.paused != nil {
		close(v.paused)
		v.paused, v.state = nil, "running"
	}
}

// Progress returns how far the conversion is.
func (v *Converter) Progress() Progress {
	v.mu.Lock()
	defer v.mu.Unlock()
	p := Progress{Operation: v.op.String(), State: v.state, Total: v.total.Load(), Damaged: uint64(len(v.damaged))}
	p.Done = min(v.passed.Load(), p.Total)
	if took := time.Since(v.begun).Seconds(); took > 0 {
		p.BytesPerSecond = float64(v.converted.Load()) * float64(v.s.lay.blockSize) / took
		if p.Done > 0 && p.State == "running" {
			p.Remaining = time.Duration(took * float64(p.Total-p.Done) / float64(p.Done) * float64(time.Second))
		}
	}
	return p
}

func (v *Converter) setState(state string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.state = state
}

// end records how it went and lets waiters go.
func (v *Converter) end(complete bool, kept int, err error) {
	v.mu.Lock()
	v.result = Result{Converted: v.converted.Load(), Skipped: v.skipped.Load(), Damaged: sortedSet(v.damaged), Lost: v.lost.Load(),
		Complete: complete, KeptSegments: kept}
	v.err = err
	switch {
	case err == nil:
		v.state = "done"
	case errors.Is(err, context.Canceled):
		v.state = "stopped"
	default:
		v.state = "failed"
	}
	v.mu.Unlock()
	v.cancel()
	close(v.over)
}
