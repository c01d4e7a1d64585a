package blockstore

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/fsx"
	"github.com/cofferdb/coffer/internal/tune"
)

// faultRun is a scripted workload on a disk that fails, beside a model.
type faultRun struct {
	t      *testing.T
	keys   *dek.Keyring
	ids    []dek.ID
	disk   *fsx.Mem
	s      *Store
	states []contents // possible now: the last acknowledged one and those after it
	what   string
	deaf   bool // reads fail too
	now    func() time.Time
	suite  Suite
	held   *snapshot // of a reader from before the failure
	seen   contents  // what it sees
}

func faultOptions(fs *fsx.Mem) Options {
	o := testOptions(fs)
	o.Workers = 1
	o.Tune = tune.Store{Inline: true, TxMemory: 64 << 10}
	return o
}

// faultStart is a volume whose process died with several segments behind its last checkpoint.
func faultStart(t *testing.T) *faultRun { return faultStartUnder(t, AESGCM) }

func faultStartUnder(t *testing.T, suite Suite) *faultRun {
	f := &faultRun{t: t, disk: fsx.NewMem(1), states: []contents{{}}, suite: suite}
	f.keys, f.ids = ring(t, 2)
	s, err := Create("v", f.keys, CreateOptions{Options: faultOptions(f.disk), Size: attackBlocks * 4096, BlockSize: 4096, Suite: suite})
	require.NoError(t, err)
	f.s = s
	for i := range uint64(12) {
		f.update(map[uint64]uint64{i: 10 + i, 168: 20 + i})
		if i == 4 {
			require.NoError(t, s.Checkpoint(context.Background()))
		}
	}
	f.disk = f.disk.Kill().Clone()
	_ = s.Close()
	return f
}

// on returns the same on a copy of the disk, with a keyring of its own.
func (f *faultRun) on(t *testing.T, what string) *faultRun {
	c := *f
	c.t, c.what, c.disk, c.keys, c.s = t, what, f.disk.Clone(), sameKeys(t, f.keys, f.ids), nil
	return &c
}

// sameKeys returns another keyring with the same keys.
func sameKeys(t testing.TB, keys *dek.Keyring, ids []dek.ID) *dek.Keyring {
	t.Helper()
	r := dek.NewKeyring()
	for _, id := range ids {
		l, err := keys.Lease(id, dek.Database, "test")
		require.NoError(t, err)
		require.NoError(t, r.Activate(l.Key(), dek.Database, dek.Active))
		l.Release()
	}
	return r
}

func (f *faultRun) last() contents { return f.states[len(f.states)-1] }

// apply makes a commit by do and keeps the model: what is acknowledged stays,
// what failed with an unknown outcome may be there, everything else is not.
func (f *faultRun) apply(writes map[uint64]uint64, lazy bool, do func(fn func(*Tx) error) error) error {
	next := f.last()
	for b, seed := range writes {
		next[b] = seed
	}
	err := do(func(tx *Tx) error {
		for b, seed := range writes {
			if seed == 0 {
				if err := tx.Trim(b, 1); err != nil {
					return err
				}
			} else if err := tx.Write(b, pageOf(seed)); err != nil {
				return err
			}
		}
		return nil
	})
	switch {
	case err == nil && !lazy:
		f.states = []contents{next}
	case err == nil || errors.Is(err, ErrOutcomeUnknown):
		f.states = append(f.states[:len(f.states):len(f.states)], next)
	}
	return err
}

func (f *faultRun) update(writes map[uint64]uint64) error {
	return f.apply(writes, false, func(fn func(*Tx) error) error { return f.s.Update(fn) })
}

// settle says that everything is acknowledged.
func (f *faultRun) settle(err error) error {
	if err == nil {
		f.states = f.states[len(f.states)-1:]
	}
	return err
}

// script runs everything that writes. It returns the errors; after one it goes on, as a program would.
func (f *faultRun) script() (errs []error) {
	if f.suite == None {
		return f.directions()
	}
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
	add(f.update(map[uint64]uint64{0: 50, 169: 51}))
	add(f.apply(map[uint64]uint64{1: 52, 30: 53}, true, s.UpdateLazy))
	add(f.update(map[uint64]uint64{31: 54}))
	add(f.settle(s.Checkpoint(ctx)))
	add(s.SwitchJournal(ctx))
	add(f.update(map[uint64]uint64{2: 55, 3: 0}))
	add(f.convert(Conversion{Key: f.ids[1]}))
	add(f.update(map[uint64]uint64{4: 56}))
	big := map[uint64]uint64{}
	for b := range uint64(40) {
		big[100+b] = 60 + b
	}
	add(f.update(big))
	add(f.settle(s.Sync(ctx)))
	add(f.update(map[uint64]uint64{5: 57}))
	if err := f.settle(s.Close()); err != nil {
		errs = append(errs, err)
	}
	return errs
}

