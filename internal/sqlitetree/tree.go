package sqlitetree

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/cofferdb/coffer/internal/fault"
)

const (
	ourModule    = "github.com/cofferdb/coffer"
	sqliteModule = "github.com/ncruces/go-sqlite3"
)

// Tree is a copy of go-sqlite3's module, in the version that Coffer has, which requires Coffer from its source.
type Tree struct {
	ctx    context.Context
	tool   string
	source string // folder of Coffer
	dir    string
}

// Make makes the copy in dir, which must not exist. source is the folder with
// Coffer's source; "" looks for it where the program runs, and where it was built.
// Without a Go toolchain, or without that source, the error is fault.Unsupported.
func Make(ctx context.Context, source, dir string) (*Tree, error) {
	tool, err := exec.LookPath("go")
	if err != nil {
		return nil, fault.Hint(fmt.Errorf("no Go toolchain to build go-sqlite3's programs with: %w", fault.Both(fault.Unsupported, err)), "install Go")
	}
	t := &Tree{ctx, tool, source, dir}
	if t.source == "" {
		if t.source, err = t.findSource(); err != nil {
			return nil, err
		}
	}
	return t, errors.Join(t.copy(), t.requireUs())
}

// run runs the Go tool and returns what it prints.
func (t *Tree) run(dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(t.ctx, t.tool, args...)
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

func (t *Tree) findSource() (string, error) {
	candidates := []string{"."}
	if _, file, _, ok := runtime.Caller(0); ok {
		candidates = append(candidates, filepath.Dir(filepath.Dir(filepath.Dir(file))))
	}
	for _, dir := range candidates {
		if _, err := os.Stat(dir); err != nil {
			continue
		}
		if out, err := t.run(dir, "list", "-m", "-f", "{{.Path}} {{.Dir}}"); err == nil {
			if found, ok := strings.CutPrefix(out, ourModule+" "); ok {
				return found, nil
			}
		}
	}
	return "", fault.Hint(fmt.Errorf("no source of Coffer to link go-sqlite3's programs with: %w", fault.Unsupported),
		"run it in a clone of Coffer, or name one with --source")
}

func (t *Tree) copy() error {
	if _, err := t.run(t.source, "mod", "download", sqliteModule); err != nil {
		return err
	}
	from, err := t.run(t.source, "list", "-m", "-f", "{{.Dir}}", sqliteModule)
	if err != nil {
		return err
	}
	return os.CopyFS(t.dir, os.DirFS(from))
}

// requireUs makes the copy require Coffer, with the sums that Coffer has for what it requires itself.
func (t *Tree) requireUs() error {
	if _, err := t.run(t.dir, "mod", "edit", "-require", ourModule+"@v0.0.0", "-replace", ourModule+"="+t.source); err != nil {
		return err
	}
	ours, err := os.ReadFile(filepath.Join(t.source, "go.sum"))
	if err != nil {
		return err
	}
	return t.Edit("go.sum", func(text string) (string, error) { return text + string(ours), nil })
}

// Add puts a file into the copy.
func (t *Tree) Add(name, text string) error {
	return os.WriteFile(filepath.Join(t.dir, filepath.FromSlash(name)), []byte(text), 0o600)
}

// Edit changes a file of the copy.
func (t *Tree) Edit(name string, change func(text string) (string, error)) error {
	text, err := os.ReadFile(filepath.Join(t.dir, filepath.FromSlash(name)))
	if err != nil {
		return err
	}
	changed, err := change(string(text))
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return t.Add(name, changed)
}

// Build builds the tests of a package of the copy into a program.
func (t *Tree) Build(pkg, program string) error {
	_, err := t.run(t.dir, "test", "-mod=mod", "-ldflags=-s -w", "-c", "-o", program, pkg)
	return err
}
