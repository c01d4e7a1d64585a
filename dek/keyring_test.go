package dek

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/cofferdb/coffer/internal/fault"
	"github.com/stretchr/testify/require"
)

func newRing(t testing.TB) *Keyring {
	t.Helper()
	r := NewKeyring()
	t.Cleanup(func() { require.NoError(t, r.Close(), "a lease leaked") })
	return r
}

// K2: 256 for databases, 4 for elements, and the 257th and 5th are refused.
func TestK2Limits(t *testing.T) {
	for _, use := range []Use{Database, Element} {
		t.Run(use.String(), func(t *testing.T) {
			r := newRing(t)
			want := map[Use]int{Database: 256, Element: 4}[use]
			first := newKey(t, 128)
			require.NoError(t, r.Activate(first, use, Active))
			for range want - 1 {
				require.NoError(t, r.Activate(newKey(t, 128), use, Active))
			}
			one := newKey(t, 128)
			err := r.Activate(one, use, Active)
			require.ErrorIs(t, err, ErrKeyringFull)
			require.ErrorIs(t, err, fault.Usage)
			require.NotErrorIs(t, err, fault.State)
			require.NotEmpty(t, fault.HintOf(err))
			require.Len(t, r.List(), want)
			require.NoError(t, r.Activate(first, use, Active), "activated already: no slot needed")

			other := Database + Element - use
			require.NoError(t, r.Activate(first, other, Active), "the same key for both, slots counted apart")
			victim := r.List()[0].ID
			if d, _ := r.Default(); victim == d {
				victim = r.List()[1].ID
			}
			require.NoError(t, r.Deactivate(victim, use))
			require.NoError(t, r.Activate(one, use, Active), "a slot came free")
		})
	}
}

// K2: the same key for both uses; each use goes on its own.
func TestK2BothUses(t *testing.T) {
	r := newRing(t)
	k := newKey(t, 256)
	require.NoError(t, r.Activate(newKey(t, 256), Database, Active))
	require.NoError(t, r.Activate(k, Database, DecryptOnly))
	require.NoError(t, r.Activate(k, Element, Active))
	var e Entry
	for _, x := range r.List() {
		if x.ID == k.ID() {
			e = x
		}
	}
	require.Equal(t, []Use{Database, Element}, e.Uses)
	require.Equal(t, DecryptOnly, e.Mode)
	require.Equal(t, Active, e.ElementMode)
	require.NoError(t, r.Deactivate(k.ID(), Database))
	_, err := r.Lease(k.ID(), Database, "volume")
	require.ErrorIs(t, err, ErrNotActivated)
	l, err := r.Lease(k.ID(), Element, "field")
	require.NoError(t, err)
	require.True(t, l.Key().Equal(k))
	l.Release()
}

func TestActivateRefuses(t *testing.T) {
	r := newRing(t)
	k := newKey(t, 256)
	require.NoError(t, r.Activate(k, Database, DecryptOnly))
	require.NoError(t, r.Activate(k, Database, Active), "idempotent")
	require.Equal(t, DecryptOnly, r.List()[0].Mode, "and the mode stays")
	wrong, err := Import(k.ID(), make([]byte, 32))
	require.NoError(t, err)
	defer wrong.Destroy()
	for _, use := range []Use{Database, Element} {
		require.ErrorIs(t, r.Activate(wrong, use, Active), fault.WrongKey)
	}
	_, err = r.ActivateAll([]*Key{newKey(t, 128), wrong}, Database, Active)
	require.ErrorIs(t, err, fault.WrongKey)
	require.Len(t, r.List(), 1, "nothing was activated")
	require.ErrorIs(t, r.Activate(k, 0, Active), fault.Usage)
	require.ErrorIs(t, r.Activate(k, 3, Active), fault.Usage)
	require.ErrorIs(t, r.Activate(k, Database, 0), fault.Usage)
	gone := newKey(t, 128)
	gone.Destroy()
	require.ErrorIs(t, r.Activate(gone, Database, Active), ErrDestroyed)
	require.ErrorIs(t, r.Activate(nil, Database, Active), ErrDestroyed)
	fresh := newKey(t, 128)
	clash, err := Import(fresh.ID(), make([]byte, 16))
	require.NoError(t, err)
	defer clash.Destroy()
	_, err = r.ActivateAll([]*Key{fresh, clash}, Database, Active)
	require.ErrorIs(t, err, fault.WrongKey, "the clash is inside the list")
	require.Len(t, r.List(), 1)
}

