package formattest

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/hex"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/blockstore"
	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fsx"
	"github.com/cofferdb/coffer/keyfile"
)

var makeGolden = flag.Bool("golden", false, "make the golden files and the worked examples of FORMAT.md anew")

const (
	goldenAdmin    = "golden"
	goldenPassword = "golden-volume-password-1"
	goldenBlock    = 4096
)

// golden says what the golden volumes hold: the name of each block's pattern, empty for a hole.
var golden = map[string]struct {
	form   form
	size   int64
	blocks []string
}{
	"clean":   {form{blockstore.AESXTS, 256, goldenBlock}, 3*goldenBlock - 1000, []string{"clean 0", "", "clean 2"}},
	"unclean": {form{blockstore.AESGCM, 256, goldenBlock}, 6*goldenBlock - 100, []string{"", "second 1", "first 2", "second 3", "", ""}},
}

// goldenWork makes one of the volumes and returns its files, "v" the volume.
func goldenWork(t *testing.T, name string, ring *dek.Keyring, key dek.ID) *fsx.Mem {
	t.Helper()
	m := fsx.NewMem(1)
	g := golden[name]
	o := blockstore.Options{FS: m, SegmentBytes: 64 << 10}
	s, err := blockstore.Create("v", ring, blockstore.CreateOptions{Options: o, Size: 5 * goldenBlock, BlockSize: goldenBlock, Suite: g.form.suite, Key: key})
	require.NoError(t, err)
	write := func(tx *blockstore.Tx, b uint64, what string) error { return tx.Write(b, pattern(what, goldenBlock)) }
	if name == "clean" {
		require.NoError(t, s.Update(func(tx *blockstore.Tx) error { return tx.Resize(g.size) }))
		require.NoError(t, s.Update(func(tx *blockstore.Tx) error { return write(tx, 0, "clean 0") }))
		require.NoError(t, s.Update(func(tx *blockstore.Tx) error {
			p := pattern("clean 2", goldenBlock)
			clear(p[goldenBlock-1000:])
			return tx.Write(2, p)
		}))
		require.NoError(t, s.Close())
		return m
	}
	for b := range uint64(4) {
		require.NoError(t, s.Update(func(tx *blockstore.Tx) error { return write(tx, b, fmt.Sprint("first ", b)) }))
	}
	require.NoError(t, s.Checkpoint(context.Background()))
	require.NoError(t, s.Update(func(tx *blockstore.Tx) error { return write(tx, 3, "second 3") }))
	require.NoError(t, s.SwitchJournal(context.Background()))
	require.NoError(t, s.Update(func(tx *blockstore.Tx) error {
		if err := tx.Resize(g.size); err != nil {
			return err
		}
		if err := tx.Trim(0, 1); err != nil {
			return err
		}
		return write(tx, 1, "second 1")
	}))
	return m.Kill()
}

func TestGolden(t *testing.T) {
	if *makeGolden {
		writeGolden(t)
		doc = readPage("../../FORMAT.md")
	}
	data, err := os.ReadFile("testdata/keyfile.coffer")
	require.NoError(t, err)
	have, err := readKeyFile(data, goldenAdmin, goldenPassword)
	require.NoError(t, err)
	require.Len(t, have, 2)
	for name, g := range golden {
		t.Run(name, func(t *testing.T) {
			m := goldenFiles(t, name)
			v, err := reader(t, m, have)
			require.NoError(t, err)
			require.EqualValues(t, g.size, v.size)
			require.EqualValues(t, len(g.blocks), v.blocks())
			for b, what := range g.blocks {
				got, err := v.read(uint64(b))
				require.NoError(t, err)
				require.Equal(t, goldenContent(g.size, b, what), got, "block %d", b)
			}
			require.Equal(t, name == "clean", v.replay == nil)
			goldenByStore(t, m, name)
		})
	}
}

func goldenContent(size int64, b int, what string) []byte {
	p := make([]byte, goldenBlock)
	if what != "" {
		copy(p, pattern(what, goldenBlock))
	}
	if used := size - int64(b)*goldenBlock; used < goldenBlock {
		clear(p[used:])
	}
	return p
}

