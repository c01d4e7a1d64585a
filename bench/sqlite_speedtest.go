package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/cofferdb/coffer/internal/fault"
)

const (
	ourModule    = "github.com/cofferdb/coffer"
	sqliteModule = "github.com/ncruces/go-sqlite3"
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

// build builds go-sqlite3's speedtest1 with Coffer's VFS, once: from a copy of its module, whose test may import what is internal to it.
func (r *sqliteRun) build(ctx context.Context) error {
	if r.speed != "" {
		return nil
	}
	tool, err := exec.LookPath("go")
	if err != nil {
		return fault.Hint(fmt.Errorf("no Go toolchain to build speedtest1 with: %w", fault.Both(fault.Unsupported, err)),
			"install Go, or leave speedtest1 out: --only commit/wal-full,scan/cold")
	}
	b := builder{ctx, tool, r.o.Source, r.file("go-sqlite3")}
	if b.source == "" {
		if b.source, err = b.findSource(); err != nil {
			return err
		}
	}
	r.progress("building speedtest1 from %s and %s", sqliteModule, b.source)
	program := r.file("speedtest1.test")
	if err := errors.Join(b.copyTree(), b.addSide(), b.requireUs()); err != nil {
		return err
	}
	if _, err := b.run(b.tree, "test", "-mod=mod", "-c", "-o", program, "./vfs/tests/speedtest1"); err != nil {
		return err
	}
	r.speed = program
	return nil
}

// builder builds in a copy of go-sqlite3's module.
type builder struct {
	ctx    context.Context
	tool   string
	source string // of Coffer
	tree   string
}

// run runs the Go tool and returns what it prints.
func (b *builder) run(dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(b.ctx, b.tool, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-buildvcs=false")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("go %s: %w: %.2000s", strings.Join(args, " "), err, stderr.String())
	}
	return strings.TrimSpace(string(out)), nil
}

// findSource looks for Coffer's source: where this program runs, or was built.
func (b *builder) findSource() (string, error) {
	candidates := []string{"."}
	if _, file, _, ok := runtime.Caller(0); ok {
		candidates = append(candidates, filepath.Dir(filepath.Dir(file)))
	}
	for _, dir := range candidates {
		if _, err := os.Stat(dir); err != nil {
			continue
		}
		if out, err := b.run(dir, "list", "-m", "-f", "{{.Path}} {{.Dir}}"); err == nil {
			if found, ok := strings.CutPrefix(out, ourModule+" "); ok {
				return found, nil
			}
		}
	}
	return "", fault.Hint(fmt.Errorf("no source of Coffer to build speedtest1 with: %w", fault.Unsupported),
		"run it in a clone of Coffer, or name one with --source")
}

// copyTree copies go-sqlite3's module, in the version that Coffer has.
func (b *builder) copyTree() error {
	if _, err := b.run(b.source, "mod", "download", sqliteModule); err != nil {
		return err
	}
	from, err := b.run(b.source, "list", "-m", "-f", "{{.Dir}}", sqliteModule)
	if err != nil {
		return err
	}
	return os.CopyFS(b.tree, os.DirFS(from))
}

// addSide puts our side beside speedtest1's own.
func (b *builder) addSide() error {
	return os.WriteFile(filepath.Join(b.tree, "vfs/tests/speedtest1/side_test.go"), []byte(speedtestSide), 0o600)
}

// requireUs makes the copy require Coffer from its source, with the sums that Coffer has for what it requires itself.
func (b *builder) requireUs() error {
	if _, err := b.run(b.tree, "mod", "edit", "-require", ourModule+"@v0.0.0", "-replace", ourModule+"="+b.source); err != nil {
		return err
	}
	ours, err := os.ReadFile(filepath.Join(b.source, "go.sum"))
	if err != nil {
		return err
	}
	path := filepath.Join(b.tree, "go.sum")
	theirs, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(theirs, ours...), 0o600)
}
