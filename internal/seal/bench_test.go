package seal

import (
	"fmt"
	"testing"
	"time"

	"github.com/cofferdb/coffer/internal/aes"
)

// benchBatch is how many blocks a benchmark hands over at once.
const benchBatch = 64

var benchSizes = []int{4096, 8192, 65536}

// BenchmarkCopy is the baseline of the others: a plain copy of the batch.
func BenchmarkCopy(b *testing.B) {
	for _, size := range benchSizes {
		b.Run(fmt.Sprintf("size=%d", size), func(b *testing.B) {
			batch, _ := plainBatch(benchBatch, size, false)
			measure(b, size, func() error {
				for i := range batch {
					copy(batch[i].Dst, batch[i].Src)
				}
				return nil
			})
		})
	}
}

// BenchmarkSeal seals batches; suite none is among the suites.
func BenchmarkSeal(b *testing.B) {
	benchEach(b, func(b *testing.B, c Cipher, size int) {
		batch, _ := plainBatch(benchBatch, size, false)
		measure(b, size, func() error { return c.Seal(batch) })
	})
}

// BenchmarkOpen opens batches.
func BenchmarkOpen(b *testing.B) {
	benchEach(b, func(b *testing.B, c Cipher, size int) {
		batch, _ := plainBatch(benchBatch, size, false)
		if err := c.Seal(batch); err != nil {
			b.Fatal(err)
		}
		turn(batch, false)
		measure(b, size, func() error { return c.Open(batch) })
	})
}

func benchEach(b *testing.B, run func(b *testing.B, c Cipher, size int)) {
	for _, v := range variants() {
		for _, size := range benchSizes {
			b.Run(fmt.Sprintf("suite=%v/bits=%d/size=%d", v.suite, v.bits, size), func(b *testing.B) {
				run(b, newCipher(b, v, testScope(v)), size)
			})
		}
	}
}

