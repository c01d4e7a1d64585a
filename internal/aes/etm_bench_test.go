package aes

import (
	"testing"
	"time"
)

// BenchmarkETM measures encryption with GMAC and sum against the mode alone, in turns:
// the best of each counts.
func BenchmarkETM(b *testing.B) {
	for s, suite := range etms {
		for op, open := range []bool{false, true} {
			b.Run(suite.name+map[bool]string{false: "-seal", true: "-open"}[open], func(b *testing.B) {
				benchModes(b, func(b *testing.B, t Tier, bits, size, n int) {
					c := newETM(b, suite, random(1, 96), bits/8)
					if c == nil {
						b.Skip("no such key size")
					}
					defer c.Close()
					alone, done := modes[[]int{2, 0}[s]+op].make(b, random(1, 64), bits/8)
					defer done()
					jobs, bare := make([]MACJob, n), batch(n, size, false)
					for i := range jobs {
						jobs[i] = MACJob{Dst: bare[i].Dst, Src: bare[i].Src, AD: random(uint64(i), 64), IV: bare[i].IV}
					}
					c.SealBatch(jobs)
					do := func() { c.SealBatch(jobs) }
					if open {
						for i := range jobs {
							copy(jobs[i].Src, jobs[i].Dst)
						}
						do = func() {
							if !c.OpenBatch(jobs) {
								b.Fatal("refused")
							}
						}
					}
					ofBare(b, n*size, func() { alone(bare) }, do)
				})
			})
		}
	}
}

// ofBare reports the best of do, which handles n bytes, and its share of the best of bare.
func ofBare(b *testing.B, n int, bare, do func()) {
	best, calls := [2]time.Duration{time.Hour, time.Hour}, max(1, 1<<18/n)
	for b.Loop() {
		for i, f := range []func(){bare, do} {
			start := time.Now()
			for range calls {
				f()
			}
			best[i] = min(best[i], time.Since(start))
		}
	}
	b.ReportMetric(float64(n*calls)/float64(best[1]), "GB/s")
	b.ReportMetric(float64(n*calls)/float64(best[0]), "bare-GB/s")
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(best[0])/float64(best[1]), "share")
}
