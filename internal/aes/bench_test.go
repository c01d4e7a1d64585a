package aes

import (
	"fmt"
	"testing"
	"time"
)

// batch returns n jobs of size bytes each, in place or not.
func batch(n, size int, inPlace bool) []Job {
	jobs := make([]Job, n)
	for i := range jobs {
		jobs[i].Src = random(uint64(i), size)
		jobs[i].Dst = jobs[i].Src
		if !inPlace {
			jobs[i].Dst = make([]byte, size)
		}
		jobs[i].IV[0] = byte(i)
	}
	return jobs
}

// share times f, which encrypts n bytes, in turns with the limit, and reports the best of each: GB/s, and the share.
func share(b *testing.B, t Tier, bits, n int, f func()) {
	const least = 1 << 18 // bytes between two looks at the clock
	limit, best, ln := 0.0, 0.0, max(1, least/n)
	f()
	for b.Loop() {
		start := time.Now()
		done := Limit(t, bits, 1<<20)
		limit = max(limit, float64(done)/float64(time.Since(start)))
		start = time.Now()
		for range ln {
			f()
		}
		best = max(best, float64(n*ln)/float64(time.Since(start)))
	}
	b.ReportMetric(best, "GB/s")
	b.ReportMetric(0, "ns/op")
	if limit > 0 {
		b.ReportMetric(best/limit, "share")
	}
}

func benchModes(b *testing.B, f func(b *testing.B, t Tier, bits, size, n int)) {
	for _, t := range Available() {
		for _, bits := range []int{128, 192, 256} {
			for _, size := range []int{512, 8192, 65536} {
				for _, n := range []int{1, 64} {
					b.Run(fmt.Sprintf("%v/%d/%d/x%d", t, bits, size, n), func(b *testing.B) {
						defer Force(t)()
						f(b, t, bits, size, n)
					})
				}
			}
		}
	}
}

func BenchmarkModes(b *testing.B) {
	for _, m := range modes {
		b.Run(m.name, func(b *testing.B) {
			benchModes(b, func(b *testing.B, t Tier, bits, size, n int) {
				op, done := m.make(b, random(1, 64), bits/8)
				if op == nil {
					b.Skip("no such key size")
				}
				defer done()
				jobs := batch(n, size, false)
				share(b, t, bits, n*size, func() { op(jobs) })
			})
		})
	}
}
