package aes

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestNoAllocation: kernels allocate nothing. Portable CBC and CTR make Go's modes anew.
func TestNoAllocation(t *testing.T) {
	forModes(t, func(t *testing.T, m mode, _ []byte, _ int, op func([]Job)) {
		if Best() == Portable {
			t.Skip("Go's modes are allocated")
		}
		for _, n := range []int{1, 7, 40} {
			jobs := batch(n, 512, true)
			require.Zero(t, testing.AllocsPerRun(20, func() { op(jobs) }), "%d jobs", n)
		}
	})
}
