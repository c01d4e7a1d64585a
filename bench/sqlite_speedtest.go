package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/sqlitetree"
)

// speedtestSide goes into the package of go-sqlite3's speedtest1: a benchmark of
// the same form as its own ones, over a VFS of ours under a key that it makes.
const speedtestSide = `package speedtest1

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/sqlitevfs"
)

func Benchmark_side(b *testing.B) {
	args := []string{"--size", strconv.Itoa(b.N)}
	if os.Getenv("SPEEDTEST_VFS") == "coffer" {
		keys := dek.NewKeyring()
		key, err := dek.Generate(256)
		if err == nil {
			err = keys.Activate(key, dek.Database, dek.Active)
		}
		if err == nil && b.N > 1 {
			err = sqlitevfs.Register("coffer", keys, nil)
		}
		if err != nil {
			b.Fatal(err)
		}
		args = append(args, "--vfs", "coffer")
	}
	runBenchmark(b, append(args, filepath.Join(os.Getenv("SPEEDTEST_DIR"), "test.db"))...)
}
`

func (r *sqliteRun) speedtestDelete(ctx context.Context) (string, error) {
	return "speedtest1 --size " + strconv.Itoa(r.o.Size) + " / on a plain file, journal_mode=delete, synchronous=full; the whole run, from open to close",
		r.speedtest(ctx, "speedtest1/delete-full", "delete")
}

func (r *sqliteRun) speedtestWAL(ctx context.Context) (string, error) {
	return "speedtest1 --size " + strconv.Itoa(r.o.Size) + " / on a plain file, journal_mode=wal, synchronous=full; the whole run, from open to close",
		r.speedtest(ctx, "speedtest1/wal-full", "wal")
}

// speedtest measures whole runs of the program: what is left to be written when it closes counts.
func (r *sqliteRun) speedtest(ctx context.Context, name, mode string) error {
	if err := r.build(ctx); err != nil {
		return err
	}
	side := func(vfs, mode string) func() (time.Duration, error) {
		return func() (time.Duration, error) { return r.speedtestRun(ctx, vfs, mode) }
	}
	return r.inTurn(ctx, name, false, side("coffer", "delete"), side("os", mode))
}

func (r *sqliteRun) speedtestRun(ctx context.Context, vfs, mode string) (time.Duration, error) {
	dir, err := os.MkdirTemp(r.dir, "speedtest1-")
	if err != nil {
		return 0, err
	}
	args := []string{"-test.bench=^Benchmark_side$", fmt.Sprintf("-test.benchtime=%dx", max(r.o.Size, 2)),
		"--journal", mode + ";PRAGMA synchronous=full"} // speedtest1 hands it to sqlite3_exec as it is
	cmd := exec.CommandContext(ctx, r.speed, args...)
	cmd.Env = append(os.Environ(), "SPEEDTEST_VFS="+vfs, "SPEEDTEST_DIR="+dir)
	start := time.Now()
	out, err := cmd.CombinedOutput()
	took := time.Since(start)
	if err == nil && !strings.Contains(string(out), "INSERTs into table with no index") {
		err = errors.New("speedtest1 did not run")
	}
	if err != nil {
		return 0, fmt.Errorf("%w: %.2000s", err, out)
	}
	return took, os.RemoveAll(dir)
}

// build builds go-sqlite3's speedtest1 with Coffer's VFS, once.
func (r *sqliteRun) build(ctx context.Context) error {
	if r.speed != "" {
		return nil
	}
	r.progress("building speedtest1 of go-sqlite3")
	tree, err := sqlitetree.Make(ctx, r.o.Source, r.file("go-sqlite3"))
	if errors.Is(err, fault.Unsupported) {
		return fault.Hint(err, fault.HintOf(err)+", or leave speedtest1 out: --only commit/wal-full,scan/cold")
	}
	if err != nil {
		return err
	}
	if err := tree.Add("vfs/tests/speedtest1/side_test.go", speedtestSide); err != nil {
		return err
	}
	program := r.file("speedtest1.test")
	if err := tree.Build("./vfs/tests/speedtest1", program); err != nil {
		return err
	}
	r.speed = program
	return nil
}
