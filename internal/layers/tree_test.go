package layers

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/cofferdb/coffer"

// root is the repository, seen from this package's folder, where go test runs.
const root = "../.."

// pkg is what `go list -json` says about a package, as far as the rules need it.
type pkg struct {
	ImportPath string
	Name       string
	Standard   bool
	Imports    []string
	Module     *struct{ Path string }
}

// rel is the package's folder in the repository, or "" for a package of another module.
func (p *pkg) rel() string {
	if p.ImportPath == module {
		return "."
	}
	rel, ours := strings.CutPrefix(p.ImportPath, module+"/")
	if !ours {
		return ""
	}
	return rel
}

// platform is one way to build: a package that imports something on one system only must not escape.
type platform struct{ goos, goarch, tags string }

var platforms = []platform{
	{"linux", "amd64", ""},
	{"linux", "arm64", "purego"},
	{"darwin", "arm64", ""},
	{"windows", "amd64", ""},
}

func (p platform) String() string {
	return strings.TrimSuffix(p.goos+"/"+p.goarch+" "+p.tags, " ")
}

// list returns every package of this module and all they import, by import path.
func list(t *testing.T, on platform) map[string]*pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-deps", "-tags", on.tags,
		"-json=ImportPath,Name,Standard,Imports,Module", "./...")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "GOOS="+on.goos, "GOARCH="+on.goarch, "CGO_ENABLED=0")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, stderr.String())

	all := map[string]*pkg{}
	for dec := json.NewDecoder(bytes.NewReader(out)); dec.More(); {
		p := new(pkg)
		require.NoError(t, dec.Decode(p))
		all[p.ImportPath] = p
	}
	require.Contains(t, all, module+"/internal/fault", "go list found nothing of this module")
	return all
}

// ours returns the packages of this module among all, sorted by path.
func ours(all map[string]*pkg) []*pkg {
	var found []*pkg
	for _, p := range all {
		if p.rel() != "" {
			found = append(found, p)
		}
	}
	slices.SortFunc(found, func(a, b *pkg) int { return strings.Compare(a.ImportPath, b.ImportPath) })
	return found
}

// source is one parsed Go file of this module, nested modules and testdata left out. Build tags are not looked at:
// the rules hold for every system's files.
type source struct {
	path  string // in the repository, with slashes
	dir   string // "." for the root
	test  bool
	lines int
	ast   *ast.File
	fset  *token.FileSet
}

func (s *source) at(n ast.Node) token.Position {
	p := s.fset.Position(n.Pos())
	p.Filename = s.path
	return p
}

// generated reports whether the file says that a program wrote it.
func (s *source) generated() bool { return ast.IsGenerated(s.ast) }

// imported returns the name under which the file imports the package, or "".
func (s *source) imported(importPath string) string {
	for _, spec := range s.ast.Imports {
		if strings.Trim(spec.Path.Value, `"`) != importPath {
			continue
		}
		if spec.Name != nil {
			return spec.Name.Name
		}
		return path.Base(importPath)
	}
	return ""
}

// sources parses every Go file of the module.
func sources(t *testing.T) []*source {
	t.Helper()
	var found []*source
	require.NoError(t, filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return skipFolder(name, d)
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		s, err := parse(name)
		if err != nil {
			return err
		}
		found = append(found, s)
		return nil
	}))
	require.NotEmpty(t, found)
	return found
}

// skipFolder leaves out what `./...` leaves out: hidden folders, testdata, nested modules.
func skipFolder(name string, d fs.DirEntry) error {
	if name == root {
		return nil
	}
	if d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") || strings.HasPrefix(d.Name(), "_") {
		return fs.SkipDir
	}
	if _, err := os.Stat(filepath.Join(name, "go.mod")); err == nil {
		return fs.SkipDir
	}
	return nil
}

func parse(name string) (*source, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	rel, err := filepath.Rel(root, name)
	if err != nil {
		return nil, err
	}
	s := &source{path: filepath.ToSlash(rel), fset: token.NewFileSet()}
	s.dir = path.Dir(s.path)
	s.test = strings.HasSuffix(s.path, "_test.go")
	s.lines = bytes.Count(text, []byte{'\n'})
	s.ast, err = parser.ParseFile(s.fset, name, text, parser.ParseComments|parser.SkipObjectResolution)
	return s, err
}
