package formattest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/blockstore"
	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fsx"
	"github.com/cofferdb/coffer/internal/tune"
	"github.com/cofferdb/coffer/keyfile"
)

const (
	admin    = "Alice"
	password = "a-password-for-tests-1"
)

// holder is the key file of these tests, seen by both readers.
type holder struct {
	data []byte // the key file
	ids  map[int][]dek.ID
	f    *keyfile.File

	once sync.Once
	have keys
}

var sharedKeys = sync.OnceValues(func() (*holder, error) { return newHolder(admin, password) })

// newHolder makes a key file with two keys of each size.
func newHolder(admin, password string) (*holder, error) {
	m := fsx.NewMem(1)
	f, err := keyfile.Create("k", keyfile.CreateOptions{Admin: keyfile.Credentials{Admin: admin, Password: []byte(password)},
		Bits: 256, Description: "keys of a test", KeyDescription: "the first", Iterations: keyfile.MinIterations, FS: m})
	if err != nil {
		return nil, err
	}
	h := &holder{ids: map[int][]dek.ID{256: {f.Default()}}, f: f}
	for _, bits := range []int{256, 192, 192, 128, 128} {
		id, err := f.AddKey(bits, fmt.Sprintf("%d bits", bits))
		if err != nil {
			return nil, err
		}
		h.ids[bits] = append(h.ids[bits], id)
	}
	h.data, err = m.ReadFile("k")
	return h, err
}

func shared(t testing.TB) *holder {
	t.Helper()
	h, err := sharedKeys()
	require.NoError(t, err)
	return h
}

// ring activates every key.
func (h *holder) ring(t testing.TB) *dek.Keyring {
	t.Helper()
	r := dek.NewKeyring()
	_, err := h.f.Activate(r, dek.Database, dek.Active)
	require.NoError(t, err)
	return r
}

// raw are the keys as the independent reader finds them in the key file.
func (h *holder) raw(t testing.TB) keys {
	t.Helper()
	h.once.Do(func() {
		var err error
		h.have, err = readKeyFile(h.data, admin, password)
		require.NoError(t, err)
	})
	return maps.Clone(h.have)
}

// form is a kind of volume.
type form struct {
	suite     blockstore.Suite
	bits      int
	blockSize int
}

func (f form) String() string { return fmt.Sprintf("%v-%d-%d", f.suite, f.bits, f.blockSize) }

var forms = []form{
	{blockstore.AESGCM, 128, 4096}, {blockstore.AESGCM, 192, 8192}, {blockstore.AESGCM, 256, 4096},
	{blockstore.AESCBC, 128, 16384}, {blockstore.AESCBC, 192, 4096}, {blockstore.AESCBC, 256, 8192},
	{blockstore.AESXTS, 128, 4096}, {blockstore.AESXTS, 256, 65536}, {blockstore.None, 0, 4096},
}

// options make rare things frequent: epochs, segments, transactions of several records.
func options(fs fsx.FS) *blockstore.Options {
	return &blockstore.Options{FS: fs, AllowPlain: true, SegmentBytes: 64 << 10, CheckpointBytes: 256 << 10, Workers: 2,
		Tune: tune.Store{Inline: true, SealBudget: 256, SealReserve: 16, TxMemory: 64 << 10}}
}

// pattern is n bytes that a name stands for.
func pattern(name string, n int) []byte {
	var out []byte
	for i := 0; len(out) < n; i++ {
		sum := sha256.Sum256(fmt.Appendf(nil, "%s %d", name, i))
		out = append(out, sum[:]...)
	}
	return out[:n]
}

// churn does random work.
func churn(t testing.TB, s *blockstore.Store, rng *rand.Rand, steps int) {
	t.Helper()
	bs := s.BlockSize()
	for i := range steps {
		n := max(1, s.Blocks())
		switch k := rng.IntN(12); {
		case k < 7:
			require.NoError(t, s.Update(func(tx *blockstore.Tx) error {
				for range 1 + rng.IntN(8) {
					b := rng.Uint64N(n)
					if err := tx.Write(b, pattern(fmt.Sprint(i, b), bs)); err != nil {
						return err
					}
				}
				return nil
			}))
		case k == 7:
			require.NoError(t, s.Update(func(tx *blockstore.Tx) error {
				first := rng.Uint64N(n)
				return tx.Trim(first, min(n-first, 1+rng.Uint64N(90)))
			}))
		case k == 8:
			require.NoError(t, s.Update(func(tx *blockstore.Tx) error {
				return tx.Resize(int64(bs)*int64(1+rng.IntN(400)) - int64(rng.IntN(bs)))
			}))
		case k == 9:
			require.NoError(t, s.Checkpoint(context.Background()))
		case k == 10:
			require.NoError(t, s.SwitchJournal(context.Background()))
		default:
			require.NoError(t, s.UpdateLazy(func(tx *blockstore.Tx) error { return tx.Write(0, pattern(fmt.Sprint("lazy", i), bs)) }))
		}
	}
}

// reader opens a volume of a file system in memory with the independent reader.
func reader(t testing.TB, m *fsx.Mem, have keys) (*volume, error) {
	t.Helper()
	data, err := m.ReadFile("v")
	require.NoError(t, err)
	slots := map[string][]byte{}
	for _, name := range m.Files() {
		if base, ok := strings.CutPrefix(strings.TrimPrefix(name, "/"), "v.journal/"); ok {
			slots[base], err = m.ReadFile(name)
			require.NoError(t, err)
		}
	}
	return openVolume(bytes.NewReader(data), slots, have)
}

// agree compares what the two readers find in a volume that nobody has open.
func agree(t testing.TB, m *fsx.Mem, h *holder) *volume {
	t.Helper()
	o := options(m)
	o.ReadOnly = true
	s, err := blockstore.Open("v", h.ring(t), o)
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	v, err := reader(t, m, h.raw(t))
	require.NoError(t, err)
	require.EqualValues(t, s.Size(), v.size)
	require.Equal(t, s.Blocks(), v.blocks())
	for b := range v.blocks() {
		sameBlock(t, s, v, b)
	}
	if v.replay != nil {
		require.Equal(t, s.Anchor().Seq, v.replay.end.seq)
		require.Equal(t, s.Anchor().Chain, v.replay.end.chain)
	}
	checkAnchor(t, s, v)
	return v
}

func sameBlock(t testing.TB, s *blockstore.Store, v *volume, b uint64) {
	t.Helper()
	got, gotErr := v.read(b)
	want := make([]byte, s.BlockSize())
	err := s.View(func(tx *blockstore.Tx) error { return tx.ReadInto(b, want) })
	if err != nil {
		require.Error(t, gotErr, "block %d: blockstore says %v", b, err)
		return
	}
	require.NoError(t, gotErr, "block %d", b)
	require.True(t, bytes.Equal(want, got), "block %d", b)
}

// checkAnchor reads the store's anchor by the table of FORMAT.md.
func checkAnchor(t testing.TB, s *blockstore.Store, v *volume) {
	t.Helper()
	a, err := readAnchor(s.Anchor().String())
	require.NoError(t, err)
	require.Equal(t, v.l.uuid("volume"), a.uuid("volume"))
	require.True(t, v.l.lineage[a.uuid("session")])
	require.Equal(t, s.Anchor().Seq, a.num("sequence"))
	require.Equal(t, s.Anchor().Chain, a.hash("chain"))
}
