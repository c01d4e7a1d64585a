package blockstore

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/internal/fsx"
)

// hold keeps a snapshot of what is acknowledged, as a long reader does.
func (f *faultRun) hold() {
	f.held, f.seen = f.s.acquire(), f.states[0]
}

func (f *faultRun) letGo() {
	if f.held != nil {
		f.s.release(f.held)
		f.held = nil
	}
}

// requireHeld checks that a reader from before a failure goes on, and sees what it saw.
func (f *faultRun) requireHeld() {
	f.t.Helper()
	got := make([]byte, 4096)
	for b := range uint64(attackBlocks) {
		require.NoError(f.t, f.s.readRun(f.held.seq, b, got), "%s: a reader from before", f.what)
		require.Equal(f.t, string(pageOf(f.seen[b])), string(got), "%s: block %d changed under a reader", f.what, b)
	}
}

// directions is a script for a volume that is not encrypted: checkpoints past a
// reader, ranges of holes, growth and cutting off, encryption, another journal
// key, and decryption.
func (f *faultRun) directions() (errs []error) {
	ctx := context.Background()
	o := faultOptions(f.disk)
	o.Tune.Now = f.now
	s, err := Open("v", f.keys, &o)
	if err != nil {
		return []error{err}
	}
	f.s = s
	add := func(err error) {
		if err != nil {
			errs = append(errs, err)
			f.readers()
		}
	}
	resize := func(blocks int64) error {
		return s.Update(func(tx *Tx) error { return tx.Resize(blocks * 4096) })
	}
	add(f.update(map[uint64]uint64{0: 50, 169: 51}))
	add(f.settle(s.Sync(ctx)))
	if len(errs) == 0 {
		f.hold()
	}
	s.opts.CheckpointBytes = 1 // checkpoints pass the reader, and save what it needs
	add(f.update(map[uint64]uint64{0: 60, 1: 61, 168: 0}))
	add(f.settle(s.Checkpoint(ctx)))
	add(resize(attackBlocks + 400))
	add(s.Update(func(tx *Tx) error { return tx.Write(attackBlocks+300, pageOf(9)) }))
	add(f.settle(s.Checkpoint(ctx)))
	add(s.Update(func(tx *Tx) error { return tx.Trim(attackBlocks, 390) }))
	add(f.apply(map[uint64]uint64{2: 70}, true, s.UpdateLazy))
	add(resize(attackBlocks))
	add(f.settle(s.Checkpoint(ctx)))
	f.letGo()
	s.opts.CheckpointBytes = DefaultCheckpointBytes
	add(f.convert(Conversion{Suite: AESGCM, Key: f.ids[0]}))
	add(f.update(map[uint64]uint64{3: 80, 30: 81}))
	add(s.SetJournalKey(ctx, f.ids[1]))
	add(f.convert(Conversion{Suite: None}))
	add(f.update(map[uint64]uint64{4: 90}))
	if err := f.settle(s.Close()); err != nil {
		errs = append(errs, err)
	}
	return errs
}

// TestFailedSyncOfTheVolume: after any sync of the volume's file that failed,
// once, though the disk is well again, the store refuses writes until it is
// opened again; a failed open leaves nothing open.
func TestFailedSyncOfTheVolume(t *testing.T) {
	for _, suite := range []Suite{AESGCM, None} {
		start := faultStartUnder(t, suite)
		syncs := 0
		dry := start.on(t, "dry run")
		dry.disk.SetHook(func(op fsx.Op) error {
			if op.Name == "v" && (op.Kind == fsx.OpSync || op.Kind == fsx.OpSyncData) {
				syncs++
			}
			return nil
		})
		require.Empty(t, dry.script())
		require.Greater(t, syncs, 10)
		refused := 0
		for n := 1; n <= syncs; n++ {
			f := start.on(t, fmt.Sprintf("%v, sync %d of %d", suite, n, syncs))
			f.disk.Inject(fsx.Fault{Kind: fsx.OpSync, Nth: n, Once: true, Name: "v"})
			errs := f.script()
			require.NotEmpty(t, errs, "%s: nobody heard of it", f.what)
			require.ErrorIs(t, errs[0], syscall.EIO, f.what)
			if f.s != nil {
				require.NotNil(t, f.s.failure.Load(), "%s: writes go on", f.what)
				refused++
			}
			f.recovers()
		}
		require.Greater(t, refused, 8)
	}
}

// TestFailedSyncOfTheJournal: the same for the sync that a commit waits for. One
// of a segment that is still to be begun refuses the commit, and writes go on.
func TestFailedSyncOfTheJournal(t *testing.T) {
	unknown := 0
	for n := 1; n < 24; n++ {
		f := faultStart(t).on(t, fmt.Sprintf("sync %d", n))
		o := faultOptions(f.disk)
		s, err := Open("v", f.keys, &o)
		require.NoError(t, err)
		f.s = s
		f.disk.Inject(fsx.Fault{Kind: fsx.OpSync, Nth: n, Once: true, Name: "segment-*"})
		for i := range uint64(20) {
			if err = f.update(map[uint64]uint64{i: 700 + i}); err != nil {
				break
			}
		}
		require.ErrorIs(t, err, syscall.EIO)
		if errors.Is(err, ErrOutcomeUnknown) {
			unknown++
			f.readers()
			require.NotNil(t, s.failure.Load())
			require.Error(t, s.Close())
		} else {
			require.NoError(t, f.update(map[uint64]uint64{40: 740}))
			require.NoError(t, s.Close())
		}
		f.recovers()
	}
	require.Greater(t, unknown, 10)
}

