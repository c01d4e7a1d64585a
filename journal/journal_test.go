package journal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fsx"
)

func TestAppendAndRecover(t *testing.T) {
	ring, ids := keys(t, 1)
	for name, key := range map[string]dek.ID{"plain": {}, "encrypted": ids[0]} {
		t.Run(name, func(t *testing.T) {
			o, m := memOptions(t, ring)
			j := start(t, o, key)
			require.Equal(t, Position{Segment: 1}, j.Durable())
			want := numbered("record with a text to look for", 100)
			put(t, j, want...)
			require.Equal(t, uint64(100), j.DurableSeq())
			head := j.Durable()
			require.NoError(t, j.Close(bg))

			disk, err := m.ReadFile(files(t, o)[0])
			require.NoError(t, err)
			require.Equal(t, key.IsZero(), bytes.Contains(disk, []byte("a text to look for")))

			r, got, err := read(t, o, floor(key))
			require.NoError(t, err)
			require.Equal(t, want, got)
			require.Equal(t, head, r.End)
			require.Nil(t, r.Tail)
			require.Equal(t, 100, r.Frames)

			_, got, err = read(t, o, Floor{Position: head, Generation: 1, Keys: []dek.ID{key}})
			require.NoError(t, err)
			require.Empty(t, got)
		})
	}
}

func TestManySegments(t *testing.T) {
	ring, ids := keys(t, 1)
	o, _ := memOptions(t, ring)
	j := start(t, o, ids[0])
	var want []string
	for i := range 300 {
		r := fmt.Sprintf("%d %s", i, bytes.Repeat([]byte{'x'}, i*37%3000))
		want = append(want, r)
		put(t, j, r)
	}
	require.Greater(t, j.Durable().Segment, uint64(5))
	require.NoError(t, j.Close(bg))
	r, got, err := read(t, o, floor(ids[0]))
	require.NoError(t, err)
	require.Equal(t, want, got)
	require.Equal(t, int(j.Durable().Segment), len(r.Segments))

	list, err := List(o.FS, o.Dir)
	require.NoError(t, err)
	for i, s := range list {
		require.Equal(t, uint64(i+1), s.Number)
		require.Equal(t, ids[0], s.Key)
		require.Equal(t, 256, s.Bits)
		require.Equal(t, r.Segments[i].First, s.First)
		if i < len(list)-1 {
			require.Equal(t, r.Segments[i].Last, s.Last)
		}
	}
	report, err := Scrub(bg, o.FS, o.Dir, testVolume, 0)
	require.NoError(t, err)
	require.Equal(t, []int64{int64(len(list)), int64(r.Frames), r.Bytes}, []int64{int64(report.Segments), int64(report.Frames), report.Bytes})
	require.Empty(t, report.Bad)
	require.Empty(t, report.Unsettled)
}

func TestTickets(t *testing.T) {
	o, _ := memOptions(t, nil)
	j := start(t, o, dek.ID{})
	a, err := j.Ticket(10)
	require.NoError(t, err)
	b, err := j.Ticket(10)
	require.NoError(t, err)
	c, err := j.Ticket(10)
	require.NoError(t, err)
	require.Equal(t, []uint64{1, 2, 3}, []uint64{a.Seq(), b.Seq(), c.Seq()})
	require.Equal(t, uint64(1), a.Segment())
	require.NoError(t, c.Commit([]byte("c")))
	require.Equal(t, uint64(0), j.DurableSeq())

	ctx, cancel := context.WithTimeout(bg, 10*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, j.Sync(ctx), context.DeadlineExceeded, "c waits for a and b")

	b.Abort()
	b.Abort()
	require.ErrorIs(t, b.Commit(nil), ErrTicketUsed)
	require.ErrorIs(t, a.Commit(make([]byte, 11)), ErrUsage)
	require.ErrorIs(t, a.Commit([]byte("a")), ErrTicketUsed)
	require.NoError(t, j.Sync(bg))
	require.Equal(t, uint64(3), j.DurableSeq())
	require.ErrorIs(t, c.Commit([]byte("c")), ErrTicketUsed)
	require.ErrorIs(t, j.Wait(bg, 4), ErrUsage)
	_, err = j.Ticket(j.MaxPayload() + 1)
	require.ErrorIs(t, err, ErrUsage)
	require.NoError(t, j.Close(bg))
	_, err = j.Append(nil)
	require.ErrorIs(t, err, ErrClosed)
	require.ErrorIs(t, err, ErrState)

	r, got, err := read(t, o, floor(dek.ID{}))
	require.NoError(t, err)
	require.Equal(t, []string{"c"}, got)
	require.Equal(t, 3, r.Frames)
}

func TestCloseWithOpenTicket(t *testing.T) {
	noLeaks(t)
	o, _ := memOptions(t, nil)
	o.Inline = false
	j := start(t, o, dek.ID{})
	put(t, j, "a")
	open, err := j.Ticket(1)
	require.NoError(t, err)
	_, err = j.Append([]byte("b"))
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(bg, 10*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, j.Close(ctx), context.DeadlineExceeded)
	require.ErrorIs(t, open.Commit([]byte("x")), ErrClosed)
	require.ErrorIs(t, j.Wait(bg, 3), ErrOutcomeUnknown)
	require.NoError(t, j.Close(bg))
	_, got, err := read(t, o, floor(dek.ID{}))
	require.NoError(t, err)
	require.Equal(t, []string{"a"}, got)
}

