package aes

import (
	"bytes"
	"crypto/cipher"
	"hash/crc32"
	"testing"

	"github.com/stretchr/testify/require"
)

// etm is what [XTSGMAC] and [CBCGMAC] share.
type etm interface {
	SealBatch(jobs []MACJob)
	OpenBatch(jobs []MACJob) (ok bool)
	Close()
}

var (
	_ etm = (*XTSGMAC)(nil)
	_ etm = (*CBCGMAC)(nil)
)

// An etmSuite is a mode with GMAC, and the same by other means.
type etmSuite struct {
	name    string
	make    func(t testing.TB, raw []byte, size int) etm // nil when the mode has no such key size
	encrypt func(raw []byte, size int, j *Job) []byte
}

var etms = []etmSuite{
	{"xts", func(t testing.TB, raw []byte, size int) etm {
		if size == 24 {
			return nil
		}
		x, err := NewXTSGMAC(raw[:size], raw[32:32+size], raw[64:64+size])
		require.NoError(t, err)
		return x
	}, modes[2].want},
	{"cbc", func(t testing.TB, raw []byte, size int) etm {
		c, err := NewCBCGMAC(raw[:size], raw[64:64+size])
		require.NoError(t, err)
		return c
	}, modes[0].want},
}

// An etmCase is a suite under one key.
type etmCase struct {
	etm
	suite etmSuite
	raw   []byte
	size  int // of the key, in bytes
	mac   cipher.AEAD
}

func newETM(t testing.TB, suite etmSuite, raw []byte, size int) *etmCase {
	e := suite.make(t, raw, size)
	if e == nil {
		return nil
	}
	mac, err := cipher.NewGCM(block(raw[64 : 64+size]))
	require.NoError(t, err)
	return &etmCase{e, suite, raw, size, mac}
}

// want returns ciphertext and tag of a job.
func (c *etmCase) want(j *MACJob) (ciphertext, tag []byte) {
	ciphertext = c.suite.encrypt(c.raw, c.size, &Job{Src: j.Src, IV: j.IV})
	return ciphertext, c.mac.Seal(nil, j.Nonce[:], nil, append(bytes.Clone(j.AD), ciphertext...))
}

// forETM runs f for each suite, tier and key size.
func forETM(t *testing.T, f func(t *testing.T, c *etmCase)) {
	for _, suite := range etms {
		t.Run(suite.name, func(t *testing.T) {
			tiers(t, func(t *testing.T, _ Tier) {
				for _, size := range keySizes {
					if c := newETM(t, suite, random(uint64(size), 96), size); c != nil {
						f(t, c)
						c.Close()
					}
				}
			})
		})
	}
}

// sealedETM seals messages of these shapes and checks everything, also that nothing else changed.
func sealedETM(t *testing.T, c *etmCase, shapes []shape) []MACJob {
	t.Helper()
	jobs, memory, want, tags := make([]MACJob, len(shapes)), make([][2][]byte, len(shapes)), make([][2][]byte, len(shapes)), make([][]byte, len(shapes))
	for i, s := range shapes {
		j := &jobs[i]
		memory[i][0], j.Src = fenced(uint64(i*1000+s.n), s.n, s.align)
		memory[i][1], j.Dst = fenced(uint64(i*1000+s.n+1), s.n, s.align/2)
		at := 64 + s.align/2
		if s.inPlace {
			memory[i][1], j.Dst, at = memory[i][0], j.Src, 64+s.align
		}
		_, j.AD = fenced(uint64(i*1000+s.ad+2), s.ad, s.align/3)
		copy(j.Nonce[:], random(uint64(i), NonceSize))
		copy(j.IV[:], random(uint64(i+7), BlockSize))
		want[i] = [2][]byte{bytes.Clone(memory[i][0]), bytes.Clone(memory[i][1])}
		ciphertext, tag := c.want(j)
		copy(want[i][1][at:], ciphertext)
		tags[i] = tag
		if s.inPlace {
			want[i][0] = want[i][1]
		}
	}
	c.SealBatch(jobs)
	for i := range jobs {
		require.True(t, bytes.Equal(want[i][1], memory[i][1]), "ciphertext of %d of %v", i, shapes)
		require.True(t, bytes.Equal(want[i][0], memory[i][0]), "source of %d of %v", i, shapes)
		require.Equal(t, tags[i], jobs[i].Tag[:], "tag of %d of %v", i, shapes)
		if c.suite.name == "xts" {
			require.Equal(t, crc32.Checksum(jobs[i].Dst, castagnoli), jobs[i].CRC, "sum of %d of %v", i, shapes)
		}
	}
	return jobs
}

