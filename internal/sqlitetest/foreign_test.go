package sqlitetest

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/internal/sqlitetree"
)

var long = flag.Bool("foreign", false, "all of go-sqlite3's tests over the VFS, in every journal mode: some minutes")

// foreignVFS goes into packages of go-sqlite3's tests: it registers the VFS under a key of its own.
const foreignVFS = `package %s

import (
	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/sqlitevfs"
)

func init() {
	keys := dek.NewKeyring()
	key, err := dek.Generate(256)
	if err == nil {
		err = keys.Activate(key, dek.Database, dek.Active)
	}
	if err == nil {
		err = sqlitevfs.Register("coffer", keys, nil)
	}
	if err != nil {
		panic(err)
	}
}
`

// foreignScripts goes beside mptest's test: the same scripts over our VFS.
const foreignScripts = `package mptest

import (
	"path/filepath"
	"strings"
	"testing"
)

func Test_coffer(t *testing.T) {
	for _, script := range []string{"multiwrite01", "crash01", "config01", "config02"} {
		for _, mode := range []string{"delete", "truncate", "persist", "memory"} {
			t.Run(strings.Join([]string{script, mode}, "_"), func(t *testing.T) {
				runTest(t, "mptest", filepath.Join(t.TempDir(), "test.db"), script+".test", "--vfs", "coffer", "--journalmode", mode, "--timeout", "300000")
			})
		}
	}
}
`

const foreignSpeed = `package speedtest1

import (
	"context"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"github.com/cofferdb/coffer/blockstore"
	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/sqlitevfs"
	"github.com/ncruces/go-sqlite3/vfs"
)

// Benchmark_rekey is speedtest1 on a volume that is re-keyed again and again.
func Benchmark_rekey(b *testing.B) {
	if b.N == 1 {
		return
	}
	keys := dek.NewKeyring()
	var ids []dek.ID
	for range 2 {
		key, err := dek.Generate(256)
		if err == nil {
			err = keys.Activate(key, dek.Database, dek.Active)
		}
		if err != nil {
			b.Fatal(err)
		}
		ids = append(ids, key.ID())
	}
	if err := sqlitevfs.Register("rekeyed", keys, nil); err != nil {
		b.Fatal(err)
	}
	path := filepath.Join(b.TempDir(), "test.db")
	stop := make(chan struct{})
	var wg sync.WaitGroup
	defer wg.Wait()
	defer close(stop)
	wg.Go(func() { rekey(b, path, ids, stop) })
	runBenchmark(b, "--vfs", "rekeyed", "--verify", "--size", strconv.Itoa(b.N), path)
}

func rekey(b *testing.B, path string, ids []dek.ID, stop chan struct{}) {
	for n := 1; ; n++ {
		s, release, err := vfs.Find("rekeyed").(*sqlitevfs.VFS).Store(path)
		for err != nil { // not made yet
			select {
			case <-stop:
				return
			default:
				s, release, err = vfs.Find("rekeyed").(*sqlitevfs.VFS).Store(path)
			}
		}
		c, err := s.Convert(context.Background(), blockstore.Conversion{Key: ids[n%2]})
		if err == nil {
			_, err = c.Wait()
		}
		if err == nil {
			var r *blockstore.Report
			if r, err = s.Verify(context.Background(), blockstore.VerifyOptions{}); err == nil {
				err = r.Err()
			}
		}
		if err != nil {
			b.Error(err)
		}
		if err := release(); err != nil {
			b.Error(err)
		}
		select {
		case <-stop:
			println("re-keyed", n, "times")
			return
		default:
		}
	}
}

func Benchmark_coffer(b *testing.B) {
	runBenchmark(b, "--vfs", "coffer", "--verify", "--size", strconv.Itoa(b.N), filepath.Join(b.TempDir(), "test.db"))
}
`

// foreign builds go-sqlite3's tests of a package over our VFS and returns what runs them.
func foreign(t *testing.T, tree *sqlitetree.Tree, folder, name string, add map[string]string) func(args ...string) string {
	t.Helper()
	require.NoError(t, tree.Add(folder+"/coffer_vfs_test.go", fmt.Sprintf(foreignVFS, name)))
	for file, text := range add {
		require.NoError(t, tree.Add(folder+"/"+file, text))
	}
	program := filepath.Join(t.TempDir(), name+".test")
	require.NoError(t, tree.Build("./"+folder, program))
	return func(args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), program, append(args, "-test.timeout=20m")...)
		cmd.Dir = t.TempDir()
		cmd.Env = append(os.Environ(), "SQLITE3_TEST_WAL_STRESS=1", "CI=")
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		return string(out)
	}
}

