package main

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestMeterRemaining: the estimate of the work itself counts before that of the rate since the beginning, which a halt, or
// blocks that were done before, make wrong; at the end there is none.
func TestMeterRemaining(t *testing.T) {
	var out bytes.Buffer
	m := &meter{json: true, out: &out}
	last := func() (l progressLine) {
		lines := bytes.Split(bytes.TrimSpace(out.Bytes()), []byte("\n"))
		require.NoError(t, json.Unmarshal(lines[len(lines)-1], &l))
		return l
	}
	m.set("rekey", 0, 100, "blocks")
	m.start, m.last = m.start.Add(-time.Hour), time.Time{} // it was halted for long
	m.set("rekey", 50, 100, "blocks")
	require.Greater(t, last().Remaining, 3000.0)
	m.pace(1000, 7*time.Second)
	m.last = time.Time{}
	m.set("rekey", 51, 100, "blocks")
	require.Equal(t, progressLine{"rekey", "blocks", 51, 100, last().Seconds, 7, 1000}, last())
	m.set("rekey", 100, 100, "blocks")
	require.Zero(t, last().Remaining)
}
