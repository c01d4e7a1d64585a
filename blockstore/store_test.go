package blockstore

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/internal/fsx"
)

// suites are those that may be sealed under: in FIPS mode not all.
var suites = slices.DeleteFunc([]Suite{AESGCM, AESCBC, AESXTS, None}, func(s Suite) bool { return s.Allowed(true) != nil })

// orGCM is the suite, or AESGCM where FIPS mode does not seal under it.
func orGCM(s Suite) Suite {
	if s.Allowed(true) != nil {
		return AESGCM
	}
	return s
}

func TestWriteReadReopen(t *testing.T) {
	for _, suite := range suites {
		t.Run(suite.String(), func(t *testing.T) {
			fs := fsx.NewMem(1)
			keys, _ := ring(t, 1)
			s := create(t, fs, keys, suite, 400*4096)
			for b := uint64(0); b < 400; b += 7 {
				write1(t, s, b, page(b))
			}
			check := func() {
				for b := uint64(0); b < 400; b++ {
					want := make([]byte, 4096)
					if b%7 == 0 {
						want = page(b)
					}
					require.Equal(t, want, read1(t, s, b), "block %d", b)
				}
			}
			check()
			require.NoError(t, s.Checkpoint(context.Background()))
			check()
			verified(t, s)
			s = reopen(t, fs, keys)
			check()
			verified(t, s)
			_, err := fs.Stat("v.journal")
			require.Error(t, err, "a clean volume needs no journal")
		})
	}
}

func TestUpdateUndone(t *testing.T) {
	fs := fsx.NewMem(1)
	keys, _ := ring(t, 1)
	s := create(t, fs, keys, AESGCM, 10*4096)
	boom := errors.New("boom")
	require.ErrorIs(t, s.Update(func(tx *Tx) error {
		require.NoError(t, tx.Write(1, page(1)))
		return boom
	}), boom)
	require.Panics(t, func() {
		_ = s.Update(func(tx *Tx) error {
			require.NoError(t, tx.Write(1, page(1)))
			panic("caller's fault")
		})
	})
	require.Equal(t, make([]byte, 4096), read1(t, s, 1))
	require.ErrorIs(t, s.Update(func(*Tx) error { return s.Update(func(*Tx) error { return nil }) }), ErrNested)
	require.ErrorIs(t, s.Update(func(*Tx) error { return s.View(func(*Tx) error { return nil }) }), ErrNested)
	require.ErrorIs(t, s.View(func(tx *Tx) error { return tx.Write(1, page(1)) }), ErrReadOnly)
	verified(t, s)
}

func TestResizeAndTrim(t *testing.T) {
	fs := fsx.NewMem(1)
	keys, _ := ring(t, 1)
	s := create(t, fs, keys, AESGCM, 1000*4096)
	for _, b := range []uint64{0, 5, 100, 700, 999} {
		write1(t, s, b, page(b))
	}
	require.NoError(t, s.Checkpoint(context.Background()))
	require.NoError(t, s.Update(func(tx *Tx) error {
		require.NoError(t, tx.Trim(3, 4))
		require.NoError(t, tx.Trim(90, 500))
		return tx.Write(91, page(91))
	}))
	require.NoError(t, s.Update(func(tx *Tx) error { return tx.Resize(701*4096 - 96) }))
	check := func() {
		require.Equal(t, int64(701*4096-96), s.Size())
		require.Equal(t, make([]byte, 4096), read1(t, s, 5))
		require.Equal(t, make([]byte, 4096), read1(t, s, 100))
		require.Equal(t, page(91), read1(t, s, 91))
		tail := page(700)
		clear(tail[4000:])
		require.Equal(t, tail, read1(t, s, 700))
		require.ErrorIs(t, s.View(func(tx *Tx) error { _, err := tx.Read(701); return err }), ErrUsage)
	}
	check()
	require.NoError(t, s.Checkpoint(context.Background()))
	check()
	require.NoError(t, s.Update(func(tx *Tx) error { return tx.Resize(50_000 * 4096) }))
	require.Equal(t, make([]byte, 4096), read1(t, s, 999))
	write1(t, s, 49_999, page(3))
	verified(t, s)
	s = reopen(t, fs, keys)
	require.Equal(t, page(3), read1(t, s, 49_999))
	require.Equal(t, page(91), read1(t, s, 91))
	require.NoError(t, s.Update(func(tx *Tx) error { return tx.Resize(0) }))
	verified(t, s)
}

func TestSnapshotOutlivesCheckpoints(t *testing.T) {
	fs := fsx.NewMem(1)
	keys, _ := ring(t, 1)
	o := testOptions(fs)
	o.CheckpointBytes = 64 << 10
	s, err := Create("v", keys, CreateOptions{Options: o, Size: 200 * 4096, BlockSize: 4096})
	require.NoError(t, err)
	for b := range uint64(200) {
		if b != 13 {
			write1(t, s, b, page(b))
		}
	}
	require.NoError(t, s.Checkpoint(context.Background()))
	require.NoError(t, s.View(func(tx *Tx) error {
		elsewhere(func() {
			for round := range uint64(3) {
				for b := range uint64(200) {
					write1(t, s, b, page(1000*(round+1)+b))
				}
				require.NoError(t, s.Checkpoint(context.Background()))
			}
			require.NoError(t, s.Update(func(tx *Tx) error { return tx.Trim(50, 100) }))
			require.NoError(t, s.Update(func(tx *Tx) error { return tx.Resize(20 * 4096) }))
			for b := range uint64(20) {
				write1(t, s, b, page(9000+b))
			}
			require.NoError(t, s.Checkpoint(context.Background()))
			require.NoError(t, s.Update(func(tx *Tx) error { return tx.Resize(200 * 4096) }))
			for b := range uint64(200) {
				write1(t, s, b, page(3000+b))
			}
			require.NoError(t, s.Checkpoint(context.Background()))
		})
		for b := range uint64(200) {
			want := page(b)
			if b == 13 {
				want = make([]byte, 4096)
			}
			got, err := tx.Read(b)
			require.NoError(t, err)
			require.Equal(t, want, got, "block %d", b)
		}
		return nil
	}))
	for b := range uint64(200) {
		require.Equal(t, page(3000+b), read1(t, s, b))
	}
	require.NoError(t, s.Checkpoint(context.Background()))
	require.Empty(t, s.over.lingering)
	require.Empty(t, s.over.chains)
	require.Empty(t, s.over.holes)
	require.Zero(t, s.over.memory)
	verified(t, s)
}

