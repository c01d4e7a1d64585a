package journal

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fsx"
)

var passing = []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.EIO}

// stages are what making the next segment consists of.
var stages = map[string]fsx.OpKind{"create": fsx.OpCreate, "write": fsx.OpWrite, "sync": fsx.OpSync, "sync folder": fsx.OpSyncDir}

// Nothing that keeps the next segment from being made is more than a refusal: no
// number was taken, nothing is poisoned, the same call succeeds later, and
// everything acknowledged is there.
func TestNewSegmentRefused(t *testing.T) {
	for stage, kind := range stages {
		for _, cause := range passing {
			t.Run(fmt.Sprintf("%s/%v", stage, cause), func(t *testing.T) {
				ring, ids := keys(t, 2)
				o, m := memOptions(t, ring)
				j := start(t, o, ids[0])
				want := numbered(strings.Repeat("x", 12000), 4)
				put(t, j, want...)
				at := j.Durable()
				m.Inject(fsx.Fault{Kind: kind, Err: cause})
				refused := func(err error) {
					t.Helper()
					require.ErrorIs(t, err, cause)
					require.NotErrorIs(t, err, ErrOutcomeUnknown)
					require.NoError(t, j.Err())
					require.Equal(t, at, j.Durable())
					require.Equal(t, at.Seq+1, j.nextSeq)
					require.Equal(t, uint64(1), j.taking().hdr.number)
					require.Equal(t, ids[0], j.Key())
				}
				for range 3 {
					_, err := j.Append([]byte(want[0]))
					refused(err)
					refused(j.Switch(bg, ids[0]))
					refused(j.Switch(bg, ids[1]))
				}
				require.NoError(t, ring.Deactivate(ids[1], dek.Database), "no lease is left")
				m.ClearFaults()
				put(t, j, want[0], "goes on")
				require.NoError(t, j.Switch(bg, dek.ID{}))
				put(t, j, "in another")
				require.NoError(t, j.Close(bg))
				o.FS = m.Crash(nil)
				_, got, err := read(t, o, floor(ids[0], dek.ID{}))
				require.NoError(t, err)
				require.Equal(t, append(want, want[0], "goes on", "in another"), got)
			})
		}
	}
}

// The same for filling the segment that takes frames, where all of them are durable.
func TestFillRefused(t *testing.T) {
	for stage, kind := range map[string]fsx.OpKind{"write": fsx.OpWrite, "sync": fsx.OpSync} {
		for _, cause := range passing {
			t.Run(fmt.Sprintf("%s/%v", stage, cause), func(t *testing.T) {
				o, m := memOptions(t, nil)
				o.SegmentBytes = 1 << 20
				j := start(t, o, dek.ID{})
				record := strings.Repeat("x", 12000)
				n := 0
				for ; ; n++ {
					s := j.taking()
					if s.end+j.reserve(len(record))+j.reserve(closingSize) > s.slots[0].filled.Load() {
						break
					}
					put(t, j, record)
				}
				m.Inject(fsx.Fault{Kind: kind, Err: cause, TornBytes: 5000})
				for range 3 {
					_, err := j.Ticket(len(record))
					require.ErrorIs(t, err, cause)
					require.NotErrorIs(t, err, ErrOutcomeUnknown)
					require.NoError(t, j.Err())
				}
				m.ClearFaults()
				put(t, j, record)
				require.NoError(t, j.Close(bg))
				o.FS = m.Crash(nil)
				_, got, err := read(t, o, floor(dek.ID{}))
				require.NoError(t, err)
				require.Len(t, got, n+1)
			})
		}
	}
}

// A spare slot that cannot be opened is given up, and the next attempt takes another place.
func TestSpareRefused(t *testing.T) {
	ring, ids := keys(t, 1)
	o, m := memOptions(t, ring)
	h := &handleFS{FS: m, most: 100}
	o.FS = h
	j := start(t, o, ids[0])
	for range 2 {
		put(t, j, "record")
		require.NoError(t, j.Switch(bg, ids[0]))
	}
	require.NoError(t, j.Release(bg, j.Durable(), false))
	require.Len(t, j.spare, 2)
	h.limit(1)
	for range 3 {
		err := j.Switch(bg, ids[0])
		require.ErrorIs(t, err, syscall.EMFILE)
		require.NoError(t, j.Err())
	}
	h.limit(100)
	require.NoError(t, j.Switch(bg, ids[0]))
	at := j.Durable()
	put(t, j, "goes on")
	require.NoError(t, j.Release(bg, at, false))
	require.Empty(t, j.junk)
	require.NoError(t, j.Close(bg))
	o.FS = m.Crash(nil)
	_, got, err := read(t, o, Floor{Position: at, Generation: 1, Keys: ids})
	require.NoError(t, err)
	require.Equal(t, []string{"goes on"}, got)
}
