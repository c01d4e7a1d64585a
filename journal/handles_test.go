package journal

import (
	"os"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fsx"
)

// handleFS lets a process have few files open.
type handleFS struct {
	fsx.FS
	mu         sync.Mutex
	open, most int
}

type handle struct {
	fsx.File
	fs   *handleFS
	once sync.Once
}

func (h *handleFS) Open(name string, flag int, perm os.FileMode) (fsx.File, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.open >= h.most {
		return nil, &os.PathError{Op: "open", Path: name, Err: syscall.EMFILE}
	}
	f, err := h.FS.Open(name, flag, perm)
	if err != nil {
		return nil, err
	}
	h.open++
	return &handle{File: f, fs: h}, nil
}

func (h *handle) Close() error {
	h.once.Do(func() {
		h.fs.mu.Lock()
		defer h.fs.mu.Unlock()
		h.fs.open--
	})
	return h.File.Close()
}

func (h *handleFS) limit(n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.most = n
}

func (h *handleFS) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.open
}

// Hundreds of segments, needed or kept, are written, listed, checked and recovered with a handful of open files.
func TestFewHandles(t *testing.T) {
	const count = 300
	ring, ids := keys(t, 1)
	o, m := memOptions(t, ring)
	h := &handleFS{FS: m, most: 4}
	o.FS, o.Retain = h, -1
	j := start(t, o, ids[0])
	for range count {
		put(t, j, "record")
		require.NoError(t, j.Switch(bg, ids[0]))
	}
	require.LessOrEqual(t, h.count(), 1, "of %d segments that recovery needs", count)
	end := j.Durable()
	copied := m.Clone()
	require.NoError(t, j.Release(bg, end, false))
	require.LessOrEqual(t, h.count(), 1, "of %d segments kept", count)
	put(t, j, "last")
	require.NoError(t, j.Close(bg))
	require.Zero(t, h.count())

	h.limit(1)
	list, err := List(h, o.Dir)
	require.NoError(t, err)
	require.Len(t, list, count+1)
	report, err := Scrub(bg, h, o.Dir, testVolume, 0)
	require.NoError(t, err)
	require.Empty(t, report.Bad)
	require.Equal(t, 2*count+1, report.Frames)
	on, err := GoesOn(o, Position{})
	require.NoError(t, err)
	require.True(t, on)
	for _, from := range []Position{{}, end} {
		r, got, err := read(t, o, Floor{Position: from, Generation: 1, Keys: ids})
		require.NoError(t, err)
		require.Len(t, got, map[bool]int{true: count + 1, false: 1}[from.Seq == 0])
		require.Zero(t, h.count())
		require.NoError(t, r.Close())
	}
	r, _, err := read(t, o, Floor{Position: end, Generation: 1, Keys: ids})
	require.NoError(t, err)
	require.NoError(t, r.Settle(bg))
	j, err = r.Continue(ids[0], 1, session(1))
	require.NoError(t, err)
	put(t, j, "more")
	require.Equal(t, 1, h.count())
	at := j.Durable()
	require.NoError(t, j.Close(bg))
	j, err = Start(o, at, ids[0], 1, session(2))
	require.NoError(t, err)
	require.Equal(t, 1, h.count())
	require.NoError(t, j.Close(bg))
	require.Zero(t, h.count())

	// The same with unreadable slots, all of which hold traces of the segment that a closing frame names.
	h.FS = copied.Crash(nil)
	o.FS = h
	names := files(t, o)
	last := names[len(names)-1]
	b, err := copied.ReadFile(last)
	require.NoError(t, err)
	b[0] ^= 1
	w := h.FS.(*fsx.Mem)
	for i := range 20 {
		require.NoError(t, w.WriteFile(o.Dir+"/"+slotName(1000+i), b))
	}
	require.NoError(t, w.Remove(last))
	_, got, err := read(t, o, Floor{Generation: 1, Keys: ids})
	require.NoError(t, err)
	require.Len(t, got, count)
	require.Zero(t, h.count())
}

// A slot that goes between the listing of the folder and its turn was removed before, for those who look at a journal in use.
func TestSlotGoesWhileListed(t *testing.T) {
	o, m := memOptions(t, nil)
	j := start(t, o, dek.ID{})
	put(t, j, "a")
	require.NoError(t, j.Switch(bg, dek.ID{}))
	require.NoError(t, j.Close(bg))
	list, err := List(vanishing{m, o.Dir + "/" + slotName(1)}, o.Dir)
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.Equal(t, uint64(2), list[0].Number)
}

// vanishing is a folder in which a file that is listed is gone.
type vanishing struct {
	fsx.FS
	name string
}

func (v vanishing) Open(name string, flag int, perm os.FileMode) (fsx.File, error) {
	if name == v.name {
		return nil, &os.PathError{Op: "open", Path: name, Err: os.ErrNotExist}
	}
	return v.FS.Open(name, flag, perm)
}