func makeTree(t *testing.T) *sqlitetree.Tree {
	t.Helper()
	if testing.Short() {
		t.Skip("builds go-sqlite3's tests")
	}
	tree, err := sqlitetree.Make(t.Context(), "", filepath.Join(t.TempDir(), "go-sqlite3"))
	require.NoError(t, err)
	return tree
}

// summary is how mptest ends.
var summary = regexp.MustCompile(`Summary: (\d+) errors out of (\d+) tests`)

// TestMptest runs SQLite's mptest: scripts in which several clients write, crash and change the journal mode and the page size of one database.
func TestMptest(t *testing.T) {
	run := foreign(t, makeTree(t), "vfs/tests/mptest", "mptest", map[string]string{"coffer_test.go": foreignScripts})
	which := "(multiwrite01|crash01)_delete"
	if *long {
		which = ".*"
	}
	out := run("-test.run=^Test_coffer$/^"+which+"$", "-test.v")
	ends := summary.FindAllStringSubmatch(out, -1)
	require.Len(t, ends, strings.Count(out, "=== RUN   Test_coffer/"))
	require.NotEmpty(t, ends)
	for _, end := range ends {
		require.Equal(t, "0", end[1], "%s", out)
	}
	t.Logf("%d scripts: %v", len(ends), ends)
}

// TestSpeedtest1 runs SQLite's speedtest1 in every journal mode, with its own verification.
func TestSpeedtest1(t *testing.T) {
	if !*long {
		t.Skip("the test of package bench runs it; in every journal mode: make sqlitetests")
	}
	run := foreign(t, makeTree(t), "vfs/tests/speedtest1", "speedtest1", map[string]string{"coffer_test.go": foreignSpeed})
	for _, mode := range []string{"delete", "truncate", "persist", "memory"} {
		out := run("-test.bench=^Benchmark_coffer$", "-test.benchtime=20x", "--journal", mode)
		require.Contains(t, out, "INSERTs into table with no index")
	}
	out := run("-test.bench=^Benchmark_rekey$", "-test.benchtime=20x")
	require.Contains(t, out, "INSERTs into table with no index")
	times := regexp.MustCompile(`re-keyed (\d+) times`).FindStringSubmatch(out)
	require.NotNil(t, times, "%s", out)
	t.Logf("re-keyed and verified %s times meanwhile", times[1])
}

// TestStress runs go-sqlite3's tests of database/sql over the VFS, with their DSNs changed to name it.
func TestStress(t *testing.T) {
	if !*long {
		t.Skip("some minutes: make sqlitetests")
	}
	tree := makeTree(t)
	name := func(file, was, is string) {
		require.NoError(t, tree.Edit(file, func(text string) (string, error) {
			if !strings.Contains(text, was) {
				return "", errors.New("not as it was")
			}
			return strings.ReplaceAll(text, was, is), nil
		}))
	}
	name("tests/parallel/parallel_test.go", `"?_pragma=busy_timeout(10000)"`, `"?vfs=coffer&_pragma=busy_timeout(10000)"`)
	name("tests/bradfitz/sql_test.go", `"?_pragma=busy_timeout(10000)`, `"?vfs=coffer&_pragma=busy_timeout(10000)`)
	name("vfs/tests/wal_stress_test.go", `"_txlock": {"deferred"},`, `"_txlock": {"deferred"}, "vfs": {"coffer"},`)
	name("vfs/tests/wal_stress_test.go", "iters     = 2000", "iters     = 20")
	for _, p := range []struct{ folder, name, run string }{
		{"tests/parallel", "tests", "^Test_(parallel|wal)$"},
		{"tests/bradfitz", "bradfitz", "."},
		{"vfs/tests", "tests", "^TestWALConcurrentWriters$"},
	} {
		start := time.Now()
		out := foreign(t, tree, p.folder, p.name, nil)("-test.run="+p.run, "-test.v", "-test.short=false")
		require.NotContains(t, out, "--- SKIP")
		t.Logf("%s: %d tests, %s", p.folder, strings.Count(out, "--- PASS"), time.Since(start).Round(time.Second))
	}
}
