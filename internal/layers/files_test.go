package layers

import (
	"go/ast"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Everything that writes goes through internal/fsx (design §8, §9): there the durable-replace helper is, and there a
// test can crash. A write past it would be one that no test has ever cut the power under.
const goesThroughFsx = "everything that writes goes through internal/fsx, where tests cut the power"

// changers are the functions that change the file system, by the package they are in.
var changers = map[string][]string{
	"os": {"Chmod", "Chown", "Chtimes", "CopyFS", "Create", "CreateTemp", "Lchown", "Link", "Mkdir", "MkdirAll", "MkdirTemp",
		"OpenFile", "Remove", "RemoveAll", "Rename", "Symlink", "Truncate", "WriteFile", "OpenRoot", "OpenInRoot", "NewFile"},
	"io/ioutil": {"TempDir", "TempFile", "WriteFile"},
	"syscall": {"Creat", "Fallocate", "Fsync", "Ftruncate", "Link", "Mkdir", "Open", "Pwrite", "Rename", "Rmdir", "Symlink", "Truncate",
		"Unlink", "Write"},
	"golang.org/x/sys/unix": {"Creat", "Fallocate", "Fdatasync", "Fsync", "Ftruncate", "Linkat", "Mkdir", "Mkdirat", "Open", "Openat",
		"Pwrite", "Rename", "Renameat", "Renameat2", "RenameatxNp", "Rmdir", "Truncate", "Unlink", "Unlinkat", "Write"},
	"golang.org/x/sys/windows": {"CreateFile", "DeleteFile", "MoveFile", "MoveFileEx", "ReplaceFile", "WriteFile"},
}

// writers are the packages that may change the file system themselves, function by function. Tests may always.
var writers = []struct {
	dir    string
	calls  []string // "os.Rename"; nil for all
	reason string
}{
	{"internal/fsx", nil, "this is the package that does it"},
	{"cmd/coffer", []string{"os.MkdirTemp", "os.RemoveAll"}, "the demonstration's own folder"},
	{"cmd/coffer", []string{"os.MkdirAll"}, "the folder for manual pages, which cobra writes"},
	{"internal/crashtest", []string{"os.MkdirTemp", "os.RemoveAll"}, "scratch folders of a harness"},
	{"internal/killtest", []string{"os.MkdirTemp", "os.RemoveAll"}, "the same"},
	{"internal/kmiptest", []string{"os.Create", "os.Mkdir", "os.WriteFile"}, "files of servers that tests start, in folders of the tests"},
	{"internal/pgtest", []string{"os.Create", "os.MkdirTemp", "os.RemoveAll", "os.Chown"}, "the folder of a server that tests start"},
	{"bench", []string{"os.MkdirTemp", "os.RemoveAll", "os.Create", "os.OpenFile"}, "plain files to compare with"},
	{"internal/sqlitetree", []string{"os.CopyFS", "os.WriteFile"}, "the temporary copy of a module that foreign tests are built in"},
}

func mayCall(dir, call string) bool {
	for _, w := range writers {
		if within(dir, w.dir) && (w.calls == nil || slices.Contains(w.calls, call)) {
			return true
		}
	}
	return false
}

// changes returns the calls and mentions in a file that change the file system, as "os.Rename".
func changes(s *source) map[ast.Node]string {
	names := map[string]string{} // as imported here → package
	for importPath := range changers {
		if name := s.imported(importPath); name != "" {
			names[name] = importPath
		}
	}
	found := map[ast.Node]string{}
	readOnly := map[ast.Node]bool{}
	ast.Inspect(s.ast, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			if opensToRead(n) {
				readOnly[n.Fun] = true
			}
		case *ast.SelectorExpr:
			x, ok := n.X.(*ast.Ident)
			if !ok || readOnly[n] {
				return true
			}
			importPath := names[x.Name]
			if slices.Contains(changers[importPath], n.Sel.Name) {
				found[n] = path.Base(importPath) + "." + n.Sel.Name
			}
		}
		return true
	})
	return found
}

// opensToRead reports whether a call is os.OpenFile(name, os.O_RDONLY, …), spelt so.
func opensToRead(call *ast.CallExpr) bool {
	fun, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || fun.Sel.Name != "OpenFile" || len(call.Args) != 3 {
		return false
	}
	flag, ok := call.Args[1].(*ast.SelectorExpr)
	return ok && flag.Sel.Name == "O_RDONLY"
}

func TestOnlyFsxChangesFiles(t *testing.T) {
	checked, inFsx := 0, 0
	for _, s := range sources(t) {
		if s.test {
			continue
		}
		checked++
		for n, call := range changes(s) {
			if within(s.dir, "internal/fsx") {
				inFsx++
			}
			if !mayCall(s.dir, call) {
				t.Errorf("%s: %s: %s", s.at(n), call, goesThroughFsx)
			}
		}
	}
	require.NotZero(t, checked)
	require.NotZero(t, inFsx, "the scan does not even see what internal/fsx does")
}

// TestFileLength: a file of a screen or five is read whole, one of thousands of lines is not (house style 5).
func TestFileLength(t *testing.T) {
	const most = 400
	checked := 0
	for _, s := range sources(t) {
		if s.test || s.generated() {
			continue
		}
		checked++
		if s.lines > most {
			t.Errorf("%s has %d lines, most is %d: one noun per file", s.path, s.lines, most)
		}
	}
	require.NotZero(t, checked)
}

// TestFuzzTargetsHaveSeeds: a fuzz target without seeds starts from nothing and, in go test, runs nothing at all.
func TestFuzzTargetsHaveSeeds(t *testing.T) {
	checked := 0
	for _, s := range sources(t) {
		if !s.test {
			continue
		}
		for _, d := range s.ast.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Recv != nil || !strings.HasPrefix(f.Name.Name, "Fuzz") || len(f.Type.Params.List) != 1 {
				continue
			}
			checked++
			corpus := path.Join(s.dir, "testdata/fuzz", f.Name.Name)
			if !seeds(f) && !exists(corpus) {
				t.Errorf("%s: %s has no seeds: call f.Add or put a corpus in %s", s.at(f), f.Name.Name, corpus)
			}
		}
	}
	if checked == 0 {
		t.Skip("no fuzz target in the tree yet")
	}
	t.Logf("%d fuzz targets", checked)
}

// seeds reports whether a fuzz target adds seeds: calls Add, or hands its *testing.F to a helper that may.
func seeds(f *ast.FuncDecl) bool {
	names := f.Type.Params.List[0].Names
	if len(names) == 0 {
		return false
	}
	param, found := names[0].Name, false
	ast.Inspect(f.Body, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		if fun, ok := call.Fun.(*ast.SelectorExpr); ok && fun.Sel.Name == "Add" && isIdent(fun.X, param) {
			found = true
		}
		if _, helper := call.Fun.(*ast.Ident); helper && len(call.Args) > 0 && isIdent(call.Args[0], param) {
			found = true
		}
		return !found
	})
	return found
}

func isIdent(e ast.Expr, name string) bool {
	id, ok := e.(*ast.Ident)
	return ok && id.Name == name
}
