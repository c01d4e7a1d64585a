package blockstore

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

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
	State          string        `json:"state"` // running, paused, finishing, waiting for a backup, done, incomplete, stopped, failed
	Total          uint64        `json:"total"` // blocks
	Done           uint64        `json:"done"`
	Damaged        uint64        `json:"damaged"`
	BytesPerSecond float64       `json:"bytes_per_second"` // re-sealed lately, pauses left out
	Remaining      time.Duration `json:"remaining"`        // nanoseconds, an estimate by the speed of late; 0 where there is none
	Share          float64       `json:"share"`            // of the time that re-sealing is at work: see Pace
}

// Converter is a conversion under way. Its methods may be called from any goroutine.
type Converter struct {
	s       *Store
	op      operation
	to      uint8
	accept  bool
	stale   func(r *record) bool // whether a record is to be re-sealed
	current uint32               // of an epoch's re-seal: the epoch it seals under; later ones are not its business
	pace    *pacer
	cancel  context.CancelFunc
	ctx     context.Context
	over    chan struct{}
	work    int

	passed    atomic.Uint64 // blocks looked at in this pass
	total     atomic.Uint64
	converted atomic.Uint64
	skipped   atomic.Uint64
	lost      atomic.Uint64

	mu      sync.Mutex    // guards the fields below
	paused  chan struct{} // closed when it goes on; nil while running
	state   string
	damaged map[uint64]struct{}
	speed   speed
	result  Result
	err     error
}

func (s *Store) newConverter(op operation, to uint8, c Conversion) *Converter {
	v := &Converter{s: s, op: op, to: to, accept: c.AcceptLoss, over: make(chan struct{}),
		work: c.Workers, state: "running", damaged: make(map[uint64]struct{})}
	setDefault(&v.work, s.opts.Workers)
	v.work = min(v.work, resealBytes/int(s.lay.blockSize))
	if s.opts.Tune.Inline {
		c.Pace = Pace{Share: 1}
	}
	v.pace = newPacer(c.Pace, v.work)
	v.ctx, v.cancel = context.WithCancel(s.ctx)
	v.total.Store(s.lay.blocks(s.laterSize()))
	return v
}

// start begins the work; convMu is held.
func (v *Converter) start() {
	v.s.pacing.Store(v.pace)
	go v.run()
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
// Inside a transaction, which the conversion may wait for, it is refused.
func (v *Converter) Wait() (Result, error) {
	if v.s.insideTx() {
		return Result{}, ErrNested
	}
	<-v.over
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.result, v.err
}

// Stop ends the conversion where it is and waits until it has ended.
// Inside a transaction it does not wait.
func (v *Converter) Stop() {
	v.cancel()
	if !v.s.insideTx() {
		<-v.over
	}
}

// Pause halts the workers after the batches under way.
func (v *Converter) Pause() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.paused == nil && v.state == "running" {
		v.paused, v.state = make(chan struct{}), "paused"
		v.speed.stop()
	}
}

// SetPace changes the pace of a conversion under way.
func (v *Converter) SetPace(p Pace) error {
	if err := p.check(); err != nil {
		return err
	}
	v.pace.set(p)
	return nil
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
	p.Share = v.pace.now()
	blocks, passed := v.speed.rates()
	p.BytesPerSecond = blocks * float64(v.s.lay.blockSize)
	if passed > 0 && p.State == "running" {
		p.Remaining = time.Duration(float64(p.Total-p.Done) / passed * float64(time.Second))
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
	case err == nil && !complete:
		v.state = "incomplete"
	case err == nil:
		v.state = "done"
	case errors.Is(err, context.Canceled):
		v.state = "stopped"
	default:
		v.state = "failed"
	}
	v.mu.Unlock()
	v.cancel()
	v.s.pacing.CompareAndSwap(v.pace, nil)
	close(v.over)
}
