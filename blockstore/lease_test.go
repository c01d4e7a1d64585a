package blockstore

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fsx"
)

// TestNesting: inside an update every call that would wait for it is an error, not a deadlock.
func TestNesting(t *testing.T) {
	ctx := context.Background()
	fs := fsx.NewMem(1)
	keys, ids := ring(t, 2)
	s := create(t, fs, keys, AESGCM, 20*4096)
	write1(t, s, 1, page(1))
	nop := func(*Tx) error { return nil }
	require.NoError(t, s.Update(func(tx *Tx) error {
		require.NoError(t, tx.Write(1, page(2)))
		require.ErrorIs(t, s.Update(nop), ErrNested)
		require.ErrorIs(t, s.UpdateLazy(nop), ErrNested)
		require.ErrorIs(t, s.View(nop), ErrNested)
		require.ErrorIs(t, s.Checkpoint(ctx), ErrNested)
		require.ErrorIs(t, s.SwitchJournal(ctx), ErrNested)
		require.ErrorIs(t, s.SetJournalKey(ctx, ids[1]), ErrNested)
		_, err := s.Convert(ctx, Conversion{Key: ids[1]})
		require.ErrorIs(t, err, ErrNested)
		_, err = s.Verify(ctx, VerifyOptions{})
		require.ErrorIs(t, err, ErrNested)
		require.ErrorIs(t, s.Close(), ErrNested)
		_, err = s.File().WriteAt(page(1), 0)
		require.ErrorIs(t, err, ErrNested)
		var wg sync.WaitGroup
		wg.Go(func() { // another goroutine reads beside it, and sees what is durable
			got, err := readBlock(s, 1)
			if err != nil || string(got) != string(page(1)) {
				t.Error("a reader is held up, or sees half a commit", err)
			}
		})
		wg.Wait()
		return nil
	}))
	require.NoError(t, s.View(func(*Tx) error {
		require.ErrorIs(t, s.View(func(*Tx) error { return nil }), ErrNested)
		require.ErrorIs(t, s.Update(func(*Tx) error { return nil }), ErrNested)
		require.ErrorIs(t, s.Close(), ErrNested)
		return nil
	}))
	var kept *Tx
	require.NoError(t, s.View(func(tx *Tx) error { kept = tx; return nil }))
	_, err := kept.Read(1)
	require.ErrorIs(t, err, ErrUsage, "a transaction that has ended")
	verified(t, s)
}

// TestLeases: a key that a volume needs cannot be deactivated, and the refusal names the volume.
func TestLeases(t *testing.T) {
	fs := fsx.NewMem(1)
	keys, ids := ring(t, 3)
	require.NoError(t, keys.SetDefault(ids[2]))
	require.NoError(t, keys.SetJournal(ids[2]))
	s, err := Create("v", keys, CreateOptions{Options: testOptions(fs), Size: 20 * 4096, BlockSize: 4096, Key: ids[0]})
	require.NoError(t, err)
	write1(t, s, 1, page(1))
	held := func(id dek.ID) {
		t.Helper()
		err := keys.Deactivate(id, dek.Database)
		var h *dek.HeldError
		require.ErrorAs(t, err, &h)
		require.ErrorIs(t, err, ErrState)
		require.ErrorContains(t, err, s.UUID().String())
	}
	held(ids[0])
	held(ids[2])
	c, err := s.Convert(context.Background(), Conversion{Key: ids[1]})
	require.NoError(t, err)
	held(ids[1])
	r, err := c.Wait()
	require.NoError(t, err)
	require.True(t, r.Complete)
	require.NoError(t, keys.Deactivate(ids[0], dek.Database), "the conversion gave it back")
	held(ids[1])
	require.NoError(t, s.SetJournalKey(context.Background(), ids[1]))
	require.NoError(t, s.Checkpoint(context.Background()))
	require.Empty(t, keys.Holders(ids[2]), "no segment is under it any more")
	require.NoError(t, s.Close())
	require.NoError(t, keys.Deactivate(ids[1], dek.Database))
	_, err = openWith(fs, keys, nil)
	require.ErrorIs(t, err, ErrNotActivated)
	require.Empty(t, keys.Holders(ids[2]), "a refused open holds nothing")
}

