package bench

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/cofferdb/coffer/internal/aes"
)

const (
	passes     = 3                      // over all items, so that a bad moment of the machine meets no item every time
	sampleTime = 150 * time.Microsecond // at least, of one sample
	slotMost   = 30 * time.Millisecond  // for one item in one pass
	limitBytes = 1 << 20                // of one sample of the limit
)

// A kernelRun is one call of Kernels.
type kernelRun struct {
	o      KernelOptions
	m      matrix
	begun  time.Time
	arena  *arena
	tiers  map[string]aes.Tier
	items  []item
	limits map[KernelLimit]float64 // GB/s, by tier and bits (GBs is zero in the key)
	extra  []KernelResult          // OpenSSL's
}

func newKernelRun(o KernelOptions, m matrix) *kernelRun {
	r := &kernelRun{o: o, m: m, begun: time.Now(), arena: newArena(), tiers: map[string]aes.Tier{}, limits: map[KernelLimit]float64{}}
	impls := []string{}
	for _, t := range aes.Available() {
		impls = append(impls, t.String())
		r.tiers[t.String()] = t
	}
	slices.Reverse(impls) // the best first
	r.items = m.items(append(impls, ImplGo))
	return r
}

func (r *kernelRun) progress(format string, args ...any) {
	if r.o.Progress != nil {
		r.o.Progress(fmt.Sprintf(format, args...))
	}
}

// measure makes the passes in what is left of the budget.
func (r *kernelRun) measure(ctx context.Context) error {
	for range 50 {
		r.measureLimits()
	}
	for pass := range passes {
		r.progress("pass %d of %d: %d measurements", pass+1, passes, len(r.items))
		left := r.m.budget - time.Since(r.begun)
		slot := min(slotMost, left/time.Duration(max(1, len(r.items)*(passes-pass))))
		for i := range r.items {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := r.measureItem(&r.items[i], slot); err != nil {
				return err
			}
		}
	}
	return nil
}

// task makes the task of an item.
func (r *kernelRun) task(it *item) (task, error) {
	if it.Impl == ImplGo {
		return library(r.arena, it)
	}
	return coffer(r.arena, it, r.tiers[it.Impl])
}

func (r *kernelRun) measureItem(it *item, slot time.Duration) error {
	end := time.Now().Add(slot)
	t, err := r.task(it)
	if err != nil {
		return err
	}
	if t.release != nil {
		defer t.release()
	}
	if t, ok := r.tiers[it.Impl]; ok {
		r.measureLimit(t, it.Bits)
	}
	calls := 1
	for first := true; first || time.Now().Before(end); {
		start := time.Now()
		for range calls {
			t.run()
		}
		took := time.Since(start)
		if took < sampleTime {
			calls *= 2 // a sample too short to be timed
			continue
		}
		first = false
		if each := took.Seconds() / float64(calls); it.best == 0 || each < it.best {
			it.best = each
		}
	}
	return nil
}

func (r *kernelRun) measureLimits() {
	for _, t := range r.tiers {
		for _, bits := range []int{128, 192, 256} {
			r.measureLimit(t, bits)
		}
	}
}

// measureLimit takes one sample of a limit and keeps the best.
func (r *kernelRun) measureLimit(t aes.Tier, bits int) {
	start := time.Now()
	n := aes.Limit(t, bits, limitBytes)
	took := time.Since(start)
	if n == 0 || took <= 0 {
		return // no registers, as in builds without assembler
	}
	key := KernelLimit{Impl: t.String(), Bits: bits}
	r.limits[key] = max(r.limits[key], float64(n)/float64(took.Nanoseconds()))
}

// limit is what an implementation's figure is a share of: its own registers', or the best tier's.
func (r *kernelRun) limit(impl string, bits int) float64 {
	if l := r.limits[KernelLimit{Impl: impl, Bits: bits}]; l > 0 {
		return l
	}
	return r.limits[KernelLimit{Impl: slices.Max(aes.Available()).String(), Bits: bits}] // 0 where there is no assembler
}

func (r *kernelRun) report() *KernelReport {
	rep := &KernelReport{Limits: []KernelLimit{}, Results: []KernelResult{}}
	available := aes.Available()
	slices.Reverse(available)
	for _, t := range available {
		for _, bits := range []int{128, 192, 256} {
			if l := r.limits[KernelLimit{Impl: t.String(), Bits: bits}]; l > 0 {
				rep.Limits = append(rep.Limits, KernelLimit{t.String(), bits, round(l)})
			}
		}
	}
	rep.LimitGBs = round(r.limit("", 256))
	for i := range r.items {
		it := &r.items[i]
		it.GBs = float64(it.bytes) / it.best / 1e9
		rep.Results = append(rep.Results, it.KernelResult)
	}
	rep.Results = append(rep.Results, r.extra...)
	for i := range rep.Results {
		res := &rep.Results[i]
		if l := r.limit(res.Impl, res.Bits); l > 0 {
			res.Share = round(res.GBs / l)
		}
		res.GBs = round(res.GBs)
	}
	return rep
}

// round keeps three digits after the point: more is noise.
func round(x float64) float64 { return float64(int64(x*1000+0.5)) / 1000 }
