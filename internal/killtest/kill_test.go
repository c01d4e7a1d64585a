package killtest

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestMain is the child where the environment says so.
func TestMain(m *testing.M) {
	if path := os.Getenv("COFFER_KILL_CHILD"); path != "" {
		seed, err := strconv.ParseUint(os.Getenv("COFFER_KILL_SEED"), 10, 64)
		if err != nil {
			os.Exit(2)
		}
		Main(path, seed)
		return
	}
	os.Exit(m.Run())
}

func judge(t *testing.T, seed uint64) Judge {
	self, err := os.Executable()
	require.NoError(t, err)
	return Judge{Path: filepath.Join(t.TempDir(), "v"), Seed: seed, Log: os.Stderr,
		Command: func(ctx context.Context, path string, seed uint64) *exec.Cmd {
			c := exec.CommandContext(ctx, self)
			c.Env = append(os.Environ(), "COFFER_KILL_CHILD="+path, "COFFER_KILL_SEED="+strconv.FormatUint(seed, 10))
			return c
		}}
}

// TestKill is the short form of make kill.
func TestKill(t *testing.T) {
	j := judge(t, uint64(time.Now().UnixNano()))
	j.Duration = 6 * time.Second
	if testing.Short() {
		j.Duration = 2 * time.Second
	}
	r := j.Run(context.Background())
	t.Logf("opens=%d commits=%d kills=%d failures=%d seed=%d", r.Opens, r.Commits, r.Kills, r.Failures, j.Seed)
	require.Zero(t, r.Failures, "seed %d", j.Seed)
	require.Positive(t, r.Opens)
	require.Positive(t, r.Commits)
}

// TestJudgeSees: a volume put back to an older state, and one of another seed, are failures.
func TestJudgeSees(t *testing.T) {
	j := judge(t, 5)
	var b bounds
	for b.durable == 0 {
		_, err := j.one(context.Background(), 100*time.Millisecond, false, &b)
		require.NoError(t, err)
	}
	later := bounds{b.durable + 1000, b.begun + 1000}
	_, err := j.one(context.Background(), 0, false, &later)
	require.ErrorContains(t, err, "was durable")
	j.Path = filepath.Join(t.TempDir(), "none")
	later = bounds{1, 2}
	_, err = j.one(context.Background(), 0, false, &later)
	require.ErrorContains(t, err, "commit 0 is the last one there")
}

// TestState: the model after n commits is what n commits one by one leave.
func TestState(t *testing.T) {
	var once, steps state
	once.advance(9, 50)
	for n := uint64(1); n <= 50; n++ {
		steps.advance(9, n)
	}
	require.Equal(t, steps, once)
	require.EqualValues(t, 50, once.last[0])
	p, q := make([]byte, blockSize), make([]byte, blockSize)
	page(p, 9, 3, 4)
	page(q, 9, 3, 5)
	require.NotEqual(t, p, q)
}
