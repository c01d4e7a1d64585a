package pebblefs

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/dek"
)

var update = flag.Bool("update", false, "write the golden files anew")

const golden = "testdata/golden"

// goldenSizes are the golden files by base name: byte i of one is i·7 and the length of its name.
var goldenSizes = map[string]int{"000001.log": 2850, "000002.sst": 9000, "OPTIONS-000003": 5000, "cache": 6000}

func goldenContent(name string) []byte {
	b := make([]byte, goldenSizes[name])
	for i := range b {
		b[i] = byte(i*7 + len(name))
	}
	return b
}

func goldenRing(t *testing.T) *dek.Keyring {
	raw := make([]byte, 32)
	for i := range raw {
		raw[i] = byte(i)
	}
	id, err := dek.ParseID("9158980E-AE52-4E12-82FD-AA5A2909D029")
	require.NoError(t, err)
	k, err := dek.Import(id, raw)
	require.NoError(t, err)
	ring := dek.NewKeyring()
	require.NoError(t, ring.Activate(k, dek.Database, dek.Active))
	return ring
}

// TestGolden reads files of earlier builds. -update writes new ones, which is a change of the format.
func TestGolden(t *testing.T) {
	o := &Options{Names: golden + "/coffer.names"}
	if *update {
		writeGolden(t, o)
	}
	dir := filepath.Join(t.TempDir(), "golden")
	require.NoError(t, os.CopyFS(dir, os.DirFS(golden)))
	fs, err := New(vfs.Default, goldenRing(t), &Options{Names: dir + "/coffer.names"})
	require.NoError(t, err)
	names, err := fs.List(dir)
	require.NoError(t, err)
	require.Len(t, names, len(goldenSizes))
	for _, name := range names {
		require.Equal(t, goldenContent(name), get(t, fs, filepath.Join(dir, name)), name)
	}
	require.NoError(t, fs.Close())
}

func writeGolden(t *testing.T, o *Options) {
	require.NoError(t, os.RemoveAll(golden))
	require.NoError(t, os.MkdirAll(golden, 0o755))
	fs, err := New(vfs.Default, goldenRing(t), o)
	require.NoError(t, err)
	for name := range goldenSizes {
		create := fs.Create
		if name == "cache" {
			create = func(name string, c vfs.DiskWriteCategory) (vfs.File, error) { return fs.OpenReadWrite(name, c) }
		}
		f, err := create(golden+"/"+name, "test")
		require.NoError(t, err)
		for b := goldenContent(name); len(b) > 0; {
			n := min(len(b), 950)
			_, err := f.Write(append([]byte(nil), b[:n]...))
			require.NoError(t, err)
			b = b[n:]
			if name == "000001.log" {
				require.NoError(t, f.Sync())
			}
		}
		require.NoError(t, f.Sync())
		require.NoError(t, f.Close())
	}
	require.NoError(t, fs.Rename(golden+"/OPTIONS-000003", golden+"/tmp"))
	require.NoError(t, fs.Rename(golden+"/tmp", golden+"/OPTIONS-000003"))
	require.NoError(t, fs.Close())
}
