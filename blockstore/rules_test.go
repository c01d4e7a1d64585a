package blockstore

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/internal/fsx"
	"github.com/cofferdb/coffer/journal"
)

// TestReplayRules: frames that authenticate and still are not what a writer
// makes are refused, FORMAT.md "Replay". No power cut leads there.
func TestReplayRules(t *testing.T) {
	fs := fsx.NewMem(1)
	keys, _ := ring(t, 1)
	s := create(t, fs, keys, AESGCM, 10*4096)
	rec := func(kind, flags uint8, parts uint64) []byte {
		w := newRedoWriter(1<<20, 0)
		w.op(opImage, 1, 0, page(1))
		return w.finish(kind, flags, parts, 0)
	}
	session := [16]byte(s.session)
	for name, c := range map[string]struct {
		err     error
		session [16]byte
		frames  [][]byte
	}{
		"whole":               {nil, session, [][]byte{rec(redoPart, redoFirst, 0), rec(redoPart, 0, 0), rec(redoCommit, 0, 2)}},
		"a part is missing":   {ErrDamaged, session, [][]byte{rec(redoPart, redoFirst, 0), rec(redoCommit, 0, 2)}},
		"a part too many":     {ErrDamaged, session, [][]byte{rec(redoPart, redoFirst, 0), rec(redoPart, 0, 0), rec(redoCommit, 0, 1)}},
		"no beginning":        {ErrDamaged, session, [][]byte{rec(redoCommit, 0, 0)}},
		"commit continues":    {ErrDamaged, session, [][]byte{rec(redoCommit, redoFirst, 0), rec(redoPart, 0, 0)}},
		"another session":     {ErrTampered, NewUUID(), [][]byte{rec(redoCommit, redoFirst, 0)}},
		"not a record":        {ErrDamaged, session, [][]byte{[]byte("planted")}},
		"given up, then anew": {nil, session, [][]byte{rec(redoPart, redoFirst, 0), rec(redoCommit, redoFirst, 0)}},
	} {
		r := &replay{s: s, l: s.label.Load()}
		var err error
		for i, p := range c.frames {
			if err == nil {
				err = r.apply(journal.Frame{Seq: uint64(1000 + i), Session: c.session, Payload: p})
			}
		}
		if c.err == nil {
			require.NoError(t, err, name)
			continue
		}
		require.ErrorIs(t, err, c.err, name)
	}
	_ = s.Close()
}

// TestReservedSealsAreUsedUpByACrash: the sealings that a process had reserved
// are never counted again, whether or not it came to use them.
func TestReservedSealsAreUsedUpByACrash(t *testing.T) {
	fs := fsx.NewMem(1)
	keys, _ := ring(t, 1)
	o := testOptions(fs)
	o.Tune.SealReserve = 16
	s, err := Create("v", keys, CreateOptions{Options: o, Size: 10 * 4096, BlockSize: 4096})
	require.NoError(t, err)
	var reserved uint64
	for range 5 {
		write1(t, s, 1, page(1))
		require.NoError(t, s.Checkpoint(context.Background()))
		before := s.label.Load().write().current().reserved
		require.Greater(t, before, reserved, "what the last process reserved is not counted again")
		o.FS = fs.Kill()
		fs = o.FS.(*fsx.Mem)
		_ = s.Close()
		s, err = Open("v", keys, &o)
		require.NoError(t, err)
		require.GreaterOrEqual(t, s.sealsUsed, before)
		reserved = before
	}
	verified(t, s)
}

// TestConversionWaitsForSnapshot: as long as a snapshot holds the checkpoint
// back, records under the old key lie on the disk, and the conversion is not done.
func TestConversionWaitsForSnapshot(t *testing.T) {
	fs := fsx.NewMem(1)
	keys, ids := ring(t, 2)
	s := create(t, fs, keys, AESGCM, 200*4096)
	for b := range uint64(20) {
		write1(t, s, b*10, page(b))
	}
	require.NoError(t, s.Checkpoint(context.Background()))
	var c *Converter
	require.NoError(t, s.View(func(*Tx) error {
		started := make(chan error)
		go func() {
			var err error
			c, err = s.Convert(context.Background(), Conversion{Key: ids[1]})
			started <- err
		}()
		require.NoError(t, <-started)
		select {
		case <-c.Done():
			require.Fail(t, "done while old records are needed")
		case <-time.After(150 * time.Millisecond):
		}
		require.Len(t, s.label.Load().info().Keys, 2)
		return nil
	}))
	r, err := c.Wait()
	require.NoError(t, err)
	require.True(t, r.Complete)
	from := c.to ^ 1
	require.NoError(t, s.eachGroup(context.Background(), func(_ uint64, m *metaBlock, err error) error {
		for i := range perGroup {
			rec, rerr := m.record(i)
			require.NoError(t, rerr)
			require.False(t, rec.kind == recordData && rec.slot == from)
		}
		return err
	}))
	verified(t, s)
}
