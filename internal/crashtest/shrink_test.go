package crashtest

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestFewest: of 40 steps the three that a failure takes are left.
func TestFewest(t *testing.T) {
	all := make([]int, 40)
	for i := range all {
		all[i] = i
	}
	runs := 0
	kept := fewest(all, func(s []int) bool {
		runs++
		return slices.Contains(s, 3) && slices.Contains(s, 17) && slices.Contains(s, 39)
	})
	require.Equal(t, []int{3, 17, 39}, kept)
	require.Less(t, runs, 120)
}

// TestStepsAreIndependent: a program does the same in a step whether others were left out or not.
func TestStepsAreIndependent(t *testing.T) {
	for seed := uint64(100); ; seed++ { // one whose steps do not depend on what the volume holds
		var n counts
		far := time.Now().Add(time.Minute)
		all := runAgain(seed, replay{}, &n, far)
		require.NoError(t, all.err)
		none := runAgain(seed, replay{steps: []int{}}, &n, far)
		require.NoError(t, none.err)
		require.Zero(t, none.steps)
		require.Positive(t, all.steps)
		again := runAgain(seed, replay{steps: []int{0, 1}}, &n, far)
		require.NoError(t, again.err)
		require.Equal(t, 2, again.steps)
		require.Equal(t, all.trace[:1], again.trace[:1])
		return
	}
}