// K3: as many as fit, and what did not fit is reported.
func TestK3ActivateAll(t *testing.T) {
	r := newRing(t)
	var keys []*Key
	for range 6 {
		keys = append(keys, newKey(t, 128))
	}
	a, err := r.ActivateAll(keys, Element, Active)
	require.NoError(t, err)
	require.Equal(t, []ID{keys[0].ID(), keys[1].ID(), keys[2].ID(), keys[3].ID()}, a.IDs)
	require.Equal(t, []ID{keys[4].ID(), keys[5].ID()}, a.DidNotFit)
	require.False(t, a.First, "element keys carry no marks")
	a, err = r.ActivateAll(keys[4:], Element, Active)
	require.ErrorIs(t, err, ErrKeyringFull)
	require.Len(t, a.DidNotFit, 2)
	a, err = r.ActivateAll(keys, Database, Active)
	require.NoError(t, err)
	require.True(t, a.First)
	require.Len(t, a.IDs, 6)
	a, err = r.ActivateAll(keys, Database, Active)
	require.NoError(t, err)
	require.False(t, a.First)
	a, err = r.ActivateAll(nil, Database, Active)
	require.NoError(t, err)
	require.Zero(t, a)
}

// K4: the first database key that can encrypt is default and journal key.
func TestK4Marks(t *testing.T) {
	r := newRing(t)
	_, ok := r.Default()
	require.False(t, ok)
	_, ok = r.Journal()
	require.False(t, ok)
	a, b, elem := newKey(t, 128), newKey(t, 256), newKey(t, 128)
	require.NoError(t, r.Activate(elem, Element, Active))
	_, ok = r.Default()
	require.False(t, ok, "an element key is not it")
	require.NoError(t, r.Activate(b, Database, DecryptOnly))
	_, ok = r.Default()
	require.False(t, ok, "a decrypt-only key is not it")
	require.ErrorIs(t, r.SetDefault(b.ID()), ErrDecryptOnly)
	require.NoError(t, r.Activate(a, Database, Active))
	id, ok := r.Default()
	require.True(t, ok)
	require.Equal(t, a.ID(), id)
	id, _ = r.Journal()
	require.Equal(t, a.ID(), id)

	require.ErrorIs(t, r.SetJournal(elem.ID()), ErrNotActivated)
	require.ErrorIs(t, r.SetDefault(NewID()), ErrNotActivated)
	require.NoError(t, r.SetMode(b.ID(), Database, Active))
	require.NoError(t, r.SetJournal(b.ID()))
	id, _ = r.Default()
	require.Equal(t, a.ID(), id, "marks are apart")
	require.ErrorIs(t, r.SetMode(b.ID(), Database, DecryptOnly), ErrState)
	require.ErrorIs(t, r.SetMode(a.ID(), Database, DecryptOnly), ErrState)
	require.NoError(t, r.SetDefault(b.ID()))
	require.NoError(t, r.SetMode(a.ID(), Database, DecryptOnly))
	require.ErrorIs(t, r.SetMode(a.ID(), Element, Active), ErrNotActivated)
	require.ErrorIs(t, r.SetMode(a.ID(), Database, 7), ErrUsage)

	late := newRing(t)
	require.NoError(t, late.Activate(b, Database, DecryptOnly))
	require.NoError(t, late.SetMode(b.ID(), Database, Active))
	id, _ = late.Default()
	require.Equal(t, b.ID(), id, "made active is as good as activated")
}