// TestSyncFailsUnderWriters: every waiter learns that the outcome is unknown,
// writes are refused, and readers are taken back to what is durable.
func TestSyncFailsUnderWriters(t *testing.T) {
	leaks := noLeaks(t)
	fs := fsx.NewMem(1)
	keys, _ := ring(t, 1)
	o := testOptions(fs)
	// Neither the work ahead nor the next segment syncs a journal file: of these failures only some need to learn, or none.
	o.Tune.Inline, o.SegmentBytes = true, 1<<20
	s, err := Create("v", keys, CreateOptions{Options: o, Size: 64 * 4096, BlockSize: 4096})
	require.NoError(t, err)
	for b := range uint64(8) {
		write1(t, s, b, page(1))
	}
	require.NoError(t, s.UpdateLazy(func(tx *Tx) error { return tx.Write(20, page(2)) }))
	got := make([]byte, 4096)
	_, err = s.File().ReadAt(got, 20*4096)
	require.NoError(t, err)
	require.Equal(t, page(2), got, "a file sees its own writes")
	fs.Inject(fsx.Fault{Kind: fsx.OpSync, Name: "segment-*", Once: true})
	var wg sync.WaitGroup
	errs := make([]error, 8)
	for w := range errs {
		wg.Go(func() {
			errs[w] = s.Update(func(tx *Tx) error { return tx.Write(uint64(w), page(3)) })
		})
	}
	wg.Wait()
	for _, err := range errs {
		require.True(t, errors.Is(err, ErrOutcomeUnknown) || errors.Is(err, ErrState), "%v", err)
		require.ErrorIs(t, err, syscall.EIO)
	}
	for b := range uint64(8) {
		require.Equal(t, page(1), read1(t, s, b))
	}
	_, err = s.File().ReadAt(got, 20*4096)
	require.NoError(t, err)
	require.Equal(t, make([]byte, 4096), got)
	require.ErrorIs(t, s.Sync(context.Background()), ErrOutcomeUnknown)
	require.ErrorIs(t, s.Update(func(tx *Tx) error { return tx.Write(1, page(9)) }), ErrState)
	require.ErrorIs(t, s.Close(), ErrOutcomeUnknown)
	leaks()
	fs.DropCaches()
	s = reopen(t, fs, keys)
	one := read1(t, s, 0)
	require.True(t, string(one) == string(page(1)) || string(one) == string(page(3)))
	verified(t, s)
}

// TestContextsEndCalls: an ended context stops the call and nothing else.
func TestContextsEndCalls(t *testing.T) {
	fs := fsx.NewMem(1)
	keys, ids := ring(t, 2)
	s := create(t, fs, keys, AESGCM, 400*4096)
	write1(t, s, 1, page(1))
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	require.NoError(t, s.UpdateLazy(func(tx *Tx) error { return tx.Write(2, page(2)) }))
	for name, call := range map[string]func() error{
		"checkpoint": func() error { return s.Checkpoint(ended) },
		"switch":     func() error { return s.SwitchJournal(ended) },
		"key":        func() error { return s.SetJournalKey(ended, ids[1]) },
		"sync":       func() error { return s.Sync(ended) },
		"verify":     func() error { _, err := s.Verify(ended, VerifyOptions{}); return err },
	} {
		if err := call(); err != nil {
			require.ErrorIs(t, err, context.Canceled, name)
		}
		write1(t, s, 3, page(3))
	}
	if c, err := s.Convert(ended, Conversion{Key: ids[1]}); err == nil {
		_, err = c.Wait()
		require.NoError(t, err)
	} else {
		require.ErrorIs(t, err, context.Canceled)
	}
	write1(t, s, 3, page(4))
	require.Equal(t, page(2), read1(t, s, 2))
	verified(t, s)
}

func TestTwoOpens(t *testing.T) {
	for name, fs := range map[string]fsx.FS{"mem": fsx.NewMem(1), "os": fsx.OS()} {
		t.Run(name, func(t *testing.T) {
			path := "v"
			if name == "os" {
				path = filepath.Join(t.TempDir(), "v")
			}
			keys, _ := ring(t, 1)
			o := testOptions(fs)
			readOnly := o
			readOnly.ReadOnly = true
			s, err := Create(path, keys, CreateOptions{Options: o, Size: 4096 * 10, BlockSize: 4096})
			require.NoError(t, err)
			_, err = Create(path, keys, CreateOptions{Options: o, Size: 4096})
			require.ErrorIs(t, err, ErrState)
			write1(t, s, 1, page(1))
			for _, second := range []*Options{&o, &readOnly} {
				_, err = Open(path, keys, second)
				require.ErrorIs(t, err, ErrInUse)
			}
			_, err = VerifyFile(context.Background(), path, nil, &o, VerifyOptions{})
			require.ErrorIs(t, err, ErrInUse)
			require.ErrorIs(t, Erase(path, &o), ErrInUse)
			_, err = Inspect(path, &o)
			require.NoError(t, err, "looking takes no lock")
			require.Equal(t, page(1), read1(t, s, 1))
			require.NoError(t, s.Close())
			a, err := Open(path, keys, &readOnly)
			require.NoError(t, err)
			b, err := Open(path, keys, &readOnly)
			require.NoError(t, err)
			_, err = Open(path, keys, &o)
			require.ErrorIs(t, err, ErrInUse)
			require.Equal(t, page(1), read1(t, a, 1))
			require.NoError(t, a.Close())
			require.Equal(t, page(1), read1(t, b, 1))
			require.NoError(t, b.Close())
			s, err = Open(path, keys, &o)
			require.NoError(t, err)
			require.NoError(t, s.Close())
		})
	}
}
