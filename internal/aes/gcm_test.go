package aes

import (
	"bytes"
	"crypto/cipher"
	"hash/crc32"
	"testing"

	"github.com/stretchr/testify/require"
)

// forGCM runs f for each tier and key size, beside Go's library.
func forGCM(t *testing.T, f func(t *testing.T, g *GCM, want cipher.AEAD)) {
	tiers(t, func(t *testing.T, _ Tier) {
		for _, size := range keySizes {
			g, want := newGCMs(t, random(uint64(size), size))
			f(t, g, want)
			g.Close()
		}
	})
}

// newGCMs returns ours, for the tier that is Best, and Go's.
func newGCMs(t testing.TB, raw []byte) (*GCM, cipher.AEAD) {
	g, err := NewGCM(raw)
	require.NoError(t, err)
	want, err := cipher.NewGCM(block(raw))
	require.NoError(t, err)
	return g, want
}

// A shape is what one message of a batch is like.
type shape struct {
	n, ad   int // bytes
	align   int
	inPlace bool
}

// fenced returns n bytes at align in memory with a fence of 64 bytes on both sides.
func fenced(seed uint64, n, align int) (memory, data []byte) {
	memory = random(seed, n+align+128)
	return memory, memory[64+align : 64+align+n : 64+align+n]
}

// A gcmCheck is one message with what is wanted of it.
type gcmCheck struct {
	plain, ad    []byte
	src, dst     []byte // memory, with fences
	wantSrc      []byte
	wantDst, tag []byte
}

// sealed seals messages of these shapes, wants what Go's library gives and nothing else changed, and returns the jobs.
func sealed(t *testing.T, g *GCM, want cipher.AEAD, shapes []shape) []GCMJob {
	t.Helper()
	jobs, checks := make([]GCMJob, len(shapes)), make([]gcmCheck, len(shapes))
	for i, s := range shapes {
		j, c := &jobs[i], &checks[i]
		c.src, j.Src = fenced(uint64(i*1000+s.n), s.n, s.align)
		c.dst, j.Dst = fenced(uint64(i*1000+s.n+1), s.n, s.align/2)
		if s.inPlace {
			c.dst, j.Dst = c.src, j.Src
		}
		_, j.AD = fenced(uint64(i*1000+s.ad+2), s.ad, s.align/3)
		copy(j.Nonce[:], random(uint64(i), NonceSize))
		c.plain, c.ad = bytes.Clone(j.Src), bytes.Clone(j.AD)
		out := want.Seal(nil, j.Nonce[:], c.plain, c.ad)
		c.tag = out[s.n:]
		c.wantSrc, c.wantDst = bytes.Clone(c.src), bytes.Clone(c.dst)
		at := 64 + s.align/2
		if s.inPlace {
			at = 64 + s.align
			c.wantSrc = nil
		}
		copy(c.wantDst[at:], out[:s.n])
	}
	sums := len(shapes)%2 == 0 || shapes[0].n%64 < 32 // by turns
	if sums {
		g.SealSumBatch(jobs)
	} else {
		g.SealBatch(jobs)
	}
	for i := range jobs {
		c := &checks[i]
		require.True(t, bytes.Equal(c.wantDst, c.dst), "ciphertext of %d of %v", i, shapes)
		require.Equal(t, c.tag, jobs[i].Tag[:], "tag of %d of %v", i, shapes)
		if sums {
			require.Equal(t, crc32.Checksum(jobs[i].Dst, castagnoli), jobs[i].CRC, "sum of %d of %v", i, shapes)
		} else {
			require.Zero(t, jobs[i].CRC)
		}
		require.True(t, bytes.Equal(c.ad, jobs[i].AD))
		require.True(t, c.wantSrc == nil || bytes.Equal(c.wantSrc, c.src), "the source changed")
	}
	return jobs
}