// salvages checks that a salvage takes everything of a volume that a power cut
// left: it needs no more than recovery does, and loses nothing.
func (f *faultRun) salvages(disk *fsx.Mem) {
	f.t.Helper()
	r, err := Salvage(context.Background(), "v", f.keys, "new", SalvageOptions{Options: faultOptions(disk)})
	require.NoError(f.t, err, f.what)
	require.NoError(f.t, r.Err(), f.what)
	o := faultOptions(disk)
	s, err := Open("new", f.keys, &o)
	require.NoError(f.t, err, f.what)
	f.requireState(s)
	require.NoError(f.t, s.Close())
}

// TestConversionUnreadable: a block that the disk does not give is no block to
// give up: it stays under its key, the conversion says that it is not done, and
// goes on when the disk is well again.
func TestConversionUnreadable(t *testing.T) {
	f := faultStart(t).on(t, "")
	o := faultOptions(f.disk)
	s, err := Open("v", f.keys, &o)
	require.NoError(t, err)
	f.s = s
	require.NoError(t, f.settle(s.Checkpoint(context.Background())))
	s.cache = newPageCache(0, 4096)
	at := s.lay.block(5)
	f.disk.SetHook(func(op fsx.Op) error {
		if op.Kind == fsx.OpRead && op.Name == "v" && op.Off <= at && op.Off+int64(op.Len) > at {
			return syscall.EIO
		}
		return nil
	})
	c, err := s.Convert(context.Background(), Conversion{Key: f.ids[1], AcceptLoss: true})
	require.NoError(t, err)
	r, err := c.Wait()
	require.NoError(t, err)
	require.False(t, r.Complete)
	require.Zero(t, r.Lost, "an error of the disk is no loss")
	require.Equal(t, []uint64{5}, r.Damaged)
	require.NoError(t, f.update(map[uint64]uint64{9: 800}), "writes go on")
	f.disk.SetHook(nil)
	c, err = s.Convert(context.Background(), Conversion{Key: f.ids[1]})
	require.NoError(t, err)
	r, err = c.Wait()
	require.NoError(t, err)
	require.True(t, r.Complete)
	f.requireState(s)
	require.NoError(t, s.Close())
	f.recovers()
}

// TestCopiesOnAFailingDisk: whatever fails while a volume is exported or
// salvaged, there is no new volume, or a whole one; the source is as it was; run
// again it is there.
func TestCopiesOnAFailingDisk(t *testing.T) {
	ctx := context.Background()
	start := newWreck(t, AESGCM, false)
	before := start.read(start.disk, "v")
	work := map[string]func(disk *fsx.Mem) error{
		jobExport: func(disk *fsx.Mem) error {
			o := faultOptions(disk)
			o.ReadOnly = true
			s, err := Open("v", sameKeys(t, start.keys, start.ids), &o)
			if err != nil {
				return err
			}
			_, err = s.Export(ctx, "new", ExportOptions{})
			return errors.Join(err, s.Close())
		},
		jobSalvage: func(disk *fsx.Mem) error {
			_, err := Salvage(ctx, "v", sameKeys(t, start.keys, start.ids), "new", SalvageOptions{Options: faultOptions(disk)})
			return err
		},
	}
	step := 1
	if testing.Short() {
		step = 4
	}
	for name, run := range work {
		for _, kind := range []fsx.OpKind{fsx.OpWrite, fsx.OpSync, fsx.OpTruncate, fsx.OpAllocate, fsx.OpCreate, fsx.OpRemove, fsx.OpRename, fsx.OpMkdir, fsx.OpSyncDir} {
			failed := 0
			for n := 1; ; n += step {
				disk, what := start.disk.Clone(), fmt.Sprintf("%s, %v %d", name, kind, n)
				disk.Inject(fsx.Fault{Kind: kind, Nth: n, Once: true})
				err := run(disk)
				if err != nil {
					require.ErrorIs(t, err, syscall.EIO, what)
					failed++
				}
				disk.ClearFaults()
				require.Equal(t, before, start.arena.read(disk, "v"), what)
				again := run(disk)
				if !errors.Is(again, ErrState) { // the first had put it in place
					require.NoError(t, again, what)
				}
				keys := start.keys
				if name == jobExport {
					keys = nil
				}
				s := reopenAs(t, disk, keys, "new")
				got := shape(t, s)
				for b := range got {
					require.Equal(t, string(start.want[b]), string(got[b]), "%s, block %d", what, b)
				}
				require.NoError(t, s.Close())
				if err == nil {
					break
				}
			}
			t.Logf("%s, %v: %d failed", name, kind, failed)
		}
	}
}
