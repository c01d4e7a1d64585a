package crashtest

import (
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestCrash is the short form of the campaign that make crash runs.
func TestCrash(t *testing.T) {
	c := Campaign{Seed: uint64(time.Now().UnixNano()), Duration: 12 * time.Second, Log: os.Stderr}
	if testing.Short() {
		c.Duration = 4 * time.Second
	}
	if s := os.Getenv("COFFER_CRASH_SEED"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		require.NoError(t, err)
		c.Seed = n
	}
	r := c.Run()
	t.Logf("programs=%d cuts=%d failures=%d seed=%d", r.Programs, r.Cuts, r.Failures, c.Seed)
	t.Log(r.EventLine())
	require.Zero(t, r.Failures, "seed %d", c.Seed)
	require.Positive(t, r.Cuts)
}
