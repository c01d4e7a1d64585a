package blockstore

import (
	"bytes"
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
)

// halfRekeyed is a wreck whose re-key from the first key to the second one has not ended: some blocks are under each.
func halfRekeyed(t *testing.T) (w *wreck, under map[uint64]dek.ID) {
	w = newWreck(t, AESGCM, false)
	s := reopen(t, w.disk, w.keys) // paced, which attackOptions are not
	halfway(t, s, Conversion{Key: w.ids[1]}, 1)
	require.NoError(t, s.Close())
	w.l = w.label()
	under = map[uint64]dek.ID{}
	s = reopen(t, w.disk.Clone(), w.keys)
	for b, page := range w.want {
		if page != nil {
			rec, err := s.meta.record(uint64(b))
			require.NoError(t, err)
			under[uint64(b)] = s.label.Load().slots[rec.slot].key
		}
	}
	require.NoError(t, s.Close())
	return w, under
}

// TestSalvageWithoutKey: of a volume under two keys, what is under the one that is left is taken, once the other is
// given up by name; what was under that is lost, for this reason; nothing else is.
func TestSalvageWithoutKey(t *testing.T) {
	w, under := halfRekeyed(t)
	gone := w.ids[0]
	all := w.keys
	for refused, ring := range map[error]*dek.Keyring{ErrNotActivated: sameKeys(t, all, w.ids[1:]), ErrWrongKey: impostor(t, all, w.ids[1], gone)} {
		t.Run(refused.Error(), func(t *testing.T) {
			v := &wreck{arena: &arena{scene: &scene{keys: ring, ids: w.ids, suite: AESGCM}, t: t, disk: w.disk.Clone()}, want: w.want, size: w.size, l: w.l}
			before := v.disk.Files()
			_, err := Salvage(context.Background(), "v", ring, "new", SalvageOptions{Options: testOptions(v.disk)})
			require.ErrorIs(t, err, refused)
			require.Contains(t, fault.HintOf(err), "--without-key")
			require.Equal(t, before, v.disk.Files())
			r := v.salvaged(SalvageOptions{WithoutKeys: []dek.ID{gone}, AcceptStale: true}, w.want, w.size)
			require.ErrorIs(t, r.Err(), ErrDamaged)
			lost, taken := 0, 0
			states := statesOf(t, r)
			for b, id := range under {
				if id == gone {
					require.Equal(t, isLost, states[b], "block %d", b)
					lost++
				} else {
					require.Empty(t, states[b], "block %d", b)
					taken++
				}
			}
			require.Positive(t, lost)
			require.Positive(t, taken)
			require.EqualValues(t, lost, r.LostBlocks)
			require.EqualValues(t, taken, r.Copied)
			for _, g := range r.Lost {
				require.Equal(t, "its key "+gone.String()+" is left out", g.Why)
			}
		})
	}
}

// impostor is a keyring with a key of another volume's owner under an ID that it does not have.
func impostor(t *testing.T, all *dek.Keyring, own, other dek.ID) *dek.Keyring {
	r := sameKeys(t, all, []dek.ID{own})
	k, err := dek.Import(other, bytes.Repeat([]byte{7}, 32))
	require.NoError(t, err)
	defer k.Destroy()
	require.NoError(t, r.Activate(k, dek.Database, dek.Active))
	return r
}

// TestSalvageWithoutKeyThatIsThere: naming a key that is activated loses nothing.
func TestSalvageWithoutKeyThatIsThere(t *testing.T) {
	w, _ := halfRekeyed(t)
	r := w.salvaged(SalvageOptions{WithoutKeys: w.ids}, w.want, w.size)
	require.NoError(t, r.Err())
}

// TestSalvageWithoutLabelKey: the key of the label's MAC cannot be given up, nor can an attacker's label make it look so.
func TestSalvageWithoutLabelKey(t *testing.T) {
	w, _ := halfRekeyed(t)
	one := sameKeys(t, w.keys, w.ids[:1])
	_, err := Salvage(context.Background(), "v", one, "new", SalvageOptions{Options: testOptions(w.disk), WithoutKeys: w.ids[1:]})
	require.ErrorIs(t, err, ErrNotActivated)
	require.Contains(t, fault.HintOf(err), "cannot be left out")
	require.False(t, exists(w.disk, "new"))
}
