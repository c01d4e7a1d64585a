package journal

import (
	"context"
	"fmt"
	"path"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fsx"
)

var (
	bg         = context.Background()
	testVolume = [16]byte{1: 1, 15: 1}
	testStream = [16]byte{1: 2, 15: 2}
)

func session(n int) (s [16]byte) {
	copy(s[:], fmt.Sprintf("session %d", n))
	return s
}

// keys returns a keyring and the IDs of n keys in it.
func keys(t testing.TB, n int) (*dek.Keyring, []dek.ID) {
	t.Helper()
	ring := dek.NewKeyring()
	var ids []dek.ID
	for i := range n {
		k, err := dek.Generate([]int{256, 128, 192}[i%3])
		require.NoError(t, err)
		require.NoError(t, ring.Activate(k, dek.Database, dek.Active))
		ids = append(ids, k.ID())
		k.Destroy()
	}
	return ring, ids
}

// memOptions is a small journal in a new memory file system.
func memOptions(t testing.TB, ring *dek.Keyring) (Options, *fsx.Mem) {
	t.Helper()
	m := fsx.NewMem(1)
	return Options{
		FS: m, Dir: "v.journal", Keys: ring, Volume: testVolume, Stream: testStream,
		SegmentBytes: MinSegmentBytes, Inline: true,
	}, m
}

func start(t testing.TB, o Options, key dek.ID) *Journal {
	t.Helper()
	j, err := Start(o, Position{}, key, 1, session(0))
	require.NoError(t, err)
	t.Cleanup(func() { _ = j.Close(bg) })
	return j
}

// put appends records and waits for them.
func put(t testing.TB, j *Journal, records ...string) (last uint64) {
	t.Helper()
	for _, r := range records {
		seq, err := j.Append([]byte(r))
		require.NoError(t, err)
		last = seq
	}
	require.NoError(t, j.Wait(bg, last))
	return last
}

func numbered(prefix string, n int) (out []string) {
	for i := range n {
		out = append(out, fmt.Sprintf("%s %d", prefix, i))
	}
	return out
}

// read recovers from a floor and returns the records.
func read(t testing.TB, o Options, from Floor) (*Recovered, []string, error) {
	t.Helper()
	var records []string
	r, err := Recover(bg, o, from, func(f Frame) error {
		records = append(records, string(f.Payload))
		return nil
	})
	if r != nil {
		t.Cleanup(func() { _ = r.Close() })
	}
	return r, records, err
}

// floor is what somebody knows who knows nothing but keys and a generation.
func floor(keys ...dek.ID) Floor { return Floor{Generation: 100, Keys: keys} }

// files returns the names of slots, with their folder.
func files(t testing.TB, o Options) (names []string) {
	t.Helper()
	list, err := o.FS.ReadDir(o.Dir)
	require.NoError(t, err)
	for _, n := range list {
		names = append(names, path.Join(o.Dir, n))
	}
	return names
}

// noLeaks fails the test if goroutines it started are still there at its end.
func noLeaks(t testing.TB) {
	before := runtime.NumGoroutine()
	t.Cleanup(func() {
		for range 100 {
			if runtime.NumGoroutine() <= before {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		buf := make([]byte, 1<<20)
		t.Errorf("goroutines left:\n%s", buf[:runtime.Stack(buf, true)])
	})
}