// roundTripETM seals and opens messages of these shapes, checking everything.
func roundTripETM(t *testing.T, c *etmCase, shapes ...shape) {
	t.Helper()
	jobs, around := sealedETM(t, c, shapes), make([][]byte, len(shapes))
	for i, s := range shapes {
		j := &jobs[i]
		j.Src = j.Dst
		if !s.inPlace {
			around[i], j.Dst = fenced(7, s.n, s.align)
		}
	}
	require.True(t, c.OpenBatch(jobs))
	for i, s := range shapes {
		_, plain := fenced(uint64(i*1000+s.n), s.n, s.align)
		require.True(t, jobs[i].OK)
		require.True(t, bytes.Equal(plain, jobs[i].Dst), "plaintext of %d of %v", i, shapes)
		if around[i] != nil {
			want, inside := fenced(7, s.n, s.align)
			copy(inside, plain)
			require.True(t, bytes.Equal(want, around[i]), "around %d of %v", i, shapes)
		}
	}
}

func TestETMLengths(t *testing.T) {
	forETM(t, func(t *testing.T, c *etmCase) {
		most := 8192
		if testing.Short() {
			most = 2048
		}
		for n := 0; n <= most; n += 16 {
			roundTripETM(t, c, shape{n: n, ad: 64, inPlace: n%32 == 0})
		}
		for n := 0; n <= 1200; n += 16 {
			for _, inPlace := range []bool{false, true} {
				roundTripETM(t, c, shape{n: n, ad: 16 * (n % 13), inPlace: inPlace}, shape{n: n, ad: n/16 + 1, inPlace: inPlace})
			}
		}
		for _, n := range []int{16384, 65536, 1<<20 - 16, 1 << 20} {
			roundTripETM(t, c, shape{n: n, ad: 64, inPlace: true}, shape{n: n, ad: 3})
		}
	})
}

func TestETMAdditionalData(t *testing.T) {
	forETM(t, func(t *testing.T, c *etmCase) {
		for ad := range 300 {
			for _, n := range []int{0, 16, 512, 1040} {
				roundTripETM(t, c, shape{n: n, ad: ad})
			}
		}
		roundTripETM(t, c, shape{n: 4096, ad: 100_001})
	})
}

func TestETMBatches(t *testing.T) {
	forETM(t, func(t *testing.T, c *etmCase) {
		roundTripETM(t, c)
		for n := 1; n <= 40; n++ {
			even, ragged := make([]shape, n), make([]shape, n)
			for i := range n {
				even[i] = shape{n: 1024, ad: 64, inPlace: n%2 == 0}
				ragged[i] = shape{n: 16 * ((i*37 + n*5) % 101), ad: (i * n) % 130, align: i % 64, inPlace: i%2 == 0}
			}
			roundTripETM(t, c, even...)
			roundTripETM(t, c, ragged...)
		}
		roundTripETM(t, c, make([]shape, 40)...) // all empty
	})
}

func TestETMAlignments(t *testing.T) {
	forETM(t, func(t *testing.T, c *etmCase) {
		for align := range 64 {
			for _, inPlace := range []bool{false, true} {
				roundTripETM(t, c, shape{n: 1536, ad: 64, align: align, inPlace: inPlace},
					shape{n: 992, ad: 13, align: align, inPlace: inPlace})
			}
		}
	})
}

// TestETMRefuses: whatever is altered, that message is refused, summed and zeroed, and no other.
func TestETMRefuses(t *testing.T) {
	forETM(t, func(t *testing.T, c *etmCase) {
		for _, n := range []int{16, 512, 1040, 8192} {
			for bit := 0; bit < 8*TagSize; bit += 5 {
				forgeETM(t, c, n, func(j *MACJob) { j.Tag[bit/8] ^= 1 << (bit % 8) })
			}
			for _, at := range []int{0, n / 2, n - 1} {
				forgeETM(t, c, n, func(j *MACJob) { j.Src[at] ^= 0x80 })
			}
			forgeETM(t, c, n, func(j *MACJob) { j.AD[63] ^= 1 })
			forgeETM(t, c, n, func(j *MACJob) { j.AD = j.AD[:63] })
			forgeETM(t, c, n, func(j *MACJob) { j.Nonce[11] ^= 1 })
			forgeETM(t, c, n, func(j *MACJob) { j.Src, j.Dst = j.Src[:n-16], j.Dst[:n-16] })
		}
	})
}

