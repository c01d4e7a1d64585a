package blockstore

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/fsx"
)

// TestFullDisk runs the script on a disk with ever so little space. What does
// not fit is refused; the store goes on once there is space again, and nothing
// acknowledged is lost. On a file system that never overwrites in place a
// checkpoint may fail: then the store refuses writes until it is opened again.
func TestFullDisk(t *testing.T) {
	for _, suite := range []Suite{AESGCM, None} {
		t.Run(suite.String(), func(t *testing.T) { fillEverywhere(t, faultStartUnder(t, suite)) })
	}
}

func fillEverywhere(t *testing.T, start *faultRun) {
	need := start.on(t, "dry run")
	before := need.disk.Used()
	most := before
	need.disk.SetHook(nil)
	require.Empty(t, need.script())
	most = max(most, need.disk.Used()) + 1<<20
	for _, copyOnWrite := range []bool{false, true} {
		t.Run(fmt.Sprintf("copyOnWrite=%v", copyOnWrite), func(t *testing.T) {
			t.Parallel()
			refused, whole, poisoned := 0, 0, 0
			for space := int64(0); before+space < most; space += 28 << 10 {
				f := start.on(t, fmt.Sprintf("space %d", space))
				f.disk.SetCapacity(before + space)
				f.disk.SetFailOverwrite(copyOnWrite)
				f.s = nil
				errs := f.script()
				for _, err := range errs[:min(1, len(errs))] {
					require.ErrorIs(t, err, syscall.ENOSPC, f.what)
				}
				switch {
				case len(errs) == 0:
					whole++
				case f.s != nil && f.s.failure.Load() != nil:
					poisoned++
				default:
					refused++
				}
				f.recovers()
			}
			t.Logf("done %d, refused %d, refused until opened again %d", whole, refused, poisoned)
			require.Positive(t, whole)
			require.Positive(t, refused)
			if !copyOnWrite {
				require.Zero(t, poisoned)
			}
		})
	}
}

// TestFullDiskThenSpace: each refusal leaves the store as it was.
func TestFullDiskThenSpace(t *testing.T) {
	ctx := context.Background()
	f := faultStart(t)
	f = f.on(t, "")
	o := faultOptions(f.disk)
	s, err := Open("v", f.keys, &o)
	require.NoError(t, err)
	f.s = s
	full := func() { f.disk.SetCapacity(1) }
	free := func() { f.disk.SetCapacity(0) }
	for i := range uint64(3) {
		full()
		require.ErrorIs(t, f.update(map[uint64]uint64{90 + i: 1}), syscall.ENOSPC, "a first write needs space")
		require.ErrorIs(t, s.SwitchJournal(ctx), syscall.ENOSPC)
		require.ErrorIs(t, s.SetJournalKey(ctx, f.ids[1]), syscall.ENOSPC)
		_, err := s.Convert(ctx, Conversion{Key: f.ids[1]})
		require.ErrorIs(t, err, syscall.ENOSPC)
		require.NoError(t, f.settle(s.Checkpoint(ctx)), "everything has its space")
		free()
		require.NoError(t, f.update(map[uint64]uint64{90 + i: 2, 1: 100 + i}))
		require.NoError(t, s.SwitchJournal(ctx))
		full()
		require.NoError(t, f.update(map[uint64]uint64{90 + i: 3}), "an overwrite needs none")
		free()
	}
	full()
	f.requireState(s)
	require.NoError(t, s.Close(), "nor does the end")
	f.recovers()
}

// TestIgnoredWriteError: a transaction one of whose writes failed does not
// commit, even if its function says that all is well.
func TestIgnoredWriteError(t *testing.T) {
	for space := int64(0); space < 1<<20; space += 20 << 10 {
		f := faultStart(t).on(t, fmt.Sprintf("space %d", space))
		o := faultOptions(f.disk)
		s, err := Open("v", f.keys, &o)
		require.NoError(t, err)
		f.s = s
		f.disk.SetCapacity(f.disk.Used() + space)
		failed := false
		err = s.Update(func(tx *Tx) error {
			for b := range uint64(60) {
				if tx.Write(b, pageOf(500+b)) != nil {
					failed = true
					f.disk.SetCapacity(0)
				}
			}
			return nil
		})
		f.disk.SetCapacity(0)
		switch {
		case err == nil && failed:
			require.Fail(t, "committed", f.what)
		case err == nil:
			next := f.last()
			for b := range uint64(60) {
				next[b] = 500 + b
			}
			f.states = []contents{next}
		}
		require.NoError(t, f.update(map[uint64]uint64{1: 3}), f.what)
		dead := f.disk.Kill()
		_ = s.Close()
		f.disk = dead
		f.recovers()
	}
}

