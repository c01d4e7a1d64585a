package btree

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/blockstore"
	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/fsx"
)

func ring(t testing.TB) *dek.Keyring {
	t.Helper()
	r := dek.NewKeyring()
	k, err := dek.Generate(256)
	require.NoError(t, err)
	defer k.Destroy()
	require.NoError(t, r.Activate(k, dek.Database, dek.Active))
	return r
}

func options(disk fsx.FS) blockstore.Options {
	return blockstore.Options{FS: disk, SegmentBytes: 64 << 10, CacheBytes: 1 << 20, CheckpointBytes: 256 << 10, Workers: 2}
}

func create(t testing.TB, disk fsx.FS, keys *dek.Keyring) *blockstore.Store {
	t.Helper()
	s, err := blockstore.Create("v", keys, blockstore.CreateOptions{Options: options(disk), BlockSize: 4096})
	require.NoError(t, err)
	return s
}

func open(t testing.TB, s *blockstore.Store) *Tree {
	t.Helper()
	tree, err := Open(s)
	require.NoError(t, err)
	return tree
}

// closed verifies and closes.
func closed(t testing.TB, s *blockstore.Store) {
	t.Helper()
	r, err := s.Verify(context.Background(), blockstore.VerifyOptions{})
	require.NoError(t, err)
	require.NoError(t, r.Err())
	require.NoError(t, s.Close())
}

// model is what the tree should hold.
type model map[string]string

// change makes some random changes to both.
func (m model) change(rng *rand.Rand, x *Tx) error {
	for range 1 + rng.IntN(20) {
		key := fmt.Sprintf("%0*d", 1+rng.IntN(60), rng.IntN(300))
		if rng.IntN(5) < 2 {
			found, err := x.Delete([]byte(key))
			if _, want := m[key]; err == nil && found != want {
				err = fmt.Errorf("delete %q: %v", key, found)
			}
			if err != nil {
				return err
			}
			delete(m, key)
			continue
		}
		value := string(bytes.Repeat([]byte{byte('a' + rng.IntN(26))}, rng.IntN(900)))
		if err := x.Put([]byte(key), []byte(value)); err != nil {
			return err
		}
		m[key] = value
	}
	return nil
}

// matches compares everything.
func (m model) matches(x *Tx) error {
	if err := x.Check(); err != nil {
		return err
	}
	got := model{}
	var order []string
	err := x.Range(nil, func(k, v []byte) bool {
		got[string(k)] = string(v)
		order = append(order, string(k))
		return true
	})
	switch {
	case err != nil:
		return err
	case !maps.Equal(m, got), x.Len() != uint64(len(m)):
		return fmt.Errorf("%d keys, %d in the model, or others", len(got), len(m))
	case !slices.IsSorted(order):
		return fmt.Errorf("not in order")
	}
	return nil
}

