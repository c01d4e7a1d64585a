package formattest

import (
	"bytes"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// sizes are those that FORMAT.md states in its text for the structures with a table.
var sizes = map[string]int{
	"label": 8192, "key slot": 512, "epoch": 48, "session": 32, "tag block": 8192, "record": 48, "tree block": 8192, "tree entry": 40,
	"segment header": 256, "frame": 160, "frame own data": 72, "closing frame": 40, "redo record": 24, "redo operation": 24,
	"anchor": 80, "block additional data": 64, "frame additional data": 64, "key file header": 64, "kms key file header": 80, "administrator record": 112, "key record": 32,
	"backup registry": 16, "registry record": 56,
	"backup preamble": 16, "backup record": 24, "backup beginning": 216, "backup group": 8224, "backup list entry": 40, "backup end": 1232,
	"element header": 38, "stream header": 128, "stream segment": 64,
	"pebble header": 4096, "pebble alias": 64, "pebble page": 4096, "pebble page plaintext": 4064, "pebble names": 108,
}

// Every byte of every structure has a name, once.
func TestTablesHaveNoGaps(t *testing.T) {
	for title, size := range sizes {
		tab := doc.tables[title]
		require.NotNil(t, tab, "FORMAT.md has no table %s", title)
		at := 0
		for _, f := range tab.rows {
			require.Equal(t, at, f.off, "table %s, field %s", title, f.name)
			if f.size < 0 {
				break // behind it offsets depend on others
			}
			at += f.size
		}
		require.Equal(t, size, at, "table %s", title)
	}
	require.Len(t, doc.tables, len(sizes), "a table that is not checked")
}

// The table of example offsets follows from the formulas, which the reader uses.
func TestExampleOffsets(t *testing.T) {
	_, rest, ok := strings.Cut(doc.text, "<!-- table: example offsets -->\n")
	require.True(t, ok)
	rows := regexp.MustCompile(`(?m)^\| (tree|tag|data) block (\d+)(?: of level (\d))? \| (\d+) \| (\d+) \| (\d+) \|$`).FindAllStringSubmatch(rest, -1)
	require.Len(t, rows, 14)
	num := func(s string) uint64 {
		n, err := strconv.ParseUint(s, 10, 64)
		require.NoError(t, err)
		return n
	}
	for _, r := range rows {
		for i, bs := range []uint64{4096, 8192, 65536} {
			want := num(r[4+i])
			switch n := num(r[2]); r[1] {
			case "data":
				require.Equal(t, dataOffset(n, bs), want, r[0])
			case "tag":
				require.Equal(t, pairOffset(place{0, n}, bs), want, r[0])
			default:
				require.Equal(t, pairOffset(place{num(r[3]), n}, bs), want, r[0])
			}
		}
	}
}

// examples are the worked examples of volumes: what the reader finds in the golden files, cut to what is shown.
func examples(t *testing.T) map[string][]byte {
	t.Helper()
	data, err := os.ReadFile("testdata/keyfile.coffer")
	require.NoError(t, err)
	have, err := readKeyFile(data, goldenAdmin, goldenPassword)
	require.NoError(t, err)
	m := goldenFiles(t, "unclean")
	v, err := reader(t, m, have)
	require.NoError(t, err)
	_, err = v.record(0)
	require.NoError(t, err)
	slot, err := m.ReadFile("v.journal/segment-000001")
	require.NoError(t, err)
	records := v.replay.records
	return map[string][]byte{
		"label":          v.l.b,
		"tree block":     v.meta[place{1, 0}][:64+48],
		"tag block":      v.meta[place{0, 0}][:64+6*48],
		"segment header": slot[:256],
		"frame":          slot[4096:][:160+32],
		"redo record":    records[len(records)-1][:4*24+32],
	}
}

// The worked examples of the page are the golden files' bytes.
func TestWorkedExamples(t *testing.T) {
	for name, want := range examples(t) {
		got, err := doc.example(name)
		require.NoError(t, err)
		require.True(t, bytes.Equal(want, got), "worked example %s", name)
	}
	l, err := doc.example("label")
	require.NoError(t, err)
	_, err = parseLabel(l)
	require.NoError(t, err)
	redo, err := doc.example("redo record")
	require.NoError(t, err)
	rec := doc.in("redo record", redo)
	require.EqualValues(t, 3, rec.num("operations"))
	var kinds []uint64
	for i := range 3 {
		kinds = append(kinds, doc.in("redo operation", redo[24+24*i:]).num("kind"))
	}
	require.Equal(t, []uint64{opResize, opHole, opImage}, kinds)
}

// The reader knows nothing but the page: its files import the standard library only.
func TestReaderIsIndependent(t *testing.T) {
	files, err := filepath.Glob("reader_*_test.go")
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(files), 6)
	for _, name := range files {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		require.NoError(t, err)
		for _, i := range f.Imports {
			require.NotContains(t, i.Path.Value, ".", "%s", name)
		}
	}
}

// Every heading that comments in the code refer to is there.
func TestHeadingsThatCodeRefersTo(t *testing.T) {
	refs := regexp.MustCompile(`FORMAT\.md[,:]? (?:section )?"([^"]+)"(?: and "([^"]+)")?`)
	found := 0
	for _, dir := range []string{"../../blockstore", "../../journal", "../../keyfile", "../seal", "../../dek", "../../pebblefs"} {
		files, err := filepath.Glob(dir + "/*.go")
		require.NoError(t, err)
		for _, name := range files {
			text, err := os.ReadFile(name)
			require.NoError(t, err)
			joined := regexp.MustCompile(`\n\t*// `).ReplaceAllString(string(text), " ")
			for _, m := range refs.FindAllStringSubmatch(joined, -1) {
				for _, title := range m[1:] {
					if title != "" {
						found++
						require.Regexp(t, `(?m)^#{2,4} `+regexp.QuoteMeta(title)+`$`, doc.text, "%s refers to it", name)
					}
				}
			}
		}
	}
	require.Greater(t, found, 8)
}