// forgeETM seals three messages of n bytes, alters the second and opens all.
func forgeETM(t *testing.T, c *etmCase, n int, alter func(*MACJob)) {
	t.Helper()
	for _, inPlace := range []bool{false, true} {
		s := shape{n: n, ad: 64, inPlace: inPlace}
		jobs := sealedETM(t, c, []shape{s, s, s})
		for i := range jobs {
			jobs[i].Src = jobs[i].Dst
			if !inPlace {
				jobs[i].Dst = random(9, n)
			}
		}
		alter(&jobs[1])
		sum := crc32.Checksum(jobs[1].Src, castagnoli)
		require.False(t, c.OpenBatch(jobs))
		for i := range jobs {
			require.Equal(t, i != 1, jobs[i].OK)
			_, plain := fenced(uint64(i*1000+n), n, 0)
			if i == 1 {
				require.Equal(t, sum, jobs[i].CRC)
				plain = make([]byte, len(jobs[i].Dst))
			}
			require.True(t, bytes.Equal(plain, jobs[i].Dst), "message %d", i)
		}
	}
}

func TestETMMisuse(t *testing.T) {
	for _, sizes := range [][3]int{{16, 16, 32}, {32, 32, 16}, {24, 24, 24}, {16, 32, 16}} {
		_, err := NewXTSGMAC(random(1, sizes[0]), random(2, sizes[1]), random(3, sizes[2]))
		require.ErrorIs(t, err, ErrKey, "%v", sizes)
	}
	_, err := NewXTSGMAC(random(1, 32), random(1, 32), random(3, 32))
	require.ErrorIs(t, err, ErrEqualKeys)
	for _, sizes := range [][2]int{{16, 32}, {17, 17}, {0, 0}} {
		_, err := NewCBCGMAC(random(1, sizes[0]), random(3, sizes[1]))
		require.ErrorIs(t, err, ErrKey, "%v", sizes)
	}
	(*XTSGMAC)(nil).Close()
	(*CBCGMAC)(nil).Close()
	forETM(t, func(t *testing.T, c *etmCase) {
		memory := make([]byte, 256)
		for name, job := range map[string]MACJob{
			"short output":    {Dst: make([]byte, 16), Src: make([]byte, 32)},
			"long output":     {Dst: make([]byte, 32), Src: make([]byte, 16)},
			"no output":       {Src: make([]byte, 16)},
			"output after":    {Dst: memory[16:48], Src: memory[:32]},
			"output before":   {Dst: memory[:32], Src: memory[16:48]},
			"not whole units": {Dst: memory[:17], Src: memory[:17]},
		} {
			good := MACJob{Dst: memory[128:160], Src: memory[128:160]}
			require.Panics(t, func() { c.SealBatch([]MACJob{good, job}) }, name)
			require.Panics(t, func() { c.OpenBatch([]MACJob{good, job}) }, name)
			require.Equal(t, make([]byte, 256), memory, name)
		}
		c.Close()
		c.Close()
		require.Panics(t, func() { c.SealBatch([]MACJob{{Dst: memory, Src: memory}}) })
		require.Panics(t, func() { c.OpenBatch([]MACJob{{Dst: memory, Src: memory}}) })
	})
}

func TestETMNoAllocation(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes sync.Pool drop items at random")
	}
	forETM(t, func(t *testing.T, c *etmCase) {
		if Best() == Portable {
			t.Skip("Go's modes are allocated")
		}
		for _, n := range []int{1, 7, 40} {
			jobs := make([]MACJob, n)
			for i, j := range batch(n, 1024, false) {
				jobs[i] = MACJob{Dst: j.Dst, Src: j.Src, AD: random(1, 64)}
			}
			require.Zero(t, testing.AllocsPerRun(20, func() { c.SealBatch(jobs) }), "sealing %d jobs", n)
			for i := range jobs {
				jobs[i].Src, jobs[i].Dst = jobs[i].Dst, jobs[i].Src
			}
			require.Zero(t, testing.AllocsPerRun(20, func() { c.OpenBatch(jobs) }), "opening %d jobs", n)
		}
	})
}

// TestMACRuns: calls of a kernel are bounded, cover a batch exactly, and are of one kind.
func TestMACRuns(t *testing.T) {
	of := func(sizes ...int) (jobs []MACJob) {
		for _, n := range sizes {
			jobs = append(jobs, MACJob{Src: make([]byte, n)})
		}
		return jobs
	}
	run := func(n int, whole bool, jobs []MACJob) {
		t.Helper()
		gotN, gotWhole := macRun(jobs)
		require.Equal(t, n, gotN)
		require.Equal(t, whole, gotWhole)
	}
	run(1, true, of(1<<20, 1))
	run(2, true, of(runBytes-1, 16, 16))
	run(runJobs, true, make([]MACJob, runJobs+1))
	jobs := of(16, 16, 16, 16)
	jobs[2].AD = make([]byte, 5)
	run(2, true, jobs)
	run(1, false, jobs[2:])
}