func TestModel(t *testing.T) {
	rounds := 400
	if testing.Short() {
		rounds = 120
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	disk, keys := fsx.NewMem(seed), ring(t)
	s := create(t, disk, keys)
	tree, m := open(t, s), model{}
	for i := range rounds {
		require.NoError(t, tree.Update(func(x *Tx) error { return m.change(rng, x) }))
		if i%20 == 0 {
			require.NoError(t, tree.View(m.matches), "round %d", i)
			undone := maps.Clone(m)
			require.ErrorIs(t, tree.Update(func(x *Tx) error { return fmt.Errorf("%w: %w", fault.State, undone.change(rng, x)) }), fault.State)
			require.NoError(t, tree.View(m.matches), "undone")
		}
		if i%50 == 49 {
			closed(t, s)
			o := options(disk)
			var err error
			s, err = blockstore.Open("v", keys, &o)
			require.NoError(t, err)
			tree = open(t, s)
		}
	}
	require.NoError(t, tree.View(func(x *Tx) error {
		for k, want := range m {
			got, ok, err := x.Get([]byte(k))
			require.NoError(t, err)
			require.True(t, ok)
			require.Equal(t, want, string(got))
		}
		_, ok, err := x.Get([]byte("no such key"))
		require.False(t, ok)
		return err
	}))
	for k := range m {
		require.NoError(t, tree.Update(func(x *Tx) error {
			_, err := x.Delete([]byte(k))
			return err
		}))
	}
	require.NoError(t, tree.View(model{}.matches))
	closed(t, s)
}

// TestPowerCuts: at every k-th operation of the disk. The tree is as it was after
// some commit, none that was acknowledged is missing, and every page is accounted for.
func TestPowerCuts(t *testing.T) {
	step := 3
	if testing.Short() {
		step = 17
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	k := 0
	for ; !cut(t, k, seed+uint64(k)); k += step {
	}
	require.Greater(t, k, 50)
}

func cut(t *testing.T, k int, seed uint64) (whole bool) {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 1))
	disk, keys := fsx.NewMem(seed), ring(t)
	s := create(t, disk, keys)
	tree, m := open(t, s), model{}
	disk.CutAfter(k)
	acked, err := maps.Clone(m), error(nil)
	for i := 0; i < 40 && err == nil; i++ {
		acked = maps.Clone(m)
		err = tree.Update(func(x *Tx) error { return m.change(rng, x) })
	}
	if err == nil {
		acked = m
	}
	_ = s.Close() // the power may be gone
	o := options(disk.Crash(rng))
	s, openErr := blockstore.Open("v", keys, &o)
	require.NoError(t, openErr, "cut at %d, seed %d", k, seed)
	tree = open(t, s)
	if tree.View(acked.matches) != nil { // the one under way, whole
		require.NoError(t, tree.View(m.matches), "cut at %d, seed %d", k, seed)
	}
	closed(t, s)
	return err == nil
}

// TestSnapshots: readers beside the writer see one commit or the next, and nothing between.
func TestSnapshots(t *testing.T) {
	s := create(t, fsx.NewMem(1), ring(t))
	tree := open(t, s)
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for range 3 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := tree.View(func(x *Tx) error {
					if x.Len()%10 != 0 {
						return fmt.Errorf("%d keys", x.Len())
					}
					return x.Check()
				}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for i := range 60 {
		require.NoError(t, tree.Update(func(x *Tx) error {
			for j := range 10 {
				if err := x.Put(fmt.Appendf(nil, "%d", (i*10+j)*7919%1000), make([]byte, 300)); err != nil {
					return err
				}
			}
			return nil
		}))
	}
	close(stop)
	wg.Wait()
	closed(t, s)
}

func TestMisuse(t *testing.T) {
	s := create(t, fsx.NewMem(1), ring(t))
	tree := open(t, s)
	require.ErrorIs(t, tree.Update(func(x *Tx) error { return x.Put([]byte("large"), make([]byte, 1100)) }), fault.Usage)
	require.NoError(t, tree.View(func(x *Tx) error {
		require.ErrorIs(t, x.Put([]byte("k"), nil), blockstore.ErrReadOnly)
		return nil
	}))
	require.NoError(t, tree.View(model{}.matches))
	require.NoError(t, s.Update(func(tx *blockstore.Tx) error { _, err := tx.WriteAt([]byte("other data"), 0); return err }))
	_, err := Open(s)
	require.ErrorIs(t, err, fault.NotFormat)
	closed(t, s)
}

// FuzzPage: a block that is taken for a page comes out the same again.
func FuzzPage(f *testing.F) {
	for _, p := range []*page{{kind: leaf}, {kind: leaf, keys: [][]byte{[]byte("a"), []byte("b")}, vals: [][]byte{nil, []byte("v")}},
		{kind: branch, keys: [][]byte{[]byte("m")}, kids: []uint64{2, 3}}, {kind: free, next: 9}} {
		b := make([]byte, 256)
		p.encode(b)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := decode(b)
		if err != nil {
			require.ErrorIs(t, err, fault.Damaged)
			return
		}
		again := make([]byte, len(b)+headSize)
		p.encode(again)
		same, err := decode(again)
		require.NoError(t, err)
		require.Equal(t, p, same)
	})
}
