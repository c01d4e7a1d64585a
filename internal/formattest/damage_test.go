package formattest

import (
	"context"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/blockstore"
	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/fsx"
)

// What one reader refuses the other refuses: bytes flipped anywhere, some with the checksums made right.
func TestReadersAgreeOnDamage(t *testing.T) {
	for _, f := range []form{forms[2], forms[8]} {
		t.Run(f.String(), func(t *testing.T) {
			d := start(t, f, 20)
			churn(t, d.s, d.rng, 20)
			require.NoError(t, d.s.Checkpoint(context.Background()))
			churn(t, d.s, d.rng, 3)
			d.die()
			var files []string
			for _, name := range d.m.Files() {
				files = append(files, strings.TrimPrefix(name, "/"))
			}
			opened, refused := 0, 0
			const rounds = 300
			for i := range rounds {
				m := d.m.Clone()
				spoil(t, m, files[i%len(files)], d.rng)
				if same := bothSay(t, m, d.h); same {
					opened++
				} else {
					refused++
				}
			}
			require.NotZero(t, opened)
			require.NotZero(t, refused)
		})
	}
}

// spoil flips a byte of a file, most often in its first 16 KiB or where it is not zero.
func spoil(t *testing.T, m *fsx.Mem, name string, rng *rand.Rand) {
	t.Helper()
	b, err := m.ReadFile(name)
	require.NoError(t, err)
	at := rng.IntN(len(b))
	if rng.IntN(2) == 0 {
		at = rng.IntN(min(len(b), 16<<10))
	}
	for tries := 0; b[at] == 0 && tries < 1000; tries++ {
		at = rng.IntN(len(b))
	}
	b[at] ^= 1 << rng.IntN(8)
	if name == "v" && at < 8188 && rng.IntN(2) == 0 {
		l := doc.in("label", b)
		l.put("checksum", crc(b[:l.off("checksum")]))
	}
	require.NoError(t, m.WriteFile(name, b))
}

// bothSay opens with both readers, compares what they say, and reports whether the volume opened.
func bothSay(t *testing.T, m *fsx.Mem, h *holder) bool {
	t.Helper()
	o := options(m)
	o.ReadOnly = true
	s, err := blockstore.Open("v", h.ring(t), o)
	v, otherErr := reader(t, m, h.raw(t))
	if err != nil {
		require.Error(t, otherErr, "blockstore says %v", err)
		return false
	}
	defer func() { require.NoError(t, s.Close()) }()
	require.NoError(t, otherErr)
	for b := range v.blocks() {
		sameBlock(t, s, v, b)
	}
	return true
}

// A lost block is lost for both.
func TestReadersAgreeOnLostBlocks(t *testing.T) {
	d := start(t, forms[2], 21)
	require.NoError(t, d.s.Update(func(tx *blockstore.Tx) error { return tx.Write(3, pattern("x", 4096)) }))
	require.NoError(t, d.s.Close())
	b, err := d.m.ReadFile("v")
	require.NoError(t, err)
	b[dataOffset(3, 4096)] ^= 1
	require.NoError(t, d.m.WriteFile("v", b))
	v := agree(t, d.m, d.h)
	_, err = v.read(3)
	require.ErrorContains(t, err, "checksum")
	d.open(t)
	c, err := d.s.Convert(context.Background(), blockstore.Conversion{Key: d.h.ids[256][1], AcceptLoss: true})
	require.NoError(t, err)
	res, err := c.Wait()
	require.NoError(t, err)
	require.EqualValues(t, 1, res.Lost)
	require.NoError(t, d.s.Close())
	_, err = agree(t, d.m, d.h).read(3)
	require.ErrorIs(t, err, errLost)
	require.NotErrorIs(t, err, fault.Tampered)
}
