package blockstore

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cofferdb/coffer/internal/fault"
)

// Pace says how fast a conversion may go. The zero Pace adapts: at full speed
// while nobody uses the volume, and beside others so that their commits take
// little longer than without it.
type Pace struct {
	// BytesPerSecond bounds the blocks re-sealed, in bytes per second; 0 is no bound.
	BytesPerSecond int64
	// Share is the share of time that re-sealing may be at work, in (0, 1]; 0 adapts.
	Share float64
}

func (p Pace) check() error {
	if p.BytesPerSecond < 0 || p.Share < 0 || p.Share > 1 {
		return fmt.Errorf("blockstore: a pace of %d bytes per second, %g of the time: %w", p.BytesPerSecond, p.Share, fault.Usage)
	}
	return nil
}

const (
	// paceWindow is how often an adapting pace looks at what commits take.
	paceWindow = 100 * time.Millisecond
	// paceSlower is how much longer commits may take beside the workers than in
	// their breaks. What the checkpoints of re-sealed blocks cost comes on top,
	// and a break sees it too.
	paceSlower = 1.06
	paceStart  = 0.10 // share, when foreground work appears
	paceLeast  = 0.01
	paceMost   = 0.80 // with foreground work: breaks are what it is compared with
)

// speed follows how fast a conversion goes.
type speed struct {
	since          time.Time // begin of the stretch that is measured; zero in a pause
	sealed, passed uint64    // counts then
	sealRate       float64   // blocks per second, smoothed
	passRate       float64
}

// speedWindow is how long a stretch is, at least.
const speedWindow = 500 * time.Millisecond

func (r *speed) stop() { r.since = time.Time{} }

func (r *speed) look(now time.Time, sealed, passed uint64) {
	took := now.Sub(r.since)
	switch {
	case r.since.IsZero() || passed < r.passed: // after a pause; the next pass
	case took < speedWindow:
		return
	default:
		r.sealRate = smoothBy(0.3, r.sealRate, float64(sealed-r.sealed)/took.Seconds())
		r.passRate = smoothBy(0.3, r.passRate, float64(passed-r.passed)/took.Seconds())
	}
	r.since, r.sealed, r.passed = now, sealed, passed
}

func (r *speed) rates() (sealed, passed float64) { return r.sealRate, r.passRate }

// measure takes stock after a batch.
func (v *Converter) measure(now time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.paused == nil {
		v.speed.look(now, v.converted.Load(), v.passed.Load())
	}
}

// pacer holds the workers of a conversion to a pace.
type pacer struct {
	working atomic.Int32  // batches under way
	batches atomic.Uint64 // begun so far
	rest    sample        // commits that met no batch
	met     sample        // the others
	seen    atomic.Uint64 // foreground transactions of any kind

	mu     sync.Mutex // guards the rest
	pace   Pace
	work   int // workers
	share  float64
	next   time.Time // no batch begins before
	window time.Time // of the last look
	counts uint64    // seen, then
	base   float64   // seconds a commit takes in breaks, smoothed
	beside float64   // seconds a commit takes on the whole, smoothed
}

// sample is a sum of durations.
type sample struct{ n, nanos atomic.Uint64 }

func (s *sample) add(d time.Duration) {
	s.nanos.Add(uint64(d))
	s.n.Add(1)
}

func (s *sample) take() (n uint64, seconds float64) {
	n = s.n.Swap(0)
	return n, float64(s.nanos.Swap(0)) / 1e9
}

func newPacer(p Pace, workers int) *pacer {
	return &pacer{pace: p, work: workers, share: 1}
}

// set changes the pace of a conversion under way.
func (p *pacer) set(pace Pace) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pace, p.next = pace, time.Time{}
}

// begin waits until a batch may begin. Where it returns nil the caller calls end after the batch.
func (p *pacer) begin(ctx context.Context) (time.Time, error) {
	for {
		p.mu.Lock()
		wait := time.Until(p.next)
		p.mu.Unlock()
		if wait <= 0 {
			break
		}
		select {
		case <-ctx.Done():
			return time.Time{}, ctx.Err()
		case <-time.After(min(wait, paceWindow)): // the pace may change meanwhile
		}
	}
	if err := ctx.Err(); err != nil { // nothing begins, and nobody will call end
		return time.Time{}, err
	}
	p.batches.Add(1)
	p.working.Add(1)
	return time.Now(), nil
}

// end accounts for a batch of n bytes.
func (p *pacer) end(start time.Time, n int) {
	p.working.Add(-1)
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	p.adapt(now)
	share := p.pace.Share
	if share == 0 {
		share = p.share
	}
	if p.next.Before(start) {
		p.next = start
	}
	took := now.Sub(start).Seconds() / float64(p.work)
	pause := took/share - took
	if r := p.pace.BytesPerSecond; r > 0 {
		pause = max(pause, float64(n)/float64(r))
	}
	p.next = p.next.Add(time.Duration(pause * float64(time.Second)))
	if p.pace.BytesPerSecond == 0 && p.next.Before(now) {
		p.next = now.Add(time.Duration(pause * float64(time.Second)))
	}
}

// adapt moves the share by what commits took since the last look. p.mu is held.
func (p *pacer) adapt(now time.Time) {
	if now.Sub(p.window) < paceWindow {
		return
	}
	p.window = now
	seen := p.seen.Load()
	busy := seen != p.counts
	p.counts = seen
	if !busy {
		p.share, p.base, p.beside = 1, 0, 0
		return
	}
	if p.share == 1 {
		p.share = paceStart
	}
	rests, restTime := p.rest.take()
	mets, metTime := p.met.take()
	if rests > 0 {
		p.base = smooth(p.base, restTime/float64(rests))
	}
	if rests+mets > 0 {
		p.beside = smooth(p.beside, (restTime+metTime)/float64(rests+mets))
	}
	switch {
	case p.base == 0: // readers only, or no commit fits into a break
		p.share = paceStart
	case p.beside > paceSlower*p.base:
		p.share = max(paceLeast, p.share*0.85)
	default:
		p.share = min(paceMost, p.share*1.1)
	}
}

// smooth follows v over some ten windows.
func smooth(old, v float64) float64 { return smoothBy(0.1, old, v) }

func smoothBy(weight, old, v float64) float64 {
	if old == 0 {
		return v
	}
	return old + weight*(v-old)
}

// now returns the share in force.
func (p *pacer) now() float64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pace.Share > 0 {
		return p.pace.Share
	}
	return p.share
}

// note counts a foreground transaction whose time says nothing.
func (p *pacer) note() {
	if p != nil {
		p.seen.Add(1)
	}
}

// foreground notes a transaction of the volume's user; the function it returns
// is to be called when it is durable. Without a conversion it does nothing.
func (s *Store) foreground() func() {
	p := s.pacing.Load()
	if p == nil {
		return func() {}
	}
	p.seen.Add(1)
	start, batches, alone := time.Now(), p.batches.Load(), p.working.Load() == 0
	return func() {
		if alone && p.batches.Load() == batches {
			p.rest.add(time.Since(start))
		} else {
			p.met.add(time.Since(start))
		}
	}
}