func TestLargeTransactionSpills(t *testing.T) {
	fs := fsx.NewMem(1)
	keys, _ := ring(t, 1)
	o := testOptions(fs)
	o.Tune.TxMemory = 64 << 10
	s, err := Create("v", keys, CreateOptions{Options: o, Size: 500 * 4096, BlockSize: 4096})
	require.NoError(t, err)
	require.NoError(t, s.Update(func(tx *Tx) error {
		for b := range uint64(500) {
			require.NoError(t, tx.Write(b, page(b)))
		}
		require.NoError(t, tx.Trim(100, 200))
		require.NoError(t, tx.Write(150, page(9)))
		got, err := tx.Read(1)
		require.NoError(t, err)
		require.Equal(t, page(1), got)
		return nil
	}))
	check := func(s *Store) {
		require.Equal(t, page(1), read1(t, s, 1))
		require.Equal(t, make([]byte, 4096), read1(t, s, 100))
		require.Equal(t, page(9), read1(t, s, 150))
		require.Equal(t, page(499), read1(t, s, 499))
	}
	check(s)
	dead := fs.Kill()
	o.FS = dead
	s2, err := Open("v", keys, &o)
	require.NoError(t, err)
	check(s2)
	verified(t, s2)
}

func TestConversions(t *testing.T) {
	fs := fsx.NewMem(1)
	keys, ids := ring(t, 3)
	s := create(t, fs, keys, None, 400*4096)
	for b := range uint64(400) {
		write1(t, s, b, page(b))
	}
	steps := []Conversion{{Suite: AESGCM, Key: ids[0]}, {Key: ids[1]}, {Suite: AESCBC, Key: ids[2]}, {Suite: AESXTS}, {Suite: None}}
	for _, c := range steps {
		if c.Suite != 0 && c.Suite.Allowed(true) != nil {
			continue // FIPS mode
		}
		v, err := s.Convert(context.Background(), c)
		require.NoError(t, err)
		res, err := v.Wait()
		require.NoError(t, err)
		require.True(t, res.Complete)
		require.Empty(t, res.Damaged)
		for b := uint64(0); b < 400; b += 3 {
			require.Equal(t, page(b), read1(t, s, b))
		}
		i, err := s.Info()
		require.NoError(t, err)
		require.Nil(t, i.Conversion)
		if c.Suite == None {
			require.Empty(t, i.Keys)
		} else {
			require.Len(t, i.Keys, 1)
			require.Len(t, i.JournalKeys, 1)
			require.Equal(t, i.WriteKey, i.JournalKeys[0])
		}
	}
	verified(t, s)
	for _, id := range ids {
		holders := keys.Holders(id)
		require.Empty(t, holders)
	}
}

func TestAnchor(t *testing.T) {
	fs := fsx.NewMem(1)
	keys, _ := ring(t, 1)
	s := create(t, fs, keys, AESGCM, 10*4096)
	write1(t, s, 1, page(1))
	old := fs.Clone() // the whole disk, as of now
	write1(t, s, 2, page(2))
	a := s.Anchor()
	back, err := ParseAnchor(a.String())
	require.NoError(t, err)
	require.Equal(t, a, back)
	verified(t, s)
	o := testOptions(fs)
	o.ExpectAnchor = &a
	s, err = Open("v", keys, &o)
	require.NoError(t, err)
	write1(t, s, 3, page(3))
	require.NoError(t, s.Close())
	s, err = Open("v", keys, &o)
	require.NoError(t, err)
	require.NoError(t, s.Close())
	o.FS = old.Kill()
	_, err = Open("v", keys, &o)
	require.ErrorIs(t, err, ErrTampered)
}

// TestTreeBeforeOverlay: an image leaves memory only when the tree that finds it in its place is what readers see.
func TestTreeBeforeOverlay(t *testing.T) {
	fs := fsx.NewMem(1)
	keys, _ := ring(t, 1)
	var s *Store
	settled := 0
	o := CreateOptions{Options: testOptions(fs), Size: 20 * 4096, BlockSize: 4096}
	o.Tune.Settling = func() {
		if s == nil || !s.inOverlay(3) {
			return
		}
		settled++
		require.Equal(t, s.label.Load().root, s.meta.root)
		r, err := s.meta.record(3)
		require.NoError(t, err)
		require.Equal(t, s.over.chains[3].seq, r.version)
	}
	s, err := Create("v", keys, o)
	require.NoError(t, err)
	for seed := range uint64(3) {
		write1(t, s, 3, page(seed))
		require.NoError(t, s.Checkpoint(context.Background()))
		require.False(t, s.inOverlay(3))
	}
	require.Equal(t, 3, settled)
	verified(t, s)
}