func (f *faultRun) convert(c Conversion) error {
	v, err := f.s.Convert(context.Background(), c)
	if err != nil {
		return err
	}
	r, err := v.Wait()
	if err == nil && !r.Complete { // a block that the disk did not give
		err = fmt.Errorf("incomplete, %d blocks damaged: %w", len(r.Damaged), fault.Both(fault.Damaged, syscall.EIO))
	}
	return err
}

// readers checks that reads go on after a failure, and see a commit that may have been acknowledged.
func (f *faultRun) readers() {
	if f.s.failure.Load() == nil || f.deaf {
		return
	}
	require.ErrorIs(f.t, f.s.Update(func(tx *Tx) error { return tx.Write(7, pageOf(99)) }), ErrState, f.what)
	require.Error(f.t, f.s.Checkpoint(context.Background()), f.what)
	f.requireState(f.s)
	if f.held != nil {
		f.requireHeld()
	}
}

// requireState checks that the volume is in one of the possible states, whole.
func (f *faultRun) requireState(s *Store) {
	f.t.Helper()
	var why string
	for _, want := range f.states {
		if why = f.differs(s, want); why == "" {
			return
		}
	}
	require.Fail(f.t, "lost or torn", "%s: in none of %d states; against the last: %s", f.what, len(f.states), why)
}

func (f *faultRun) differs(s *Store, want contents) (why string) {
	err := s.View(func(tx *Tx) error {
		for b := range uint64(attackBlocks) {
			got, err := tx.Read(b)
			if err != nil {
				return err
			}
			if string(got) != string(pageOf(want[b])) {
				return fmt.Errorf("block %d is not %d", b, want[b])
			}
		}
		return nil
	})
	if err != nil {
		return err.Error()
	}
	return ""
}

// recovers opens what a machine finds that goes on, one whose cache was given up, and one that lost power.
func (f *faultRun) recovers() {
	for _, id := range f.ids {
		require.Empty(f.t, f.keys.Holders(id), "%s: a lease is left", f.what)
	}
	f.disk.ClearFaults()
	f.disk.SetCapacity(0)
	rng := rand.New(rand.NewPCG(1, uint64(len(f.what))))
	alive := f.disk.Kill()
	evicted := alive.Kill() // alive is dead now, but can be copied
	crashed := evicted.Crash(rng)
	if rng.IntN(4) == 0 {
		f.salvages(crashed.Clone())
	}
	disks := []*fsx.Mem{evicted, crashed}
	for i, disk := range disks {
		if i == 0 {
			disk.DropCaches()
		}
		o := faultOptions(disk)
		s, err := Open("v", f.keys, &o)
		require.NoError(f.t, err, f.what)
		f.requireState(s)
		r, err := s.Verify(context.Background(), VerifyOptions{Workers: 1})
		require.NoError(f.t, err)
		require.NoError(f.t, r.Err(), f.what)
		require.NoError(f.t, s.Close(), f.what)
	}
}

// TestFaultAtEveryOperation makes the n-th operation of each kind fail, for
// every n, once and from then on.
func TestFaultAtEveryOperation(t *testing.T) {
	for _, suite := range []Suite{AESGCM, None} {
		t.Run(suite.String(), func(t *testing.T) { faultEverywhere(t, faultStartUnder(t, suite)) })
	}
}

func faultEverywhere(t *testing.T, start *faultRun) {
	counts := map[fsx.OpKind]int{}
	dry := start.on(t, "dry run")
	dry.disk.SetHook(func(op fsx.Op) error { counts[op.Kind]++; return nil })
	require.Empty(t, dry.script())
	counts[fsx.OpSync] += counts[fsx.OpSyncData]
	kinds := []fsx.OpKind{fsx.OpRead, fsx.OpWrite, fsx.OpSync, fsx.OpTruncate, fsx.OpAllocate, fsx.OpCreate, fsx.OpRemove, fsx.OpMkdir, fsx.OpSyncDir}
	step := 1
	if testing.Short() {
		step = 7
	}
	for _, kind := range kinds {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			for n := 1; n <= counts[kind]; n += step {
				for _, once := range []bool{true, false} {
					f := start.on(t, fmt.Sprintf("%v %d of %d, once=%v", kind, n, counts[kind], once))
					inject := fsx.Fault{Kind: kind, Nth: n, Once: once}
					if kind == fsx.OpWrite {
						inject.TornBytes = n * 700 % 9000
					}
					f.disk.Inject(inject)
					f.deaf = kind == fsx.OpRead
					errs := f.script()
					for _, err := range errs[:min(1, len(errs))] {
						require.ErrorIs(t, err, syscall.EIO, f.what)
					}
					f.recovers()
				}
			}
		})
	}
	t.Logf("operations: %v", counts)
}
