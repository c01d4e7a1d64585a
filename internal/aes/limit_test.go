package aes

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLimit(t *testing.T) {
	for _, tier := range Available() {
		for _, bits := range []int{128, 192, 256} {
			n := Limit(tier, bits, 100_000)
			if tier == Portable {
				require.Zero(t, n)
				continue
			}
			require.InDelta(t, 100_000, n, 2000)
			require.Positive(t, Limit(tier, bits, 1))
			require.Zero(t, Limit(tier, bits, 0))
		}
		require.Zero(t, Limit(tier, 64, 1000))
	}
}

func BenchmarkLimit(b *testing.B) {
	for _, tier := range Available()[1:] {
		for _, bits := range []int{128, 192, 256} {
			b.Run(fmt.Sprintf("%v/%d", tier, bits), func(b *testing.B) {
				n := 0
				for b.Loop() {
					n = Limit(tier, bits, 1<<20)
				}
				b.SetBytes(int64(n))
			})
		}
	}
}
