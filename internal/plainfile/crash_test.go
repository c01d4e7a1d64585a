package plainfile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/blockstore"
	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/fsx"
)

// campaignSize is more than a few blocks and no multiple of one, in bytes.
const campaignSize = 60_001

// step is how many operations lie between two cuts.
func step(t *testing.T) int {
	if testing.Short() {
		return 7
	}
	return 1
}

// direction is one of the two ways, as the campaign sees it.
type direction struct {
	name string
	// prepare makes what the work begins with.
	prepare func(t *testing.T, ring *dek.Keyring, data []byte) *fsx.Mem
	run     func(m fsx.FS, ring *dek.Keyring) (*Result, error)
	// old and done check what is at the path before and after the replacement.
	old, done func(t *testing.T, m *fsx.Mem, ring *dek.Keyring, data []byte)
	// isDone says that the replacement has happened.
	isDone func(m *fsx.Mem) bool
}

func isVolume(m *fsx.Mem) bool {
	_, err := blockstore.Inspect(name, &blockstore.Options{FS: m})
	return !errors.Is(err, fault.NotFormat)
}

func samePlain(t *testing.T, m *fsx.Mem, _ *dek.Keyring, data []byte) {
	t.Helper()
	got, err := m.ReadFile(name)
	require.NoError(t, err)
	require.True(t, bytes.Equal(data, got), "the plain file is whole")
}

func sameVolume(t *testing.T, m *fsx.Mem, ring *dek.Keyring, data []byte) {
	t.Helper()
	require.True(t, bytes.Equal(data, volumeContent(t, m, ring)), "the volume is whole")
}

var directions = []direction{
	{
		name:    "encrypt",
		prepare: func(t *testing.T, _ *dek.Keyring, data []byte) *fsx.Mem { return memWith(t, data) },
		run:     encrypt, old: samePlain, done: sameVolume, isDone: isVolume,
	},
	{
		name: "decrypt",
		prepare: func(t *testing.T, ring *dek.Keyring, data []byte) *fsx.Mem {
			m := memWith(t, data)
			_, err := encrypt(m, ring)
			require.NoError(t, err)
			return m
		},
		run: decrypt, old: sameVolume, done: samePlain, isDone: func(m *fsx.Mem) bool { return !isVolume(m) },
	},
}

// TestCutAtEveryOperation cuts the power at the k-th operation, for every k: the
// old file is whole until it is replaced, and running again finishes the work.
func TestCutAtEveryOperation(t *testing.T) {
	for _, d := range directions {
		for _, kill := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/kill=%v", d.name, kill), func(t *testing.T) { campaign(t, d, kill) })
		}
	}
}

func campaign(t *testing.T, d direction, kill bool) {
	data, ring := content(11, campaignSize), newKeyring(t, 256)
	m := d.prepare(t, ring, data)
	begin := m.Ops()
	_, err := d.run(m, ring)
	require.NoError(t, err)
	total := m.Ops() - begin
	require.Greater(t, total, 20)
	replaced := 0
	for k := 0; k < total; k += step(t) {
		if cutOnce(t, d, ring, data, k, kill) {
			replaced++
		}
	}
	t.Logf("%d operations; in %d cases the file was replaced when the cut came", total, replaced)
}

// cutOnce cuts at operation k, and a second time, at random, in the run that goes on.
func cutOnce(t *testing.T, d direction, ring *dek.Keyring, data []byte, k int, kill bool) (replaced bool) {
	rng := rand.New(rand.NewPCG(uint64(k), 77))
	m := d.prepare(t, ring, data)
	m.CutAfter(k)
	_, err := d.run(m, ring)
	if err == nil {
		return true // the last operations of a run differ from the one that was counted
	}
	for round := range 3 {
		require.NotErrorIs(t, err, fault.Tampered, "cut %d, round %d", k, round)
		if kill {
			m = m.Kill()
		} else {
			m = m.Crash(rng)
		}
		if d.isDone(m) {
			m.CutAfter(-1)
			d.done(t, m, ring, data)
			_, left, err := exists(m, name+jobSuffix)
			require.NoError(t, err)
			_, settled, err := Settle(name, d.name, m)
			require.NoError(t, err)
			require.Equal(t, left, settled, "what is complete but for the job's file is recognised")
			requireAlone(t, m)
			return true
		}
		d.old(t, m, ring, data)
		_, settled, err2 := Settle(name, d.name, m)
		require.NoError(t, err2)
		require.False(t, settled, "cut %d: it is not complete", k)
		if round < 2 {
			m.CutAfter(rng.IntN(k + 30))
		}
		if _, err = d.run(m, ring); err == nil {
			break
		}
	}
	require.NoError(t, err, "cut %d", k)
	m.CutAfter(-1)
	d.done(t, m, ring, data)
	requireAlone(t, m)
	return false
}

// TestFullDisk: an error in the middle leaves the old file, and the work goes on later.
func TestFullDisk(t *testing.T) {
	for _, d := range directions {
		t.Run(d.name, func(t *testing.T) {
			data, ring := content(11, campaignSize), newKeyring(t, 256)
			for nth := 1; nth < 30; nth += 3 {
				m := d.prepare(t, ring, data)
				boom := errors.New("boom")
				m.Inject(fsx.Fault{Kind: fsx.OpWrite, Nth: nth, Err: boom, Name: name + newSuffix, Once: true})
				_, err := d.run(m, ring)
				if err == nil {
					break // fewer writes than that
				}
				require.ErrorIs(t, err, boom)
				d.old(t, m, ring, data)
				m.ClearFaults()
				_, err = d.run(m, ring)
				require.NoError(t, err)
				d.done(t, m, ring, data)
				requireAlone(t, m)
			}
		})
	}
}

// TestHalfRekeyedVolumeDecrypts: both keys are activated.
func TestHalfRekeyedVolumeDecrypts(t *testing.T) {
	data, ring := content(12, 2<<20), newKeyring(t, 256)
	m := memWith(t, data)
	_, err := encrypt(m, ring)
	require.NoError(t, err)
	s, err := blockstore.Open(name, ring, &blockstore.Options{FS: m})
	require.NoError(t, err)
	c, err := s.Convert(context.Background(), blockstore.Conversion{Key: addKey(t, ring, 256), Workers: 1})
	require.NoError(t, err)
	c.Stop()
	_, _ = c.Wait() // stopped, early or late: both are fine
	require.NoError(t, s.Close())
	_, err = decrypt(m, ring)
	require.NoError(t, err)
	requirePlain(t, m, data)
}
