package pebblefs

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fsx"
)

// A model holds what was acknowledged, and the one batch that may have been.
type model struct {
	mu      sync.Mutex // guards both: power cuts copy the model while a run goes on
	acked   map[string]string
	pending map[string]string // "" deletes
}

func (m *model) begin(batch map[string]string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.pending = batch
}

func (m *model) commit() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for k, v := range m.pending {
		if v == "" {
			delete(m.acked, k)
		} else {
			m.acked[k] = v
		}
	}
	m.pending = nil
}

func (m *model) clone() *model {
	m.mu.Lock()
	defer m.mu.Unlock()
	return &model{acked: maps.Clone(m.acked), pending: maps.Clone(m.pending)}
}

// run works on a database in a way that comes from seed.
func (m *model) run(t *testing.T, fs *FS, seed uint64, at func(step int)) {
	o := testOptions(fs)
	o.MemTableSize = 8 << 10
	db, err := pebble.Open("db", o)
	require.NoError(t, err)
	rng := rand.New(rand.NewPCG(seed, 1))
	for step := range 60 {
		b, batch := db.NewBatch(), map[string]string{}
		for range 1 + rng.IntN(4) {
			k := fmt.Sprintf("k%02d", rng.IntN(50))
			batch[k] = fmt.Sprintf("step %d %x", step, make([]byte, rng.IntN(300)))
			if rng.IntN(6) == 0 {
				batch[k] = ""
				require.NoError(t, b.Delete([]byte(k), nil))
			} else {
				require.NoError(t, b.Set([]byte(k), []byte(batch[k]), nil))
			}
		}
		m.begin(batch)
		require.NoError(t, b.Commit(pebble.Sync))
		m.commit()
		if step%17 == 16 {
			require.NoError(t, db.Flush())
		}
		if step == 25 {
			require.NoError(t, db.Compact(context.Background(), []byte("a"), []byte("z"), false))
		}
		at(step)
	}
	require.NoError(t, db.Close())
	require.NoError(t, fs.Close())
}

// check compares the database with the model: what was acknowledged is there, and the batch that was not is
// there whole or not at all.
func (m *model) check(db *pebble.DB) error {
	found := map[string]string{}
	it, err := db.NewIter(nil)
	if err != nil {
		return err
	}
	for it.First(); it.Valid(); it.Next() {
		found[string(it.Key())] = string(it.Value())
	}
	if err := it.Close(); err != nil {
		return err
	}
	if maps.Equal(found, m.acked) {
		return nil
	}
	m.commit()
	if maps.Equal(found, m.acked) {
		return nil
	}
	return fmt.Errorf("found %d keys, with the last batch there are %d", len(found), len(m.acked))
}

// An outage is what one power cut left, and what it may have left.
type outage struct {
	op    fsx.Op
	after *fsx.Mem
	m     *model
}

// cutEvery takes an image of a power cut before every n-th operation from the first-th on.
func cutEvery(mem *fsx.Mem, first, n int, m *model) (outages *[]outage) {
	outages = new([]outage)
	mem.SetHook(func(op fsx.Op) error {
		if op.Kind != fsx.OpRead && op.Index >= first && (op.Index-first)%n == 0 {
			*outages = append(*outages, outage{op, mem.CrashInHook(nil), m.clone()})
		}
		return nil
	})
	return outages
}

// TestPowerCut cuts the power before every k-th operation of a run with a Rekey in it, opens what is found, and
// compares it with what was acknowledged; then the same before operations of the opening.
func TestPowerCut(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	every := 3
	if testing.Short() {
		every = 23
	}
	cuts, again := powerCuts(t, seed, every)
	require.Greater(t, cuts, 10)
	require.Greater(t, again, 10)
	t.Logf("%d cuts, %d in recoveries", cuts, again)
}

func powerCuts(t *testing.T, seed uint64, every int) (cuts, again int) {
	ring, ids := testRing(t, 2)
	mem := fsx.NewMem(seed)
	require.NoError(t, memVFS{mem}.MkdirAll("db", 0o755))
	require.NoError(t, mem.SyncDir("/"))
	m := &model{acked: map[string]string{}}
	outages := cutEvery(mem, int(seed%uint64(every)), every, m)
	fs, err := New(memVFS{mem}, ring, nil)
	require.NoError(t, err)
	m.run(t, fs, seed, func(step int) {
		if step == 40 {
			require.NoError(t, fs.SetKey(ids[1]))
			_, err := fs.Rekey(t.Context(), []string{"db"}, nil)
			require.NoError(t, err)
		}
	})
	mem.SetHook(nil)
	for _, o := range *outages {
		second := cutEvery(o.after, int(seed%11), 11*every, o.m)
		reopen(t, ring, seed, &o)
		for _, o := range *second {
			o.after.SetHook(nil)
			reopen(t, ring, seed, &o)
			again++
		}
		cuts++
	}
	return cuts, again
}

// reopen opens what a power cut left and compares it with the model.
func reopen(t *testing.T, ring *dek.Keyring, seed uint64, o *outage) {
	fs, err := New(memVFS{o.after}, ring, nil)
	require.NoError(t, err)
	db, err := pebble.Open("db", testOptions(fs))
	require.NoError(t, err, "seed %d, cut before %v %d of %s", seed, o.op.Kind, o.op.Index, o.op.Name)
	require.NoError(t, o.m.clone().check(db), "seed %d, cut before %v %d of %s", seed, o.op.Kind, o.op.Index, o.op.Name)
	require.NoError(t, db.Close())
	require.NoError(t, fs.Close())
}
