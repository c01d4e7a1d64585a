package journal

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fsx"
)

// copied records what a copier is given.
type copied struct {
	headers [][]byte
	frames  [][]byte
	of      []int // segment of each frame
}

func (c *copied) Segment(header []byte) error {
	c.headers = append(c.headers, append([]byte(nil), header...))
	return nil
}

func (c *copied) Frame(raw []byte) error {
	c.frames = append(c.frames, append([]byte(nil), raw...))
	c.of = append(c.of, len(c.headers)-1)
	return nil
}

// feed gives what was copied to a feed.
func (c *copied) feed(f *Feed) error {
	n := 0
	for i, h := range c.headers {
		if err := f.Segment(h); err != nil {
			return err
		}
		for ; n < len(c.frames) && c.of[n] == i; n++ {
			if err := f.Frame(c.frames[n]); err != nil {
				return err
			}
		}
	}
	return nil
}

// archived is a journal of three sessions, the second begun after a clean end, the third after a kill; with a change of the key.
func archived(t *testing.T) (o Options, ring *dek.Keyring, ids []dek.ID, records []string, seqs []uint64) {
	ring, ids = keys(t, 2)
	o, m := memOptions(t, ring)
	o.Retain = -1
	add := func(j *Journal, list []string) {
		for _, r := range list {
			seqs = append(seqs, put(t, j, r))
			records = append(records, r)
		}
	}
	j := start(t, o, ids[0])
	add(j, numbered("first", 5))
	require.NoError(t, j.Switch(bg, ids[0]))
	add(j, numbered("second", 5))
	require.NoError(t, j.Switch(bg, ids[1]))
	add(j, numbered("third", 3))
	at := j.Durable()
	require.NoError(t, j.Close(bg))
	require.NoError(t, j.Remove(bg))
	j, err := Start(o, at, ids[1], 2, session(1))
	require.NoError(t, err)
	add(j, numbered("fourth", 4))
	m = m.Kill()
	o.FS = m
	r, _, err := read(t, o, Floor{Position: Position{Segment: at.Segment + 1, Seq: at.Seq, Chain: at.Chain}, Generation: 100, Keys: ids[1:]})
	require.NoError(t, err)
	require.NoError(t, r.Settle(bg))
	j, err = r.Continue(ids[1], 3, session(2))
	require.NoError(t, err)
	t.Cleanup(func() { _ = j.Close(bg) })
	add(j, numbered("fifth", 4))
	return o, ring, ids, records, seqs
}

func TestFollow(t *testing.T) {
	o, _, ids, records, seqs := archived(t)
	follow := func(from Position, stop uint64, keys ...dek.ID) ([]string, Position, error) {
		var got []string
		end, err := Follow(bg, o, from, keys, nil, func(f Frame) error {
			if stop != 0 && f.Seq > stop {
				return Stop()
			}
			got = append(got, string(f.Payload))
			return nil
		})
		return got, end, err
	}
	got, end, err := follow(Position{}, 0, ids[0]) // the other key is named by a closing frame
	require.NoError(t, err)
	require.Equal(t, records, got)
	require.Equal(t, seqs[len(seqs)-1], end.Seq)

	for i, seq := range seqs { // to each, and on from there
		got, at, err := follow(Position{}, seq, ids[0])
		require.NoError(t, err)
		require.Equal(t, records[:i+1], got)
		require.GreaterOrEqual(t, at.Seq, seq)
		rest, end2, err := follow(at, 0, ids...)
		require.NoError(t, err)
		require.Equal(t, append([]string(nil), records[i+1:]...), append([]string(nil), rest...))
		require.Equal(t, end, end2)
	}
	_, _, err = follow(Position{}, 0, ids[1])
	require.ErrorIs(t, err, ErrTampered, "the first segment is under a key that nobody named")
	wrong := end
	wrong.Seq, wrong.Segment = seqs[3], 1
	_, _, err = follow(wrong, 0, ids...)
	require.ErrorIs(t, err, ErrTampered, "another chain value")
	none := o
	none.FS = fsx.NewMem(1)
	_, err = Follow(bg, none, Position{}, ids, nil, func(Frame) error { return nil })
	require.Error(t, err)
}

