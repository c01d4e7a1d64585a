package layers

import (
	"go/ast"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// folder is what one package's files add up to.
type folder struct {
	name        string // the package's name, "main" for a command
	doc         string // the package comment
	docInDoc    bool   // and it stands in doc.go
	hasExample  bool
	hasErrors   bool // errors.go is there
	returnsErrs bool // declares an error variable or type somewhere
}

// folders sums up the sources by folder; folders of tests only are left out.
func folders(all []*source) map[string]*folder {
	found := map[string]*folder{}
	for _, s := range all {
		if !s.test && found[s.dir] == nil {
			found[s.dir] = &folder{name: s.ast.Name.Name}
		}
	}
	for _, s := range all {
		f := found[s.dir]
		switch {
		case f == nil:
		case s.test:
			f.hasExample = f.hasExample || slices.ContainsFunc(s.ast.Decls, isExample)
		default:
			f.add(s)
		}
	}
	return found
}

func (f *folder) add(s *source) {
	if s.ast.Doc != nil {
		f.doc = s.ast.Doc.Text()
		f.docInDoc = f.docInDoc || strings.HasSuffix(s.path, "/doc.go")
	}
	f.hasErrors = f.hasErrors || strings.HasSuffix(s.path, "/errors.go")
	for _, d := range s.ast.Decls {
		if g, ok := d.(*ast.GenDecl); ok {
			for _, spec := range g.Specs {
				v, ok := spec.(*ast.ValueSpec)
				f.returnsErrs = f.returnsErrs || ok && strings.HasPrefix(v.Names[0].Name, "Err")
			}
		}
	}
}

func isExample(d ast.Decl) bool {
	f, ok := d.(*ast.FuncDecl)
	return ok && f.Recv == nil && strings.HasPrefix(f.Name.Name, "Example") && len(f.Type.Params.List) == 0
}

func TestPackagesAreDocumented(t *testing.T) {
	found := folders(sources(t))
	require.NotEmpty(t, found)
	public := 0
	for dir, f := range found {
		want := "Package " + f.name + " "
		if f.name == "main" {
			want = "" // "Command coffer …", "Coffer …": both are read
		}
		if f.doc == "" || !strings.HasPrefix(f.doc, want) {
			t.Errorf("%s: the package comment is missing, cut off by an empty line, or does not begin with %q", dir, want)
		}
		if f.name == "main" || strings.Contains("/"+dir+"/", "/internal/") {
			continue
		}
		public++
		if !f.docInDoc {
			t.Errorf("%s: the package comment of a public package stands in doc.go", dir)
		}
		if !f.hasExample {
			t.Errorf("%s: a public package has an Example", dir)
		}
		if f.returnsErrs && !f.hasErrors {
			t.Errorf("%s: error values are declared in errors.go", dir)
		}
	}
	require.NotZero(t, public, "no public package was checked")
}