// roundTrip seals and opens messages of these shapes, checking everything.
func roundTrip(t *testing.T, g *GCM, want cipher.AEAD, shapes ...shape) {
	t.Helper()
	jobs := sealed(t, g, want, shapes)
	memory := make([][]byte, len(jobs))
	for i := range jobs {
		j, s := &jobs[i], shapes[i]
		j.Src = j.Dst
		if s.inPlace {
			memory[i] = nil
		} else {
			memory[i], j.Dst = fenced(7, s.n, s.align)
		}
		j.OK = false
	}
	require.True(t, g.OpenBatch(jobs))
	for i := range jobs {
		j, s := &jobs[i], shapes[i]
		_, plain := fenced(uint64(i*1000+s.n), s.n, s.align)
		require.True(t, j.OK)
		require.True(t, bytes.Equal(plain, j.Dst), "plaintext of %d of %v", i, shapes)
		if memory[i] != nil {
			around, inside := fenced(7, s.n, s.align)
			copy(inside, plain)
			require.True(t, bytes.Equal(around, memory[i]), "around %d of %v", i, shapes)
		}
	}
}

func TestGCMLengths(t *testing.T) {
	forGCM(t, func(t *testing.T, g *GCM, want cipher.AEAD) {
		for n := 0; n <= 8192; n += 16 {
			roundTrip(t, g, want, shape{n: n, ad: 64, inPlace: n%32 == 0})
		}
		for n := range 1200 { // not whole blocks, too
			roundTrip(t, g, want, shape{n: n, ad: n % 70, inPlace: n%3 == 0})
		}
		for _, n := range []int{65536, 1<<20 - 1, 1 << 20, 1<<20 + 512} {
			roundTrip(t, g, want, shape{n: n, ad: 64, inPlace: true}, shape{n: n, ad: 3})
		}
	})
}

func TestGCMAdditionalData(t *testing.T) {
	forGCM(t, func(t *testing.T, g *GCM, want cipher.AEAD) {
		for ad := range 300 {
			for _, n := range []int{0, 16, 512, 1040} {
				roundTrip(t, g, want, shape{n: n, ad: ad})
			}
		}
		roundTrip(t, g, want, shape{n: 4096, ad: 100_001})
	})
}

func TestGCMBatches(t *testing.T) {
	forGCM(t, func(t *testing.T, g *GCM, want cipher.AEAD) {
		roundTrip(t, g, want)
		for n := 1; n <= 40; n++ {
			even, ragged := make([]shape, n), make([]shape, n)
			for i := range n {
				even[i] = shape{n: 1024, ad: 64, inPlace: n%2 == 0}
				ragged[i] = shape{n: 16 * ((i*37 + n*5) % 101), ad: (i * n) % 130, align: i % 64, inPlace: i%2 == 0}
			}
			roundTrip(t, g, want, even...)
			roundTrip(t, g, want, ragged...)
		}
		roundTrip(t, g, want, make([]shape, 40)...) // all empty
	})
}

func TestGCMAlignments(t *testing.T) {
	forGCM(t, func(t *testing.T, g *GCM, want cipher.AEAD) {
		for align := range 64 {
			for _, inPlace := range []bool{false, true} {
				roundTrip(t, g, want, shape{n: 1536, ad: 64, align: align, inPlace: inPlace},
					shape{n: 1000, ad: 13, align: align, inPlace: inPlace})
			}
		}
	})
}

// TestGCMRefuses: whatever is altered, that message is refused and zeroed, and no other.
func TestGCMRefuses(t *testing.T) {
	forGCM(t, func(t *testing.T, g *GCM, want cipher.AEAD) {
		for _, n := range []int{1, 16, 512, 1040, 8192} {
			for bit := 0; bit < 8*TagSize; bit += 5 {
				forge(t, g, want, n, func(j *GCMJob) { j.Tag[bit/8] ^= 1 << (bit % 8) })
			}
			for _, at := range []int{0, n / 2, n - 1} {
				forge(t, g, want, n, func(j *GCMJob) { j.Src[at] ^= 0x80 })
			}
			forge(t, g, want, n, func(j *GCMJob) { j.AD[63] ^= 1 })
			forge(t, g, want, n, func(j *GCMJob) { j.AD = j.AD[:63] })
			forge(t, g, want, n, func(j *GCMJob) { j.Nonce[11] ^= 1 })
			forge(t, g, want, n, func(j *GCMJob) { j.Src, j.Dst = j.Src[:n-1], j.Dst[:n-1] })
		}
	})
}