func TestLongestRecordFits(t *testing.T) {
	o, _ := memOptions(t, nil)
	j := start(t, o, dek.ID{})
	long := string(make([]byte, j.MaxPayload()))
	for range 3 {
		put(t, j, long)
	}
	require.NoError(t, j.Close(bg))
	r, got, err := read(t, o, floor(dek.ID{}))
	require.NoError(t, err)
	require.Equal(t, []string{long, long, long}, got)
	require.Equal(t, uint64(3), r.End.Segment)
}

// Many writers share syncs, in every mixture of waiting and not waiting.
func TestConcurrentWriters(t *testing.T) {
	noLeaks(t)
	ring, ids := keys(t, 1)
	o, m := memOptions(t, ring)
	o.Inline, o.SegmentBytes = false, 256<<10
	j := start(t, o, ids[0])
	const writers, each = 16, 100
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				seq, err := j.Append(bytes.Repeat([]byte{byte(w)}, 10+(i*w)%900))
				if err == nil && i%3 != 0 {
					err = j.Wait(bg, seq)
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	require.NoError(t, j.Close(bg))
	require.Less(t, m.Ops(), writers*each*2, "syncs are shared")
	count := [writers]int{}
	_, err := Recover(bg, o, floor(ids[0]), func(f Frame) error {
		w := int(f.Payload[0])
		require.Equal(t, bytes.Repeat([]byte{byte(w)}, 10+(count[w]*w)%900), f.Payload)
		count[w]++
		return nil
	})
	require.NoError(t, err)
	for _, n := range count {
		require.Equal(t, each, n)
	}
}

// A transaction larger than the backlog goes out without anybody waiting for it.
func TestBacklogIsBounded(t *testing.T) {
	o, _ := memOptions(t, nil)
	o.SegmentBytes = 4 << 20
	j := start(t, o, dek.ID{})
	record := make([]byte, 100_000)
	for range 300 {
		_, err := j.Append(record)
		require.NoError(t, err)
		require.LessOrEqual(t, j.backlog, int64(maxBacklog))
	}
	require.NoError(t, j.Sync(bg))
	require.NoError(t, j.Close(bg))
	r, _, err := read(t, o, floor(dek.ID{}))
	require.NoError(t, err)
	require.Equal(t, j.Durable().Chain, r.End.Chain)
}

func TestSwitchChangesKey(t *testing.T) {
	ring, ids := keys(t, 2)
	o, m := memOptions(t, ring)
	j := start(t, o, dek.ID{})
	put(t, j, "plaintext one")
	require.NoError(t, j.Switch(bg, ids[0]))
	require.Equal(t, ids[0], j.Key())
	require.Equal(t, uint64(2), j.Durable().Segment)
	put(t, j, "two")
	require.NoError(t, j.Switch(bg, ids[1]))
	put(t, j, "three")

	// A key that recovery needs cannot be deactivated, and the refusal says who needs it.
	var held *dek.HeldError
	require.NoError(t, ring.SetDefault(ids[1]))
	require.NoError(t, ring.SetJournal(ids[1]))
	require.ErrorAs(t, ring.Deactivate(ids[0], dek.Database), &held)
	require.Contains(t, held.Error(), "segment 2")

	all := []dek.ID{{}, ids[0], ids[1]}
	r, got, err := read(t, o, floor(all...))
	require.NoError(t, err)
	require.Equal(t, []string{"plaintext one", "two", "three"}, got)
	require.NoError(t, r.Close())

	r, _, err = read(t, o, floor(ids...))
	require.ErrorIs(t, err, ErrTampered, "plain is not named")
	require.Nil(t, r)

	plain := files(t, o)[0]
	require.NoError(t, j.Release(bg, j.Durable(), true))
	require.Len(t, files(t, o), 1)
	require.NotContains(t, files(t, o), plain)
	require.NoError(t, ring.Deactivate(ids[0], dek.Database))
	for _, f := range m.Files() {
		b, err := m.ReadFile(f)
		require.NoError(t, err)
		require.NotContains(t, string(b), "plaintext one")
	}
	require.ErrorIs(t, j.Switch(bg, ids[0]), ErrNotActivated)
	require.NoError(t, ring.SetMode(ids[1], dek.Database, dek.Active))
	put(t, j, "four")
}

func TestDecryptOnlyKeyWritesNothing(t *testing.T) {
	ring, ids := keys(t, 2)
	o, _ := memOptions(t, ring)
	require.NoError(t, ring.SetMode(ids[1], dek.Database, dek.DecryptOnly))
	_, err := Start(o, Position{}, ids[1], 1, session(0))
	require.ErrorIs(t, err, ErrState)
	j := start(t, o, ids[0])
	require.ErrorIs(t, j.Switch(bg, ids[1]), ErrState)
	put(t, j, "still there")
	require.NoError(t, j.Close(bg))
}

func TestReleaseRetainsAndRecycles(t *testing.T) {
	for name, retain := range map[string]int{"none": 0, "two": 2, "all": -1} {
		t.Run(name, func(t *testing.T) {
			ring, ids := keys(t, 1)
			o, _ := memOptions(t, ring)
			o.Retain = retain
			j := start(t, o, ids[0])
			for range 6 {
				put(t, j, "record")
				require.NoError(t, j.Switch(bg, ids[0]))
			}
			require.NoError(t, j.Release(bg, j.Durable(), false))
			states := map[SegmentState]int{}
			for _, s := range j.Segments() {
				states[s.State]++
			}
			kept := map[int]int{0: 0, 2: 2, -1: 6}[retain]
			require.Equal(t, kept, states[StateKept])
			require.Equal(t, min(DefaultSpare, 6-kept), states[StateFree])
			require.Equal(t, 1, states[StateLive])
			before := len(files(t, o))
			put(t, j, "record")
			require.NoError(t, j.Switch(bg, ids[0]))
			require.Len(t, files(t, o), before+map[int]int{0: 0, 2: 0, -1: 1}[retain], "a free slot is used again")
			end := j.Durable()
			require.NoError(t, j.Release(bg, end, false))
			put(t, j, "last")
			require.NoError(t, j.Close(bg))

			_, got, err := read(t, o, Floor{Position: end, Generation: 1, Keys: ids})
			require.NoError(t, err)
			require.Equal(t, []string{"last"}, got)
			report, err := Scrub(bg, o.FS, o.Dir, testVolume, 0)
			require.NoError(t, err)
			require.Empty(t, report.Bad)

			require.NoError(t, j.Remove(bg))
			_, err = o.FS.Stat(o.Dir)
			if retain == 0 {
				require.Error(t, err)
			} else {
				require.NoError(t, err)
				require.Len(t, files(t, o), map[int]int{2: 2, -1: 8}[retain])
			}
			// The stream goes on behind where it was.
			head := j.Durable()
			j, err = Start(o, head, ids[0], 2, session(1))
			require.NoError(t, err)
			put(t, j, "after")
			require.NoError(t, j.Close(bg))
		})
	}
}

func TestStartRefusesFramesAhead(t *testing.T) {
	o, _ := memOptions(t, nil)
	j := start(t, o, dek.ID{})
	at := j.Durable()
	require.NoError(t, j.Close(bg))

	j, err := Start(o, Position{}, dek.ID{}, 1, session(1)) // the segment has no frames
	require.NoError(t, err)
	require.Len(t, files(t, o), 1)
	put(t, j, "a")
	middle := j.Durable()
	put(t, j, "b")
	end := j.Durable()
	require.NoError(t, j.Close(bg))
	for _, p := range []Position{{}, at, middle} {
		_, err = Start(o, p, dek.ID{}, 1, session(2))
		require.ErrorIs(t, err, ErrState)
	}
	j, err = Start(o, end, dek.ID{}, 1, session(2))
	require.NoError(t, err)
	put(t, j, "c")
	require.NoError(t, j.Close(bg))
}

func TestFullDiskIsRefusedAndPasses(t *testing.T) {
	noLeaks(t)
	o, m := memOptions(t, nil)
	o.SegmentBytes = 4 << 20
	j := start(t, o, dek.ID{})
	m.SetCapacity(m.Used() + 100<<10)
	var err error
	n := 0
	for ; err == nil && n < 1000; n++ {
		var seq uint64
		if seq, err = j.Append(make([]byte, 3000)); err == nil {
			require.NoError(t, j.Wait(bg, seq))
		}
	}
	require.ErrorIs(t, err, syscall.ENOSPC)
	require.False(t, errors.Is(err, ErrOutcomeUnknown))
	require.NoError(t, j.Err())
	m.SetCapacity(0)
	put(t, j, "goes on")
	require.NoError(t, j.Close(bg))
	_, got, err := read(t, o, floor(dek.ID{}))
	require.NoError(t, err)
	require.Len(t, got, n)
}

func TestOnRealFiles(t *testing.T) {
	noLeaks(t)
	ring, ids := keys(t, 1)
	o := Options{FS: fsx.OS(), Dir: filepath.Join(t.TempDir(), "v.journal"), Keys: ring, Volume: testVolume, Stream: testStream, SegmentBytes: 128 << 10}
	j := start(t, o, ids[0])
	put(t, j, numbered("record", 200)...)
	require.NoError(t, j.Close(bg))
	r, got, err := read(t, o, floor(ids[0]))
	require.NoError(t, err)
	require.Len(t, got, 200)
	require.NoError(t, r.Settle(bg))
	j, err = r.Continue(ids[0], 2, session(1))
	require.NoError(t, err)
	put(t, j, numbered("more", 50)...)
	require.NoError(t, j.Release(bg, j.Durable(), false))
	require.NoError(t, j.Close(bg))
	require.NoError(t, j.Remove(bg))
	_, err = o.FS.Stat(o.Dir)
	require.Error(t, err)
}