// TestMisdirectedWrite lets each write of the script land elsewhere, once. What
// is read later is right or an error, and a verification finds it.
func TestMisdirectedWrite(t *testing.T) {
	start := faultStart(t)
	writes := 0
	dry := start.on(t, "dry run")
	dry.disk.SetHook(func(op fsx.Op) error {
		if op.Kind == fsx.OpWrite {
			writes++
		}
		return nil
	})
	require.Empty(t, dry.script())
	step := 2
	if testing.Short() {
		step = 6
	}
	found := 0
	for n := 1; n <= writes; n += step {
		for _, delta := range []int64{4096, -8192, 64 << 10} {
			f := start.on(t, fmt.Sprintf("write %d of %d, by %d", n, writes, delta))
			f.disk.Misdirect(n, delta)
			if errs := f.script(); len(errs) > 0 {
				requireMarkedError(t, errs[0], f.what)
			}
			for _, disk := range []*fsx.Mem{f.disk.Clone(), f.disk.Kill().Crash(rand.New(rand.NewPCG(1, uint64(n))))} {
				if f.readable(disk) {
					found++
				}
			}
		}
	}
	require.Positive(t, found)
	t.Logf("%d of %d were noticed", found, 2*3*((writes+step-1)/step))
}

// readable reads what can be read of a disk, and reports whether something was noticed.
func (f *faultRun) readable(disk *fsx.Mem) (noticed bool) {
	o := faultOptions(disk)
	o.ReadOnly = true
	s, err := Open("v", f.keys, &o)
	if err != nil {
		requireMarkedError(f.t, err, f.what)
		return true
	}
	for b := range uint64(attackBlocks) {
		got, err := readBlock(s, b)
		if err != nil {
			requireMarkedError(f.t, err, f.what)
			noticed = true
			continue
		}
		ok := false
		for _, st := range f.states {
			ok = ok || bytes.Equal(got, pageOf(st[b]))
		}
		require.True(f.t, ok, "%s: block %d holds something else", f.what, b)
	}
	r, err := s.Verify(context.Background(), VerifyOptions{Workers: 1})
	require.NoError(f.t, err)
	if noticed {
		require.Error(f.t, r.Err(), f.what)
	}
	require.NoError(f.t, s.Close())
	return noticed || !r.OK
}

func requireMarkedError(t *testing.T, err error, what string) {
	t.Helper()
	(&randomAttack{arena: &arena{t: t}, steps: []string{what}}).requireMarked(err)
}

// TestFullDiskAfterPowerCut: what is recovered gets its space when the volume
// is opened, or the open is refused and nothing has changed; no checkpoint
// fails for it later.
func TestFullDiskAfterPowerCut(t *testing.T) {
	ctx := context.Background()
	refused := 0
	for seed := range uint64(20) {
		f := faultStart(t).on(t, fmt.Sprintf("seed %d", seed))
		o := faultOptions(f.disk)
		s, err := Open("v", f.keys, &o)
		require.NoError(t, err)
		f.s = s
		require.NoError(t, f.update(map[uint64]uint64{90: 1, 91: 2, 120: 3}))
		reserved := f.disk.Used()
		cut := f.disk.Crash(rand.New(rand.NewPCG(seed, 1)))
		_ = s.Close()
		f.disk = cut

		if lost := reserved - cut.Used(); lost > 0 {
			cut.SetCapacity(cut.Used() + lost/2)
			before := volumeBytes(t, cut)
			o := faultOptions(cut)
			if early, err := Open("v", f.keys, &o); err == nil {
				require.NoError(t, early.Close(), "what was lost is the journal's alone")
			} else {
				refused++
				require.ErrorIs(t, err, syscall.ENOSPC, f.what)
				require.Contains(t, fault.HintOf(err), "free space")
				require.True(t, bytes.HasPrefix(volumeBytes(t, cut), before), f.what)
			}
			o.ReadOnly = true
			reader, err := Open("v", f.keys, &o)
			require.NoError(t, err, f.what)
			f.requireState(reader)
			require.NoError(t, reader.Close())
		}
		cut.SetCapacity(0)
		o = faultOptions(cut)
		s, err = Open("v", f.keys, &o)
		require.NoError(t, err, f.what)
		f.s = s
		cut.SetCapacity(1)
		require.NoError(t, f.settle(s.Checkpoint(ctx)), f.what)
		require.NoError(t, s.Close(), f.what)
		cut.SetCapacity(0)
		f.recovers()
	}
	require.Positive(t, refused)
}

func volumeBytes(t *testing.T, disk *fsx.Mem) []byte {
	t.Helper()
	data, err := disk.ReadFile("v")
	require.NoError(t, err)
	return data
}
