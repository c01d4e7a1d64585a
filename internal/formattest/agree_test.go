package formattest

import (
	"context"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/blockstore"
	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fsx"
)

// made is a volume under work in a file system in memory.
type made struct {
	m   *fsx.Mem
	h   *holder
	s   *blockstore.Store
	f   form
	rng *rand.Rand
}

func start(t *testing.T, f form, seed uint64) *made {
	t.Helper()
	d := &made{m: fsx.NewMem(seed), h: shared(t), f: f, rng: rand.New(rand.NewPCG(seed, 1))}
	c := blockstore.CreateOptions{Options: *options(d.m), Size: 50*int64(f.blockSize) - 77, BlockSize: f.blockSize, Suite: f.suite}
	if f.bits != 0 {
		c.Key = d.h.ids[f.bits][0]
	}
	s, err := blockstore.Create("v", d.h.ring(t), c)
	require.NoError(t, err)
	d.s = s
	return d
}

// die leaves the volume as a killed process does.
func (d *made) die() {
	d.m = d.m.Kill()
	d.s = nil
}

func (d *made) open(t *testing.T) {
	t.Helper()
	s, err := blockstore.Open("v", d.h.ring(t), options(d.m))
	require.NoError(t, err)
	d.s = s
}

// Every suite, key size and several block sizes: new, at work, after a kill, after a power cut, closed.
func TestReadersAgree(t *testing.T) {
	for i, f := range forms {
		t.Run(f.String(), func(t *testing.T) {
			t.Parallel()
			d := start(t, f, uint64(i))
			churn(t, d.s, d.rng, 25)
			d.die()
			v := agree(t, d.m, d.h)
			require.NotNil(t, v.replay)

			d.open(t)
			churn(t, d.s, d.rng, 25)
			d.m = d.m.Crash(d.rng)
			agree(t, d.m, d.h)

			d.open(t)
			churn(t, d.s, d.rng, 10)
			require.NoError(t, d.s.Close())
			v = agree(t, d.m, d.h)
			require.Nil(t, v.replay, "a clean volume needs no journal")
		})
	}
}

// The new and empty volume, and one in which nothing but the length changed.
func TestReadersAgreeOnEmpty(t *testing.T) {
	d := start(t, forms[0], 1)
	require.NoError(t, d.s.Close())
	v := agree(t, d.m, d.h)
	require.Zero(t, v.l.num("root present"))
	d.open(t)
	require.NoError(t, d.s.Update(func(tx *blockstore.Tx) error { return tx.Resize(0) }))
	d.die()
	require.Zero(t, agree(t, d.m, d.h).size)
}

// A transaction larger than memory goes out in several records; one that was cut off counts for nothing.
func TestReadersAgreeOnParts(t *testing.T) {
	d := start(t, forms[2], 2)
	require.NoError(t, d.s.Update(func(tx *blockstore.Tx) error {
		for b := range uint64(50) {
			if err := tx.Write(b, pattern("parts", 4096)); err != nil {
				return err
			}
		}
		return nil
	}))
	img := d.m
	_ = d.s.Update(func(tx *blockstore.Tx) error {
		for b := range uint64(45) {
			if err := tx.Write(b, pattern("never committed", 4096)); err != nil {
				return err
			}
		}
		require.NoError(t, d.s.Sync(context.Background()))
		d.m = img.Kill()
		return context.Canceled
	})
	v := agree(t, d.m, d.h)
	parts := 0
	for _, r := range v.replay.records {
		if doc.in("redo record", r).num("kind") == 1 {
			parts++
		}
	}
	require.NotZero(t, parts)
	require.NotNil(t, v.replay.pending)
}

// Conversions, stopped half way by a kill: every pair of keys is in the label.
func TestReadersAgreeOnConversions(t *testing.T) {
	h := shared(t)
	for name, c := range map[string]struct {
		from form
		to   blockstore.Conversion
	}{
		"encrypt": {forms[8], blockstore.Conversion{Suite: blockstore.AESGCM, Key: h.ids[256][0]}},
		"decrypt": {forms[2], blockstore.Conversion{Suite: blockstore.None}},
		"rekey":   {forms[4], blockstore.Conversion{Suite: blockstore.AESXTS, Key: h.ids[256][1]}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := start(t, c.from, 7)
			churn(t, d.s, d.rng, 20)
			require.NoError(t, d.s.Checkpoint(context.Background()))
			d.die()
			states := map[uint64]bool{}
			for cut := 1; ; cut += 3 {
				m, over := convert(t, d, c.to, cut)
				v := agree(t, m, d.h)
				states[v.l.num("conversion")] = true
				if over {
					require.Equal(t, byte(c.to.Suite), v.l.slots[v.l.num("write slot")].suite)
					break
				}
			}
			require.Len(t, states, 2, "with and without a conversion in the label")
		})
	}
}

