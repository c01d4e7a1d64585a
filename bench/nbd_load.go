package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cofferdb/coffer/internal/nbdclient"
)

// nbdWorkload is what clients do.
type nbdWorkload struct {
	name  string
	bytes int
	depth int // requests at a time
	write bool
	seq   bool
	fua   uint16
	flush int // writes between two flushes; 0: one at the end
}

var nbdWorkloads = []nbdWorkload{
	{name: "nbd/read-seq-1m", bytes: 1 << 20, depth: 4, seq: true},
	{name: "nbd/read-rand-4k", bytes: 4096, depth: 16},
	{name: "nbd/write-seq-1m", bytes: 1 << 20, depth: 4, write: true, seq: true},
	{name: "nbd/write-rand-4k", bytes: 4096, depth: 16, write: true, flush: 256},
	{name: "nbd/commit-4k", bytes: 4096, depth: 1, write: true, fua: nbdclient.FUA},
	{name: "nbd/commit-4k-16", bytes: 4096, depth: 16, write: true, fua: nbdclient.FUA},
}

// note says what an operation of the workload is.
func (w *nbdWorkload) note() string {
	what, where := "read", "at random places"
	if w.write {
		what = "written"
	}
	if w.seq {
		where = "in sequence"
	}
	s := fmt.Sprintf("%d bytes %s %s, %d requests at a time, on one connection", w.bytes, what, where, w.depth)
	switch {
	case w.fua != 0:
		s += ", each durable when it is answered (FUA)"
	case w.flush > 0:
		s += fmt.Sprintf(", a flush after every %d", w.flush)
	case w.write:
		s += ", a flush at the end"
	}
	return s
}

// measure measures each workload on both sides, in turn.
func (r *nbdRun) measure(ctx context.Context) (*NBDReport, error) {
	report := &NBDReport{Results: []NBDResult{}}
	slice := max(time.Second/time.Duration(r.o.Scale), time.Millisecond)
	for i := range nbdWorkloads {
		w := &nbdWorkloads[i]
		if r.o.Only != nil && !slices.Contains(r.o.Only, w.name) {
			continue
		}
		var s sides
		for round := range r.o.Rounds + 1 { // the first one warms up
			r.progress("%s: round %d of %d", w.name, round, r.o.Rounds)
			var took [2]float64
			for n := range r.sides {
				side := (n + round) % 2 // who is first changes
				var err error
				if took[side], err = w.run(ctx, r.sides[side].client, r.size, slice, uint64(round)); err != nil {
					return nil, fmt.Errorf("bench: %s: %w", w.name, err)
				}
			}
			if round > 0 {
				s.add(took[0], took[1])
			}
		}
		ratios := make([]float64, r.o.Rounds)
		for i := range ratios {
			ratios[i] = s.coffer[i] / s.plain[i]
		}
		report.Results = append(report.Results, NBDResult{Name: w.name, Coffer: median(s.coffer), Plain: median(s.plain), Unit: "s",
			Ratio: median(ratios), Low: slices.Min(ratios), High: slices.Max(ratios), Note: w.note()})
	}
	return report, nil
}

// run works for a slice of time, and at least one request for each goroutine, and returns seconds per request.
func (w *nbdWorkload) run(ctx context.Context, c *nbdclient.Client, size int64, slice time.Duration, seed uint64) (float64, error) {
	var next, done atomic.Int64
	var wg sync.WaitGroup
	errs := make(chan error, w.depth+1)
	start := time.Now()
	for n := range w.depth {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(seed, uint64(n)))
			buf := make([]byte, w.bytes)
			for first := true; first || time.Since(start) < slice && ctx.Err() == nil; first = false {
				place := rng.Int64N(size / int64(w.bytes))
				if w.seq {
					place = (next.Add(1) - 1) % (size / int64(w.bytes))
				}
				if err := w.once(c, buf, place*int64(w.bytes), &done); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	if w.write && w.fua == 0 {
		if err := c.Flush(); err != nil {
			errs <- err
		}
	}
	took := time.Since(start)
	select {
	case err := <-errs:
		return 0, err
	default:
		return took.Seconds() / float64(done.Load()), ctx.Err()
	}
}

// once does one request, and the flush where it is due.
func (w *nbdWorkload) once(c *nbdclient.Client, buf []byte, off int64, done *atomic.Int64) error {
	var err error
	if w.write {
		buf[0]++
		err = c.WriteAt(buf, off, w.fua)
	} else {
		_, err = c.ReadAt(buf, off)
	}
	if n := done.Add(1); err == nil && w.flush > 0 && n%int64(w.flush) == 0 {
		err = c.Flush()
	}
	return err
}

// fill writes every block.
func (s *nbdSide) fill(ctx context.Context, size int64) error {
	rng := rand.NewChaCha8([32]byte{1})
	buf := make([]byte, 1<<20)
	for off := int64(0); off < size; off += int64(len(buf)) {
		_, _ = rng.Read(buf) // never fails
		if err := s.client.WriteAt(buf[:min(int64(len(buf)), size-off)], off, 0); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return s.client.Flush()
}
