package formattest

import (
	"bytes"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/pebblefs"
)

// pebbleGolden are files that Coffer wrote once, under the key 00 01 … 1F.
const pebbleGolden = "../../pebblefs/testdata/golden"

func pebbleKey() []byte {
	k := make([]byte, 32)
	for i := range k {
		k[i] = byte(i)
	}
	return k
}

// The golden files, read by hand: their content is what pebblefs's own golden test writes.
func TestPebbleGolden(t *testing.T) {
	files, err := os.ReadDir(pebbleGolden)
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(files), 5)
	var key []byte
	names, err := os.ReadFile(filepath.Join(pebbleGolden, "coffer.names"))
	require.NoError(t, err)
	key, err = readPebbleNames(names, pebbleKey())
	require.NoError(t, err)
	read := map[string]int{}
	for _, f := range files {
		if f.Name() == "coffer.names" {
			continue
		}
		base, err := revealName(key, f.Name())
		require.NoError(t, err)
		data, err := os.ReadFile(filepath.Join(pebbleGolden, f.Name()))
		require.NoError(t, err)
		content, err := readPebble(data, pebbleKey(), base)
		require.NoError(t, err, base)
		for i, c := range content {
			require.Equal(t, byte(i*7+len(base)), c, base)
		}
		read[base] = len(content)
		_, err = readPebble(data, pebbleKey(), base+"x")
		require.Error(t, err)
	}
	require.Equal(t, map[string]int{"000001.log": 2850, "000002.sst": 9000, "OPTIONS-000003": 5000, "cache": 6000}, read)
}

// Both readers say the same of files that Coffer writes, and of them with a bit turned over.
func TestPebbleAgrees(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	k, err := dek.Import(dek.NewID(), pebbleKey())
	require.NoError(t, err)
	ring := dek.NewKeyring()
	require.NoError(t, ring.Activate(k, dek.Database, dek.Active))
	inner := vfs.NewMem()
	fs, err := pebblefs.New(inner, ring, &pebblefs.Options{Cache: -1})
	require.NoError(t, err)
	for _, name := range []string{"1.log", "1.sst", "plain"} {
		for range 25 {
			f, err := fs.Create(name, "test")
			require.NoError(t, err)
			for range 1 + rng.IntN(6) {
				_, err := f.Write(make([]byte, 1+rng.IntN(9000)))
				require.NoError(t, err)
				if rng.IntN(2) == 0 {
					require.NoError(t, f.Sync())
				}
			}
			require.NoError(t, f.Close())
			data := pebbleRead(t, inner, name)
			bad := bytes.Clone(data)
			bad[rng.IntN(len(bad))] ^= 1
			for _, b := range [][]byte{data, bad} {
				w, err := inner.Create(name, "test")
				require.NoError(t, err)
				_, err = w.Write(bytes.Clone(b))
				require.NoError(t, err)
				require.NoError(t, w.Close())
				pebbleSame(t, fs, name, b)
			}
		}
	}
}

func pebbleRead(t *testing.T, fs vfs.FS, name string) []byte {
	f, err := fs.Open(name)
	require.NoError(t, err)
	b, err := io.ReadAll(f)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	return b
}

func pebbleSame(t *testing.T, fs vfs.FS, name string, data []byte) {
	want, wantErr := readPebble(data, pebbleKey(), name)
	f, err := fs.Open(name)
	var have []byte
	if err == nil {
		have, err = io.ReadAll(f)
		require.NoError(t, f.Close())
	}
	require.Equal(t, wantErr == nil, err == nil, "%s: by hand %v, Coffer %v", name, wantErr, err)
	if err == nil {
		require.True(t, bytes.Equal(want, have))
	}
}