// goldenByStore reads with the code, read-only and then for writing.
func goldenByStore(t *testing.T, m *fsx.Mem, name string) {
	t.Helper()
	g := golden[name]
	data, err := os.ReadFile("testdata/keyfile.coffer")
	require.NoError(t, err)
	require.NoError(t, m.WriteFile("k", data))
	f, err := keyfile.Open("k", keyfile.Credentials{Admin: goldenAdmin, Password: []byte(goldenPassword)}, &keyfile.Options{FS: m})
	require.NoError(t, err)
	defer f.Close()
	for _, readOnly := range []bool{true, false} {
		ring := dek.NewKeyring()
		_, err = f.Activate(ring, dek.Database, dek.Active)
		require.NoError(t, err)
		s, err := blockstore.Open("v", ring, &blockstore.Options{FS: m, ReadOnly: readOnly})
		require.NoError(t, err)
		require.Equal(t, g.size, s.Size())
		for b, what := range g.blocks {
			got := make([]byte, goldenBlock)
			require.NoError(t, s.View(func(tx *blockstore.Tx) error { return tx.ReadInto(uint64(b), got) }))
			require.Equal(t, goldenContent(g.size, b, what), got, "block %d", b)
		}
		r, err := s.Verify(context.Background(), blockstore.VerifyOptions{})
		require.NoError(t, err)
		require.NoError(t, r.Err())
		require.NoError(t, s.Close())
	}
}

// goldenFiles unpacks a golden volume with its journal.
func goldenFiles(t *testing.T, name string) *fsx.Mem {
	t.Helper()
	m := fsx.NewMem(1)
	require.NoError(t, m.WriteFile("v", unpack(t, filepath.Join("testdata", name+".volume.gz"))))
	slots, err := filepath.Glob(filepath.Join("testdata", name+".journal", "*.gz"))
	require.NoError(t, err)
	if len(slots) > 0 {
		require.NoError(t, m.Mkdir("v.journal", 0o700))
	}
	for _, slot := range slots {
		require.NoError(t, m.WriteFile("v.journal/"+strings.TrimSuffix(filepath.Base(slot), ".gz"), unpack(t, slot)))
	}
	return m
}

func unpack(t *testing.T, path string) []byte {
	t.Helper()
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	z, err := gzip.NewReader(f)
	require.NoError(t, err)
	b, err := io.ReadAll(z)
	require.NoError(t, err)
	return b
}

func pack(t *testing.T, path string, b []byte) {
	t.Helper()
	var out bytes.Buffer
	z, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	require.NoError(t, err)
	_, err = z.Write(b)
	require.NoError(t, err)
	require.NoError(t, z.Close())
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, out.Bytes(), 0o644))
}

// writeGolden makes all of testdata, and the worked examples from it.
func writeGolden(t *testing.T) {
	t.Helper()
	require.NoError(t, os.RemoveAll("testdata"))
	require.NoError(t, os.MkdirAll("testdata", 0o755))
	k := fsx.NewMem(1)
	f, err := keyfile.Create("k", keyfile.CreateOptions{Admin: keyfile.Credentials{Admin: goldenAdmin, Password: []byte(goldenPassword)},
		Bits: 256, Description: "golden", Iterations: keyfile.MinIterations, FS: k})
	require.NoError(t, err)
	defer f.Close()
	second, err := f.AddKey(256, "the other")
	require.NoError(t, err)
	data, err := k.ReadFile("k")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile("testdata/keyfile.coffer", data, 0o644))
	for name, key := range map[string]dek.ID{"clean": second, "unclean": f.Default()} {
		ring := dek.NewKeyring()
		_, err = f.Activate(ring, dek.Database, dek.Active)
		require.NoError(t, err)
		m := goldenWork(t, name, ring, key)
		for _, path := range m.Files() {
			b, err := m.ReadFile(path)
			require.NoError(t, err)
			path = strings.TrimPrefix(path, "/")
			pack(t, filepath.Join("testdata", strings.Replace(path, "v", name+".volume", 1)+".gz"), b)
		}
		slots, _ := filepath.Glob(filepath.Join("testdata", name+".volume.journal"))
		for _, dir := range slots {
			require.NoError(t, os.Rename(dir, filepath.Join("testdata", name+".journal")))
		}
	}
	text := doc.text
	for name, b := range examples(t) {
		mark := "<!-- worked example: " + name + " -->\n```\n"
		before, rest, ok := strings.Cut(text, mark)
		require.True(t, ok, name)
		_, behind, _ := strings.Cut(rest, "```\n")
		text = before + mark + dump(b) + "```\n" + behind
	}
	require.NoError(t, os.WriteFile("../../FORMAT.md", []byte(text), 0o644))
}

// dump is hex.Dump with runs of equal lines shortened as hexdump(1) does.
func dump(b []byte) string {
	var out strings.Builder
	lines := slices.Collect(strings.Lines(hex.Dump(b)))
	same := func(i int) bool { return i > 0 && lines[i][8:] == lines[i-1][8:] }
	for i, line := range lines {
		switch {
		case !same(i) || i == len(lines)-1:
			out.WriteString(line)
		case !same(i - 1):
			out.WriteString("*\n")
		}
	}
	return out.String()
}