// forge seals three messages of n bytes, alters the second and opens all.
func forge(t *testing.T, g *GCM, want cipher.AEAD, n int, alter func(*GCMJob)) {
	t.Helper()
	for _, inPlace := range []bool{false, true} {
		s := shape{n: n, ad: 64, inPlace: inPlace}
		jobs := sealed(t, g, want, []shape{s, s, s})
		for i := range jobs {
			jobs[i].Src = jobs[i].Dst
			if !inPlace {
				jobs[i].Dst = random(9, n)
			}
		}
		alter(&jobs[1])
		sum := crc32.Checksum(jobs[1].Src, castagnoli)
		require.False(t, g.OpenBatch(jobs))
		for i := range jobs {
			require.Equal(t, i != 1, jobs[i].OK)
			_, plain := fenced(uint64(i*1000+n), n, 0)
			if i == 1 {
				plain = make([]byte, len(jobs[i].Dst))
				require.Equal(t, sum, jobs[i].CRC)
			}
			require.True(t, bytes.Equal(plain, jobs[i].Dst), "message %d", i)
		}
	}
}

func TestGCMMisuse(t *testing.T) {
	tiers(t, func(t *testing.T, _ Tier) {
		_, err := NewGCM(make([]byte, 20))
		require.ErrorIs(t, err, ErrKey)
		g, _ := newGCMs(t, make([]byte, 16))
		memory := make([]byte, 256)
		for name, job := range map[string]GCMJob{
			"short output":  {Dst: make([]byte, 16), Src: make([]byte, 32)},
			"long output":   {Dst: make([]byte, 32), Src: make([]byte, 16)},
			"no output":     {Src: make([]byte, 16)},
			"output after":  {Dst: memory[16:48], Src: memory[:32]},
			"output before": {Dst: memory[:32], Src: memory[16:48]},
		} {
			good := GCMJob{Dst: memory[128:160], Src: memory[128:160]}
			require.Panics(t, func() { g.SealBatch([]GCMJob{good, job}) }, name)
			require.Panics(t, func() { g.OpenBatch([]GCMJob{good, job}) }, name)
			require.Equal(t, make([]byte, 256), memory, name)
		}
		g.Close()
		g.Close()
		require.Panics(t, func() { g.SealBatch([]GCMJob{{Dst: memory, Src: memory}}) })
		require.Panics(t, func() { g.OpenBatch([]GCMJob{{Dst: memory, Src: memory}}) })
		(*GCM)(nil).Close()
	})
}

func TestGCMNoAllocation(t *testing.T) {
	forGCM(t, func(t *testing.T, g *GCM, _ cipher.AEAD) {
		if raceEnabled && Best() == Portable {
			t.Skip("pools lose items under the race detector")
		}
		for _, n := range []int{1, 7, 40} {
			jobs := gcmBatch(g, n, 512)
			require.Zero(t, testing.AllocsPerRun(20, func() { g.SealBatch(jobs) }), "sealing %d jobs", n)
			for i := range jobs {
				jobs[i].Src, jobs[i].Dst = jobs[i].Dst, jobs[i].Src
			}
			require.Zero(t, testing.AllocsPerRun(20, func() { g.OpenBatch(jobs) }), "opening %d jobs", n)
		}
	})
}

// TestGCMRuns: calls of a kernel are bounded, and cover a batch exactly.
func TestGCMRuns(t *testing.T) {
	of := func(sizes ...int) (jobs []GCMJob) {
		for _, n := range sizes {
			jobs = append(jobs, GCMJob{Src: make([]byte, n)})
		}
		return jobs
	}
	require.Equal(t, 1, gcmRun(of(1<<20, 1)))
	require.Equal(t, 2, gcmRun(of(runBytes-1, 16, 16)))
	require.Equal(t, runJobs, gcmRun(make([]GCMJob, runJobs+1)))
	require.Equal(t, 3, gcmRun(of(1, 2, 3)))
}