// without returns the journal's folder without some segments.
func without(t *testing.T, o Options, gone func(number uint64) bool) Options {
	t.Helper()
	m := fsx.NewMem(1)
	require.NoError(t, m.Mkdir(o.Dir, 0o700))
	list, err := List(o.FS, o.Dir)
	require.NoError(t, err)
	for _, g := range list {
		if gone(g.Number) {
			continue
		}
		b, err := o.FS.(*fsx.Mem).ReadFile(o.Dir + "/" + g.Slot)
		require.NoError(t, err)
		require.NoError(t, m.WriteFile(o.Dir+"/"+g.Slot, b))
	}
	o.FS = m
	return o
}

// A segment taken away, or a folder that ends with a segment closed for another one, is missing by its number.
func TestFollowGaps(t *testing.T) {
	o, _, ids, records, _ := archived(t)
	list, err := List(o.FS, o.Dir)
	require.NoError(t, err)
	last := list[len(list)-1].Number
	require.Greater(t, last, uint64(4))
	follow := func(o Options) (n int, err error) {
		_, err = Follow(bg, o, Position{}, ids, nil, func(Frame) error { n++; return nil })
		return n, err
	}
	n, err := follow(without(t, o, func(uint64) bool { return false }))
	require.NoError(t, err)
	require.Len(t, records, n)
	for gap := uint64(1); gap < last; gap++ {
		_, err := follow(without(t, o, func(n uint64) bool { return n == gap }))
		require.ErrorIs(t, err, ErrMissing, "segment %d", gap)
		require.ErrorContains(t, err, fmt.Sprintf("segment %d", gap))
	}
	_, err = follow(without(t, o, func(n uint64) bool { return n > 2 })) // segment 2 was closed for the third
	require.ErrorIs(t, err, ErrMissing)
	require.ErrorContains(t, err, "segment 3")
	_, err = follow(without(t, o, func(n uint64) bool { return n > 3 })) // the third ends a session: nothing says that there is more
	require.NoError(t, err)
}

// What is copied beside a writer is what a recovery would read, and a hold keeps it there.
func TestCopyAndFeed(t *testing.T) {
	ring, ids := keys(t, 2)
	o, _ := memOptions(t, ring)
	j := start(t, o, ids[0])
	put(t, j, numbered("before", 3)...)
	from := j.Durable()
	require.NoError(t, j.Hold(from.Segment))
	require.ErrorIs(t, j.Hold(1), ErrState)
	put(t, j, numbered("one", 4)...)
	require.NoError(t, j.Switch(bg, ids[1]))
	put(t, j, numbered("two", 4)...)
	require.NoError(t, j.Release(bg, j.Durable(), false))
	end := j.Durable()
	put(t, j, numbered("after", 4)...)

	c := new(copied)
	require.NoError(t, j.Copy(bg, from.Segment, end, c))
	require.Equal(t, ids[0], KeyOf(c.headers[0]))
	var got []string
	f := NewFeed(o, from, nil, nil, func(f Frame) error {
		got = append(got, string(f.Payload))
		return nil
	})
	require.NoError(t, c.feed(f))
	require.Equal(t, end, f.End())
	f.Close()
	f.Close()
	require.Equal(t, append(numbered("one", 4), numbered("two", 4)...), got)

	for n := range c.frames { // any frame altered, left out or given twice
		for _, how := range []string{"altered", "left out", "twice"} {
			bad := &copied{headers: c.headers, of: append([]int(nil), c.of...)}
			for i, raw := range c.frames {
				raw = append([]byte(nil), raw...)
				switch {
				case i == n && how == "altered":
					raw[90+i] ^= 1
				case i == n && how == "left out":
					bad.of = append(bad.of[:len(bad.frames)], bad.of[len(bad.frames)+1:]...)
					continue
				case i == n:
					bad.frames = append(bad.frames, raw)
					bad.of = append(bad.of[:len(bad.frames)], append([]int{c.of[i]}, bad.of[len(bad.frames):]...)...)
				}
				bad.frames = append(bad.frames, raw)
			}
			f := NewFeed(o, from, nil, nil, func(Frame) error { return nil })
			err := bad.feed(f)
			if how == "left out" && n == len(c.frames)-1 {
				require.NotEqual(t, end, f.End()) // the end is for the caller to compare
			} else {
				require.ErrorIs(t, err, ErrTampered, "frame %d %s", n, how)
			}
			f.Close()
		}
	}
	bad := NewFeed(o, from, ids[1:], nil, func(Frame) error { return nil })
	require.ErrorIs(t, c.feed(bad), ErrTampered, "a key that nobody named")

	j.LetGo()
	require.NoError(t, j.Release(bg, j.Durable(), false))
	require.ErrorIs(t, j.Copy(bg, from.Segment, end, c), ErrMissing)
}
