package aes

import (
	"bytes"
	"crypto/cipher"
	"testing"

	"github.com/stretchr/testify/require"
)

// forGMAC runs f for each tier and key size, beside Go's library.
func forGMAC(t *testing.T, f func(t *testing.T, m *GMAC, want cipher.AEAD)) {
	tiers(t, func(t *testing.T, _ Tier) {
		for _, size := range keySizes {
			raw := random(uint64(size), size)
			m, err := NewGMAC(raw)
			require.NoError(t, err)
			want, err := cipher.NewGCM(block(raw))
			require.NoError(t, err)
			f(t, m, want)
			m.Close()
		}
	})
}

// checkGMAC sums and verifies messages of these shapes, and wants what Go's library gives.
func checkGMAC(t *testing.T, m *GMAC, want cipher.AEAD, shapes ...shape) []GMACJob {
	t.Helper()
	jobs := make([]GMACJob, len(shapes))
	for i, s := range shapes {
		j := &jobs[i]
		_, j.Data = fenced(uint64(i*1000+s.n), s.n, s.align)
		_, j.AD = fenced(uint64(i*1000+s.ad+2), s.ad, s.align/3)
		copy(j.Nonce[:], random(uint64(i), NonceSize))
	}
	m.SumBatch(jobs)
	for i := range jobs {
		j := &jobs[i]
		whole := append(bytes.Clone(j.AD), j.Data...)
		require.Equal(t, want.Seal(nil, j.Nonce[:], nil, whole), j.Tag[:], "%d of %v", i, shapes)
	}
	require.True(t, m.VerifyBatch(jobs))
	for i := range jobs {
		require.True(t, jobs[i].OK)
	}
	return jobs
}

func TestGMACLengths(t *testing.T) {
	forGMAC(t, func(t *testing.T, m *GMAC, want cipher.AEAD) {
		for n := 0; n <= 8192; n += 16 {
			checkGMAC(t, m, want, shape{n: n, ad: 64})
		}
		for n := range 1200 {
			checkGMAC(t, m, want, shape{n: n, ad: 16 * (n % 20)}, shape{n: n, ad: n % 70})
		}
		checkGMAC(t, m, want, shape{n: 1 << 20, ad: 64}, shape{n: 1<<20 + 5, ad: 70_000})
	})
}

func TestGMACBatches(t *testing.T) {
	forGMAC(t, func(t *testing.T, m *GMAC, want cipher.AEAD) {
		checkGMAC(t, m, want)
		for n := 1; n <= 40; n++ {
			ragged := make([]shape, n)
			for i := range n {
				ragged[i] = shape{n: 16 * ((i*37 + n*5) % 101), ad: (i * n) % 130, align: (i + n) % 64}
			}
			checkGMAC(t, m, want, ragged...)
		}
	})
}

func TestGMACRefuses(t *testing.T) {
	forGMAC(t, func(t *testing.T, m *GMAC, want cipher.AEAD) {
		for _, n := range []int{1, 16, 512, 8192} {
			for name, alter := range map[string]func(*GMACJob){
				"tag":        func(j *GMACJob) { j.Tag[15] ^= 1 },
				"data":       func(j *GMACJob) { j.Data[n-1] ^= 1 },
				"short data": func(j *GMACJob) { j.Data = j.Data[:n-1] },
				"ad":         func(j *GMACJob) { j.AD[0] ^= 1 },
				"nonce":      func(j *GMACJob) { j.Nonce[0] ^= 1 },
			} {
				s := shape{n: n, ad: 64}
				jobs := checkGMAC(t, m, want, s, s, s)
				alter(&jobs[1])
				require.False(t, m.VerifyBatch(jobs), name)
				for i := range jobs {
					require.Equal(t, i != 1, jobs[i].OK, name)
				}
			}
		}
	})
}

func TestGMACMisuse(t *testing.T) {
	tiers(t, func(t *testing.T, _ Tier) {
		_, err := NewGMAC(nil)
		require.ErrorIs(t, err, ErrKey)
		m, err := NewGMAC(make([]byte, 32))
		require.NoError(t, err)
		m.Close()
		m.Close()
		require.Panics(t, func() { m.SumBatch(make([]GMACJob, 1)) })
		(*GMAC)(nil).Close()
	})
}

func TestGMACNoAllocation(t *testing.T) {
	forGMAC(t, func(t *testing.T, m *GMAC, _ cipher.AEAD) {
		if raceEnabled && Best() == Portable {
			t.Skip("pools lose items under the race detector")
		}
		for _, n := range []int{1, 7, 40} {
			jobs := gmacBatch(n, 512)
			require.Zero(t, testing.AllocsPerRun(20, func() { m.SumBatch(jobs) }), "%d jobs", n)
			require.Zero(t, testing.AllocsPerRun(20, func() { m.VerifyBatch(jobs) }), "%d jobs", n)
		}
	})
}