func measure(b *testing.B, size int, do func() error) {
	b.SetBytes(int64(benchBatch * size))
	b.ReportAllocs()
	for b.Loop() {
		if err := do(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkFrame seals one frame of one image; bits=0 is a plain frame.
func BenchmarkFrame(b *testing.B) {
	for _, bits := range frameBits {
		b.Run(fmt.Sprintf("bits=%d/size=8192", bits), func(b *testing.B) {
			c := newTestFrame(b, bits)
			plain, ad, dst := random(1, 8192), random(2, 64), make([]byte, 0, 8192)
			b.SetBytes(8192)
			b.ReportAllocs()
			for b.Loop() {
				if _, _, _, err := c.Seal(dst, plain, ad); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkNew derives and expands the subkeys of a cipher.
func BenchmarkNew(b *testing.B) {
	for _, v := range variants() {
		b.Run(fmt.Sprintf("suite=%v/bits=%d", v.suite, v.bits), func(b *testing.B) {
			sc := testScope(v)
			key := testKey(b, sc.Key, 1, v.bits)
			b.ReportAllocs()
			for b.Loop() {
				c, err := New(v.suite, key, sc)
				if err != nil {
					b.Fatal(err)
				}
				c.Close()
			}
		})
	}
}

// BenchmarkShareOfKernel measures sealing and opening, with nonces, tags and
// checksums, against the bare kernels of the suite on buffers of the same size, in
// turns; the best of each counts. For aes-cbc and aes-xts kernel=cipher is the mode
// alone, kernel=both the mode and then GMAC.
func BenchmarkShareOfKernel(b *testing.B) {
	for _, v := range []variant{{SuiteGCM, 256}, {SuiteXTS, 256}, {SuiteCBC, 256}} {
		for _, n := range []int{1, benchBatch} {
			for _, open := range []bool{false, true} {
				for _, mac := range []bool{false, true} {
					if mac && v.suite == SuiteGCM {
						continue
					}
					name := map[bool]string{true: "both", false: "cipher"}[mac]
					b.Run(fmt.Sprintf("suite=%v/bits=%d/size=8192/batch=%d/open=%v/kernel=%s", v.suite, v.bits, n, open, name), func(b *testing.B) {
						shareOfKernel(b, v, n, open, mac)
					})
				}
			}
		}
	}
}

func shareOfKernel(b *testing.B, v variant, n int, open, mac bool) {
	c := newCipher(b, v, testScope(v))
	batch, _ := plainBatch(n, 8192, false)
	kernel := bareKernel(b, v, n, open)
	if mac {
		cipher, gmac := kernel, bareMAC(b, v, n)
		kernel = func() { cipher(); gmac() }
	}
	if err := c.Seal(batch); err != nil {
		b.Fatal(err)
	}
	do := c.Seal
	if open {
		for i := range batch {
			copy(batch[i].Src, batch[i].Dst)
		}
		do = c.Open
	}
	best := [2]time.Duration{time.Hour, time.Hour}
	calls := max(1, benchBatch/4/n)
	for b.Loop() {
		for i, f := range []func(){kernel, func() {
			if err := do(batch); err != nil {
				b.Fatal(err)
			}
		}} {
			start := time.Now()
			for range calls {
				f()
			}
			best[i] = min(best[i], time.Since(start))
		}
	}
	bytes := float64(n * 8192 * calls)
	b.ReportMetric(bytes/float64(best[1].Nanoseconds()), "GB/s")
	b.ReportMetric(bytes/float64(best[0].Nanoseconds()), "kernel-GB/s")
	b.ReportMetric(float64(best[0])/float64(best[1]), "share")
	b.ReportMetric(0, "ns/op")
}

// bareMAC returns GMAC over n blocks.
func bareMAC(b *testing.B, v variant, n int) func() {
	b.Helper()
	m, err := aes.NewGMAC(random(5, v.bits/8))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(m.Close)
	jobs := make([]aes.GMACJob, n)
	for i := range jobs {
		jobs[i] = aes.GMACJob{AD: random(4, adSize), Data: random(byte(i), 8192), Nonce: [12]byte{byte(i)}}
	}
	return func() { m.SumBatch(jobs) }
}

// bareKernel returns the kernel over n blocks; what it opens it has sealed itself.
func bareKernel(b *testing.B, v variant, n int, open bool) func() {
	b.Helper()
	must := func(err error) {
		if err != nil {
			b.Fatal(err)
		}
	}
	key := random(3, 64)
	jobs, gcms := make([]aes.Job, n), make([]aes.GCMJob, n)
	for i := range n {
		src, dst := random(byte(i), 8192), make([]byte, 8192)
		jobs[i] = aes.Job{Dst: dst, Src: src, IV: [16]byte{byte(i)}}
		gcms[i] = aes.GCMJob{Dst: dst, Src: src, AD: random(4, adSize), Nonce: [12]byte{byte(i)}}
	}
	switch v.suite {
	case SuiteGCM:
		g, err := aes.NewGCM(key[:v.bits/8])
		must(err)
		b.Cleanup(g.Close)
		if !open {
			return func() { g.SealBatch(gcms) }
		}
		g.SealBatch(gcms)
		for i := range gcms {
			gcms[i].Src, gcms[i].Dst = gcms[i].Dst, gcms[i].Src
		}
		return func() { g.OpenBatch(gcms) }
	case SuiteXTS:
		x, err := aes.NewXTS(key[:v.bits/8], key[32:32+v.bits/8])
		must(err)
		b.Cleanup(x.Close)
		if open {
			return func() { x.DecryptBatch(jobs) }
		}
		return func() { x.EncryptBatch(jobs) }
	}
	x, err := aes.NewCBC(key[:v.bits/8])
	must(err)
	b.Cleanup(x.Close)
	if open {
		return func() { x.DecryptBatch(jobs) }
	}
	return func() { x.EncryptBatch(jobs) }
}