// K5: every refusal names its reason and, where something holds the key, what.
func TestK5Deactivate(t *testing.T) {
	r := newRing(t)
	a, b := newKey(t, 128), newKey(t, 128)
	require.NoError(t, r.Activate(a, Database, Active))
	require.NoError(t, r.Activate(b, Database, Active))
	refused := func(id ID, reasons ...string) {
		t.Helper()
		err := r.Deactivate(id, Database)
		require.ErrorIs(t, err, ErrState)
		var held *HeldError
		require.ErrorAs(t, err, &held)
		require.Equal(t, id, held.ID)
		require.Equal(t, reasons, held.Reasons)
		for _, why := range reasons {
			require.ErrorContains(t, err, why)
		}
	}
	refused(a.ID(), "default key", "journal key")
	require.NoError(t, r.SetDefault(b.ID()))
	refused(a.ID(), "journal key")
	l1, err := r.Lease(a.ID(), Database, "volume X")
	require.NoError(t, err)
	l2, err := r.Lease(a.ID(), Database, "journal of volume X, segment 7")
	require.NoError(t, err)
	l3, err := r.Lease(a.ID(), Database, "volume X")
	require.NoError(t, err)
	require.NoError(t, r.SetJournal(b.ID()))
	refused(a.ID(), "in use by journal of volume X, segment 7", "in use by volume X")
	for _, e := range r.List() {
		if e.ID == a.ID() {
			require.Equal(t, []string{"journal of volume X, segment 7", "volume X"}, e.Holders)
		}
	}
	require.Equal(t, []string{"journal of volume X, segment 7", "volume X"}, r.Holders(a.ID()))
	require.Empty(t, r.Holders(NewID()))
	l1.Release()
	l1.Release()
	l2.Release()
	refused(a.ID(), "in use by volume X")
	l3.Release()
	require.NoError(t, r.Deactivate(a.ID(), Database))
	err = r.Deactivate(a.ID(), Database)
	var missing *NotActivatedError
	require.ErrorAs(t, err, &missing)
	require.Equal(t, NotActivatedError{a.ID(), Database}, *missing)
	require.ErrorIs(t, r.Deactivate(b.ID(), 9), ErrUsage)
}

func TestLease(t *testing.T) {
	r := newRing(t)
	k := newKey(t, 256)
	_, err := r.Lease(k.ID(), Database, "v")
	require.ErrorIs(t, err, ErrNotActivated)
	require.ErrorContains(t, err, k.ID().String())
	require.NotEmpty(t, fault.HintOf(err))
	require.NoError(t, r.Activate(newKey(t, 128), Database, Active))
	require.NoError(t, r.Activate(k, Database, Active))
	_, err = r.Lease(k.ID(), Database, "")
	require.ErrorIs(t, err, ErrUsage)
	_, err = r.Lease(k.ID(), 0, "v")
	require.ErrorIs(t, err, ErrUsage)
	l, err := r.Lease(k.ID(), Database, "v")
	require.NoError(t, err)
	require.Equal(t, Active, l.Mode())
	require.NoError(t, r.SetMode(k.ID(), Database, DecryptOnly))
	require.Equal(t, DecryptOnly, l.Mode(), "a change of mode is seen at once")
	l.Key().Destroy()
	require.NotNil(t, l.Key().ExposeSecret(), "a lent key is the ring's to destroy")
	own, err := l.Key().Clone()
	require.NoError(t, err)
	lent := l.Key()
	l.Release()
	require.Nil(t, l.Key())
	require.Zero(t, l.Mode())
	require.Equal(t, k.ID(), l.ID())
	require.NoError(t, r.Deactivate(k.ID(), Database))
	require.Nil(t, lent.ExposeSecret(), "deactivated: wiped")
	require.True(t, own.Equal(k), "a clone is the caller's")
	own.Destroy()
	require.Nil(t, own.ExposeSecret())
	(*Lease)(nil).Release()
}

