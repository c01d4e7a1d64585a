package metamorphic

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// root is the repository, seen from here.
const root = "../../.."

// hooked is the place in Pebble's metamorphic test, before which the option is added: once it has its options and before it opens
// anything.
const hooked = "\tfor i := range t.testOpts.CustomOpts {\n\t\tif err := t.testOpts.CustomOpts[i].Open(t.opts); err != nil {\n\t\t\treturn err\n\t\t}\n\t}\n"

// variants are the tests in Pebble's package internal/metamorphic, one for each seed in turn.
var variants = []string{"TestMeta", "TestMetaCockroachKVs", "TestMetaTwoInstance"}

func TestMetamorphic(t *testing.T) {
	binary := build(t)
	seed := number(t, "COFFER_META_SEED", int(time.Now().UnixNano()%1e9))
	seeds := number(t, "COFFER_META_SEEDS", 1)
	ops := os.Getenv("COFFER_META_OPS")
	if ops == "" {
		ops = "uniform:500-1000"
	}
	for i := range seeds {
		variant := variants[(seed+i)%len(variants)]
		t.Logf("seed %d, %s, %s operations", seed+i, variant, ops)
		dir := t.TempDir()
		run(t, dir, binary, "-test.run="+variant+"$", "-test.timeout=20m", "--dir="+dir, "--seed="+strconv.Itoa(seed+i), "--ops="+ops)
	}
	t.Logf("runs=%d failures=0 seed=%d", seeds, seed)
}

// build makes the test's binary and checks that pebblefs is in it.
func build(t *testing.T) string {
	module := strings.TrimSpace(run(t, root, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/cockroachdb/pebble/v2"))
	if module == "" {
		run(t, root, "go", "mod", "download", "github.com/cockroachdb/pebble/v2")
		module = strings.TrimSpace(run(t, root, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/cockroachdb/pebble/v2"))
	}
	tree := filepath.Join(t.TempDir(), "pebble")
	check(t, os.CopyFS(tree, os.DirFS(module)))
	check(t, filepath.WalkDir(tree, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chmod(path, 0o755)
	}))
	option, err := os.ReadFile("testdata/coffer.go.txt")
	check(t, err)
	check(t, os.WriteFile(filepath.Join(tree, "metamorphic/coffer.go"), option, 0o644))
	test := filepath.Join(tree, "metamorphic/test.go")
	text, err := os.ReadFile(test)
	check(t, err)
	if bytes.Count(text, []byte(hooked)) != 1 {
		t.Fatal("Pebble's metamorphic/test.go has changed: see where its custom options are opened")
	}
	line := "\tt.testOpts.CustomOpts = append(t.testOpts.CustomOpts, newCofferOption())\n"
	check(t, os.WriteFile(test, bytes.Replace(text, []byte(hooked), []byte(line+hooked), 1), 0o644))
	coffer, err := filepath.Abs(root)
	check(t, err)
	run(t, tree, "go", "mod", "edit", "-require=github.com/cofferdb/coffer@v0.0.0", "-replace=github.com/cofferdb/coffer="+coffer)
	binary := filepath.Join(t.TempDir(), "metamorphic.test")
	run(t, tree, "go", "test", "-mod=mod", "-c", "-tags=invariants", "-o", binary, "./internal/metamorphic")
	text, err = os.ReadFile(binary)
	check(t, err)
	if !bytes.Contains(text, []byte("coffer/1 pebble header mac")) {
		t.Fatal("pebblefs is not in the test's binary")
	}
	return binary
}

// run runs a program in a folder and returns what it prints.
func run(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, tail(out.String()), tail(errs.String()))
	}
	return out.String()
}

func tail(s string) string { return s[max(0, len(s)-20000):] }

func number(t *testing.T, name string, def int) int {
	text := os.Getenv(name)
	if text == "" {
		return def
	}
	n, err := strconv.Atoi(text)
	check(t, err)
	if n < 0 {
		t.Fatal(fmt.Errorf("%s is %d", name, n))
	}
	return n
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
