package crc32c

import (
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/internal/aes"
)

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{7}).Read(b)
	return b
}

// eachTier runs a test for every set of kernels this machine has.
func eachTier(t *testing.T, test func(t *testing.T)) {
	for _, tier := range aes.Available() {
		t.Run(tier.String(), func(t *testing.T) {
			defer aes.Force(tier)()
			test(t)
		})
	}
}

func TestKnown(t *testing.T) {
	eachTier(t, func(t *testing.T) {
		require.Equal(t, uint32(0xe3069283), Checksum([]byte("123456789")))
		// RFC 3720, appendix B.4, for 32 bytes; and the same on lengths that are folded.
		require.Equal(t, uint32(0x8a9136aa), Checksum(make([]byte, 32)))
		require.Equal(t, uint32(0), Checksum(nil))
		require.Equal(t, uint32(5), Update(5, nil))
		require.Equal(t, crc32.Checksum(make([]byte, 8192), table), Checksum(make([]byte, 8192)))
	})
}

// Every length, at every place in a line of the cache, from every kind of start.
func TestEqualsLibrary(t *testing.T) {
	data := random(5000)
	eachTier(t, func(t *testing.T) {
		for n := range 2200 {
			p := data[n%64 : n%64+n]
			for _, crc := range []uint32{0, 1, 0x80000000, 0xffffffff, 0xe3069283} {
				if want, got := crc32.Update(crc, table, p), Update(crc, p); want != got {
					t.Fatalf("%d bytes from %08x: %08x, want %08x", n, crc, got, want)
				}
			}
		}
	})
}

func TestPieces(t *testing.T) {
	data := random(1 << 20)
	want := crc32.Checksum(data, table)
	eachTier(t, func(t *testing.T) {
		require.Equal(t, want, Checksum(data))
		for _, at := range []int{1, 63, 256, 300, 4096, 70_001} {
			require.Equal(t, want, Update(Checksum(data[:at]), data[at:]))
		}
		require.Zero(t, testing.AllocsPerRun(10, func() { Checksum(data) }))
	})
}

// Every bit counts.
func TestFlips(t *testing.T) {
	data := random(640)
	eachTier(t, func(t *testing.T) {
		want := Checksum(data)
		for bit := range len(data) * 8 {
			data[bit/8] ^= 1 << (bit % 8)
			require.NotEqual(t, want, Checksum(data))
			data[bit/8] ^= 1 << (bit % 8)
		}
	})
}

func FuzzEqualsLibrary(f *testing.F) {
	f.Add(uint32(0), []byte{}, uint8(0))
	f.Add(uint32(1), random(300), uint8(3))
	f.Add(^uint32(0), random(1100), uint8(63))
	f.Fuzz(func(t *testing.T, crc uint32, p []byte, skip uint8) {
		p = p[min(int(skip), len(p)):]
		want := crc32.Update(crc, table, p)
		for _, tier := range aes.Available() {
			restore := aes.Force(tier)
			got := Update(crc, p)
			restore()
			if want != got {
				t.Fatalf("%v: %08x, want %08x", tier, got, want)
			}
		}
	})
}

func BenchmarkChecksum(b *testing.B) {
	for _, size := range []int{512, 8192, 65536} {
		data := random(size)
		for _, tier := range aes.Available() {
			b.Run(fmt.Sprintf("size=%d/impl=%v", size, tier), func(b *testing.B) {
				defer aes.Force(tier)()
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					Checksum(data)
				}
			})
		}
		b.Run(fmt.Sprintf("size=%d/impl=go", size), func(b *testing.B) {
			b.SetBytes(int64(size))
			for b.Loop() {
				crc32.Checksum(data, table)
			}
		})
	}
}