// convert opens an image of the volume, converts it until a number of operations is reached, and
// returns what is left, and whether the conversion came to its end.
func convert(t *testing.T, d *made, to blockstore.Conversion, cut int) (*fsx.Mem, bool) {
	t.Helper()
	m := d.m.Kill()
	s, err := blockstore.Open("v", d.h.ring(t), options(m))
	require.NoError(t, err)
	m.CutAfter(cut)
	over := false
	if cv, err := s.Convert(context.Background(), to); err == nil {
		res, err := cv.Wait()
		over = err == nil && res.Complete
	}
	if over {
		over = s.Close() == nil
	}
	return m.Kill(), over
}

// An image of a segment that a recovery made, and died, before it went on.
func TestReadersAgreeAfterRecoveryDied(t *testing.T) {
	d := start(t, forms[2], 9)
	churn(t, d.s, d.rng, 12)
	d.die()
	copies := 0
	for cut := 1; cut < 60; cut++ {
		m := d.m.Kill()
		m.CutAfter(cut)
		s, err := blockstore.Open("v", d.h.ring(t), options(m))
		v := agree(t, m.Kill(), d.h)
		if v.replay != nil && len(v.replay.images) > 1 {
			copies++
		}
		if err == nil {
			require.NotNil(t, s)
			break
		}
	}
	require.NotZero(t, copies, "no cut left two images of a segment")
}

// A tree of three levels, in a sparse file: block 168 · 40,000 + 5 is behind the second tree block of level 2.
func TestReadersAgreeOnTallTrees(t *testing.T) {
	h := shared(t)
	path := filepath.Join(t.TempDir(), "v")
	o := options(nil)
	last := uint64(168*40_000 + 5)
	blocks := []uint64{0, 167, 168, 168*200 - 1, 168 * 200, 168*40_000 - 1, 168 * 40_000, last}
	s, err := blockstore.Create(path, h.ring(t), blockstore.CreateOptions{Options: *o, Size: int64(last+1) * 4096, BlockSize: 4096, Key: h.ids[256][0]})
	require.NoError(t, err)
	require.NoError(t, s.Update(func(tx *blockstore.Tx) error {
		for _, b := range blocks {
			if err := tx.Write(b, pattern("tall", 4096)); err != nil {
				return err
			}
		}
		return nil
	}))
	require.NoError(t, s.Close())
	f, err := fsx.OS().Open(path, 0, 0)
	require.NoError(t, err)
	defer func() { require.NoError(t, f.Close()) }()
	v, err := openVolume(f, nil, h.raw(t))
	require.NoError(t, err)
	require.EqualValues(t, 3, v.l.num("height"))
	for _, b := range blocks {
		got, err := v.read(b)
		require.NoError(t, err, "block %d", b)
		require.Equal(t, pattern("tall", 4096), got, "block %d", b)
	}
	for _, b := range []uint64{1, 169, 168 * 201, 168 * 39_000, last - 1} {
		got, err := v.read(b)
		require.NoError(t, err)
		require.True(t, zero(got))
	}
}

// Keys that are not there, or are others, open nothing.
func TestReaderNeedsKeys(t *testing.T) {
	d := start(t, forms[2], 11)
	churn(t, d.s, d.rng, 5)
	require.NoError(t, d.s.Close())
	_, err := reader(t, d.m, keys{})
	require.ErrorContains(t, err, "is not there")
	wrong := d.h.raw(t)
	wrong[dek.ID(d.h.ids[256][0])] = make([]byte, 32)
	_, err = reader(t, d.m, wrong)
	require.ErrorContains(t, err, "is another one")
	_, err = readKeyFile(d.h.data, admin, "another-password-1")
	require.ErrorIs(t, err, errTag)
}
