package sqlitetest

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestCampaign is the short form of make sqlitecrash: the same programs each time.
func TestCampaign(t *testing.T) {
	programs := 60
	if testing.Short() {
		programs = 8
	}
	totals := Campaign{Seed: 1, Duration: time.Hour, Programs: programs, Log: os.Stderr}.Run()
	t.Logf("%+v", totals)
	require.Zero(t, totals.Failures)
	require.GreaterOrEqual(t, totals.Cuts, programs)
	require.NotZero(t, totals.Commits)
}

// TestModel: what a cut may leave, and what it may not.
func TestModel(t *testing.T) {
	m := newModel()
	a, b, c := rows{1: "a"}, rows{1: "b"}, rows{1: "c"}
	m.commit(a, true)
	require.Error(t, m.found(rows{}), "what was acknowledged is gone")
	m.commit(b, false)
	m.maybe(c)
	require.Error(t, m.found(rows{2: "x"}))
	require.NoError(t, m.found(b))
	require.Error(t, m.found(c), "settled on another")
	require.NoError(t, m.found(b))
}