func TestClose(t *testing.T) {
	r := NewKeyring()
	a := newKey(t, 128)
	require.NoError(t, r.Activate(a, Database, Active))
	require.NoError(t, r.Activate(a, Element, Active))
	d, err := r.Lease(a.ID(), Database, "volume")
	require.NoError(t, err)
	e, err := r.Lease(a.ID(), Element, "field")
	require.NoError(t, err)
	err = r.Close()
	var held *HeldError
	require.ErrorAs(t, err, &held)
	require.Equal(t, []string{"in use by volume", "in use by field"}, held.Reasons)
	require.ErrorIs(t, err, ErrState)
	require.NotNil(t, d.Key().ExposeSecret())
	d.Release()
	e.Release()
	require.NoError(t, r.Close())
	require.NoError(t, r.Close())
	d.Release()
	require.ErrorIs(t, r.Activate(a, Database, Active), ErrClosed)
	require.ErrorIs(t, r.Deactivate(a.ID(), Database), ErrClosed)
	require.ErrorIs(t, r.SetDefault(a.ID()), ErrClosed)
	_, err = r.Lease(a.ID(), Database, "v")
	require.ErrorIs(t, err, ErrClosed)
	require.Empty(t, r.List())
	_, ok := r.Default()
	require.False(t, ok)
}

// K7: the four calls by their names.
func TestK7Calls(t *testing.T) {
	r := newRing(t)
	k, err := r.CreateEncryptionKey(256, Element)
	require.NoError(t, err)
	defer k.Destroy()
	require.NoError(t, r.ActivateEncryptionKey(k, Database))
	require.Equal(t, []ID{k.ID()}, r.ListEncryptionKeys(Element))
	require.NoError(t, r.DeactivateEncryptionKey(k.ID(), Element))
	require.Empty(t, r.ListEncryptionKeys(Element))
	require.Equal(t, []ID{k.ID()}, r.ListEncryptionKeys(Database))
	require.Empty(t, r.ListEncryptionKeys(0))
	_, err = r.CreateEncryptionKey(100, Element)
	require.ErrorIs(t, err, ErrUsage)
	_, err = r.CreateEncryptionKey(128, 0)
	require.ErrorIs(t, err, ErrUsage)
}

// Many goroutines activate, lease, read, re-mode, deactivate; run with -race.
// A lease always sees its key's true bytes.
func TestConcurrency(t *testing.T) {
	r := newRing(t)
	require.NoError(t, r.Activate(newKey(t, 128), Database, Active))
	var keys []*Key
	for range 8 {
		keys = append(keys, newKey(t, 256))
	}
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 300 {
				k := keys[(g+i)%len(keys)]
				if err := hammer(r, k, fmt.Sprint("goroutine ", g)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	for _, e := range r.List() {
		require.Empty(t, e.Holders)
	}
}

func hammer(r *Keyring, k *Key, who string) error {
	if err := r.Activate(k, Database, Active); err != nil {
		return err
	}
	l, err := r.Lease(k.ID(), Database, who)
	switch {
	case errors.Is(err, ErrNotActivated): // another goroutine was quicker
	case err != nil:
		return err
	default:
		if !l.Key().Equal(k) {
			return errors.New("a lease shows other bytes")
		}
		_ = r.SetMode(k.ID(), Database, DecryptOnly)
		_ = l.Mode()
		_ = r.List()
		if err := r.Deactivate(k.ID(), Database); !errors.Is(err, ErrState) {
			return fmt.Errorf("deactivated under a lease: %w", err)
		}
		l.Release()
	}
	err = r.Deactivate(k.ID(), Database)
	if err != nil && !errors.Is(err, ErrState) && !errors.Is(err, ErrNotActivated) {
		return err
	}
	return nil
}

func TestUseAndMode(t *testing.T) {
	for v, want := range map[fmt.Stringer]string{Database: "database", Element: "element", Use(0): "Use(0)",
		Active: "active", DecryptOnly: "decrypt-only", Mode(9): "Mode(9)"} {
		require.Equal(t, want, v.String())
	}
	_, err := Use(0).MarshalText()
	require.ErrorIs(t, err, ErrUsage)
	_, err = Mode(0).MarshalText()
	require.ErrorIs(t, err, ErrUsage)
	text, err := Database.MarshalText()
	require.NoError(t, err)
	require.Equal(t, "database", string(text))
	text, err = Active.MarshalText()
	require.NoError(t, err)
	require.Equal(t, "active", string(text))
	require.Zero(t, Use(0).Capacity())
}
