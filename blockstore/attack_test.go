package blockstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/internal/fsx"
)

// The table of attacks that FORMAT.md points to: attacks on labels, tree and
// data (attack_volume_test.go), on the journal (attack_journal_test.go), and on
// whole histories (attack_history_test.go). Each row says what the format
// promises, or, where it promises nothing, what happens.

// attack is one row.
type attack struct {
	name string
	on   string // scene
	do   func(a *arena)
	only []Suite // all where empty

	// refuse is the marker of the error with which every open is refused, and
	// refuseWrite that of a read-write open alone. Every file stays as it was.
	refuse, refuseWrite error
	is                  error // a sentinel that the refusal is too
	// bad are the blocks whose reads fail with ErrTampered; all others read right.
	bad func(block uint64) bool
	// holds picks the state that is read; nil is the last one.
	holds func(a *arena) contents
	// label: a copy of the label is reported by Verify; nothing else is wrong.
	label bool
	// options of the opener beyond the usual ones.
	options func(a *arena, o *Options)
}

var keyed = []Suite{AESGCM, AESCBC, AESXTS}

func only(blocks ...uint64) func(uint64) bool {
	return func(b uint64) bool {
		for _, x := range blocks {
			if b == x {
				return true
			}
		}
		return false
	}
}

func all(uint64) bool                  { return true }
func group(g uint64) func(uint64) bool { return func(b uint64) bool { return b/perGroup == g } }

func TestAttacks(t *testing.T) {
	table := [][]attack{labelAttacks, volumeAttacks, journalAttacks}
	for _, suite := range suites {
		if testing.Short() && suite != AESGCM && suite != None {
			continue
		}
		t.Run(suite.String(), func(t *testing.T) {
			t.Parallel()
			scenes := map[string]*scene{"clean": cleanScene(t, suite), "crashed": crashedScene(t, suite)}
			for _, rows := range table {
				for i := range rows {
					row := &rows[i]
					if len(row.only) > 0 && !contains(row.only, suite) {
						continue
					}
					t.Run(row.name, func(t *testing.T) { row.run(t, scenes[row.on]) })
				}
			}
		})
	}
}

func contains(list []Suite, s Suite) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

func (k *attack) run(t *testing.T, sc *scene) {
	a := &arena{scene: sc, t: t, disk: sc.now.Clone()}
	k.do(a)
	before := filesOf(t, a.disk)
	k.check(a, true)
	requireSameFiles(t, before, a.disk)
	k.keyless(a)
	requireSameFiles(t, before, a.disk)
	k.check(a, false)
	if k.refuse != nil || k.refuseWrite != nil {
		requireSameFiles(t, before, a.disk)
	}
}

// check opens, reads everything, verifies and closes.
func (k *attack) check(a *arena, readOnly bool) {
	t := a.t
	o := attackOptions(a.disk)
	o.ReadOnly = readOnly
	if k.options != nil {
		k.options(a, &o)
	}
	s, err := Open("v", a.keys, &o)
	want := k.refuse
	if want == nil && !readOnly {
		want = k.refuseWrite
	}
	if want != nil {
		require.ErrorIs(t, err, want, "readOnly=%v", readOnly)
		if k.is != nil {
			require.ErrorIs(t, err, k.is)
		}
		return
	}
	require.NoError(t, err, "readOnly=%v", readOnly)
	state := a.last()
	if k.holds != nil {
		state = k.holds(a)
	}
	requireHolds(t, s, state, k.bad)
	k.verify(t, s, readOnly)
	if err := s.Close(); k.bad == nil {
		require.NoError(t, err)
	} else if err != nil {
		require.ErrorIs(t, err, ErrTampered)
	}
}

func (k *attack) verify(t *testing.T, s *Store, readOnly bool) {
	r, err := s.Verify(context.Background(), VerifyOptions{Workers: 1})
	require.NoError(t, err)
	switch {
	case k.bad != nil:
		require.ErrorIs(t, r.Err(), ErrTampered)
	case k.label && readOnly:
		require.EqualValues(t, 1, r.Found)
		require.Equal(t, "label", r.Problems[0].Kind)
	default:
		require.NoError(t, r.Err())
	}
}

// keyless verifies without keys: it may find it or not, but it ends and says so with a marker.
func (k *attack) keyless(a *arena) {
	o := attackOptions(a.disk)
	r, err := VerifyFile(context.Background(), "v", nil, &o, VerifyOptions{})
	if err == nil {
		err = r.Err()
	}
	if err != nil {
		require.True(a.t, errors.Is(err, ErrTampered) || errors.Is(err, ErrDamaged) || errors.Is(err, ErrVersion) || errors.Is(err, ErrNotVolume), "%v", err)
	}
	_, _ = Inspect("v", &o)
}

// requireHolds reads every block: those that bad names fail with ErrTampered, the others are as in want.
func requireHolds(t *testing.T, s *Store, want contents, bad func(uint64) bool) {
	t.Helper()
	for b := range uint64(attackBlocks) {
		got, err := readBlock(s, b)
		if bad != nil && bad(b) {
			require.ErrorIs(t, err, ErrTampered, "block %d", b)
			continue
		}
		require.NoError(t, err, "block %d", b)
		if !bytes.Equal(got, pageOf(want[b])) {
			require.Fail(t, "wrong plaintext", "block %d is not %d", b, want[b])
		}
	}
}

func readBlock(s *Store, b uint64) (page []byte, err error) {
	err = s.View(func(tx *Tx) error {
		p, err := tx.Read(b)
		page = bytes.Clone(p)
		return err
	})
	return page, err
}

func filesOf(t testing.TB, disk *fsx.Mem) map[string]string {
	t.Helper()
	m := map[string]string{}
	for _, name := range disk.Files() {
		b, err := disk.ReadFile(name)
		require.NoError(t, err)
		m[name] = string(b)
	}
	return m
}

func requireSameFiles(t testing.TB, before map[string]string, disk *fsx.Mem) {
	t.Helper()
	after := filesOf(t, disk)
	for name := range before {
		if _, ok := after[name]; !ok {
			require.Fail(t, "a file is gone", name)
		}
	}
	for name, b := range after {
		if old, ok := before[name]; !ok || old != b {
			require.Fail(t, "a file is not as it was", fmt.Sprintf("%s: there before: %v, %d bytes, %d now", name, ok, len(old), len(b)))
		}
	}
}
