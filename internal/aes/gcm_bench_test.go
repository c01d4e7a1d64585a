package aes

import "testing"

// gcmBatch returns n sealed jobs of size bytes, with additional data as internal/seal has it.
func gcmBatch(g *GCM, n, size int) []GCMJob {
	jobs := make([]GCMJob, n)
	for i, j := range batch(n, size, false) {
		jobs[i] = GCMJob{Dst: j.Dst, Src: j.Src, AD: random(uint64(i), 64)}
		jobs[i].Nonce[0] = byte(i)
	}
	g.SealBatch(jobs)
	return jobs
}

func BenchmarkGCMSeal(b *testing.B) {
	benchModes(b, func(b *testing.B, t Tier, bits, size, n int) {
		g, err := NewGCM(random(1, bits/8))
		if err != nil {
			b.Fatal(err)
		}
		defer g.Close()
		jobs := gcmBatch(g, n, size)
		share(b, t, bits, n*size, func() { g.SealBatch(jobs) })
	})
}

func BenchmarkGCMOpen(b *testing.B) {
	benchModes(b, func(b *testing.B, t Tier, bits, size, n int) {
		g, err := NewGCM(random(1, bits/8))
		if err != nil {
			b.Fatal(err)
		}
		defer g.Close()
		jobs := gcmBatch(g, n, size)
		for i := range jobs {
			jobs[i].Src, jobs[i].Dst = jobs[i].Dst, jobs[i].Src
		}
		share(b, t, bits, n*size, func() {
			if !g.OpenBatch(jobs) {
				b.Fatal("refused")
			}
		})
	})
}

func gmacBatch(n, size int) []GMACJob {
	jobs := make([]GMACJob, n)
	for i := range jobs {
		jobs[i] = GMACJob{Data: random(uint64(i), size), AD: random(uint64(i), 64)}
	}
	return jobs
}

// The share is of the limit of AES, for which GMAC does nothing: it is how the two compare.
func BenchmarkGMAC(b *testing.B) {
	benchModes(b, func(b *testing.B, t Tier, bits, size, n int) {
		m, err := NewGMAC(random(1, bits/8))
		if err != nil {
			b.Fatal(err)
		}
		defer m.Close()
		jobs := gmacBatch(n, size)
		share(b, t, bits, n*size, func() { m.SumBatch(jobs) })
	})
}
