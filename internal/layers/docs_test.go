package layers

import (
	"go/format"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func exists(rel string) bool {
	_, err := os.Stat(filepath.Join(root, filepath.FromSlash(rel)))
	return err == nil
}

func read(t *testing.T, rel string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(rel)))
	require.NoError(t, err)
	return string(text)
}

func TestPagesExist(t *testing.T) {
	for _, page := range []string{"README.md", "FORMAT.md", "DESIGN.md", "SECURITY.md", "CHANGELOG.md", "BENCHMARKS.md"} {
		t.Run(page, func(t *testing.T) {
			text := read(t, page)
			require.True(t, strings.HasPrefix(text, "# "), "%s begins with its title", page)
			require.Greater(t, strings.Count(text, "\n"), 10, "%s says nothing", page)
		})
	}
	require.Contains(t, read(t, "LICENSE"), "Apache License")
	require.True(t, exists(".ci/run") && exists("Makefile"))
}

// pages returns the Markdown pages at the top of the repository.
func pages(t *testing.T) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(root, "*.md"))
	require.NoError(t, err)
	require.NotEmpty(t, names)
	for i := range names {
		names[i] = filepath.Base(names[i])
	}
	return names
}

var link = regexp.MustCompile(`\]\(([^)\s]+)\)`)

// TestLinksLead: a link to a file of this repository leads to one, and one to a heading to a heading.
func TestLinksLead(t *testing.T) {
	checked := 0
	for _, page := range pages(t) {
		for _, m := range link.FindAllStringSubmatch(read(t, page), -1) {
			if strings.Contains(m[1], "://") || strings.HasPrefix(m[1], "mailto:") {
				continue
			}
			checked++
			target, heading, _ := strings.Cut(m[1], "#")
			if target == "" {
				target = page
			}
			if !exists(target) {
				t.Errorf("%s links to %s, which is not there", page, target)
			} else if heading != "" && !strings.Contains(anchors(read(t, target)), "#"+heading+"\n") {
				t.Errorf("%s links to %s, which has no such heading", page, m[1])
			}
		}
	}
	require.NotZero(t, checked)
}

var notInAnchor = regexp.MustCompile(`[^\p{L}\p{N} _-]`)

// anchors returns the headings of a page as a browser names them, one a line: "#what-it-protects".
func anchors(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if title := strings.TrimLeft(line, "#"); title != line {
			name := notInAnchor.ReplaceAllString(strings.ToLower(strings.TrimSpace(title)), "")
			b.WriteString("#" + strings.ReplaceAll(name, " ", "-") + "\n")
		}
	}
	return b.String()
}

var (
	makeCall   = regexp.MustCompile("(?m)(?:`|^    |^\\$ |^)make ([a-z0-9-]+)")
	makeTarget = regexp.MustCompile(`(?m)^([a-z0-9-]+):`)
)

// TestMakeTargets: the pages name only targets that the Makefile has.
func TestMakeTargets(t *testing.T) {
	targets := map[string]bool{}
	for _, m := range makeTarget.FindAllStringSubmatch(read(t, "Makefile"), -1) {
		targets[m[1]] = true
	}
	for _, want := range []string{"demo", "test", "lint", "race", "fuzz", "bench", "crash", "e2e", "vectors", "cross", "tools", "clean", "help"} {
		require.True(t, targets[want], "make %s is gone", want)
	}
	checked := 0
	for _, page := range pages(t) {
		for _, m := range makeCall.FindAllStringSubmatch(read(t, page), -1) {
			checked++
			if !targets[m[1]] {
				t.Errorf("%s names make %s, which the Makefile does not have", page, m[1])
			}
		}
	}
	require.NotZero(t, checked)
}

// The README's first Go block is the body of blockstore's Example: what a reader copies is what a test has run. The
// Example's first paragraph, its set-up, and its output comment are not shown.
func TestReadmeCodeIsTheExample(t *testing.T) {
	const file = "blockstore/example_test.go"
	shown := firstGoBlock(t, read(t, "README.md"))
	if !exists("blockstore") {
		t.Skip("blockstore is not there yet")
	}
	require.True(t, exists(file), "the README shows the Example of %s", file)
	require.Equal(t, exampleBody(t, read(t, file), "Example"), shown, "README.md and %s differ", file)
	require.LessOrEqual(t, strings.Count(shown, "\n"), 25, "ten lines or so, not a tutorial")
}

func firstGoBlock(t *testing.T, page string) string {
	t.Helper()
	_, rest, ok := strings.Cut(page, "\n```go\n")
	require.True(t, ok, "no Go block")
	block, _, ok := strings.Cut(rest, "\n```\n")
	require.True(t, ok, "the Go block does not end")
	return block
}

// exampleBody returns what the README shows of an Example.
func exampleBody(t *testing.T, text, name string) string {
	t.Helper()
	_, rest, ok := strings.Cut(text, "\nfunc "+name+"() {\n")
	require.True(t, ok, "no func %s()", name)
	body, _, ok := strings.Cut(rest, "\n}\n")
	require.True(t, ok)
	_, body, ok = strings.Cut(body, "\n\n")
	require.True(t, ok, "%s begins with a paragraph of set-up", name)
	body, _, ok = strings.Cut(body, "\n\t// Output:")
	require.True(t, ok, "%s has an output to be checked", name)
	lines := strings.Split(strings.TrimRight(body, "\n"), "\n")
	for i := range lines {
		lines[i] = strings.TrimPrefix(lines[i], "\t")
	}
	return strings.Join(lines, "\n")
}

func TestExampleBody(t *testing.T) {
	text := "package p\n\nfunc Example() {\n\tdir := tmp()\n\n\ts := open(dir)\n\tif s {\n\t\tuse(s)\n\t}\n\n\tdone()\n\t// Output: x\n}\n"
	require.Equal(t, "s := open(dir)\nif s {\n\tuse(s)\n}\n\ndone()", exampleBody(t, text, "Example"))
}

// TestReadmeGoIsFormatted: every Go block of every page is Go, and formatted.
func TestReadmeGoIsFormatted(t *testing.T) {
	checked := 0
	for _, page := range pages(t) {
		blocks := strings.Split(read(t, page), "\n```go\n")[1:]
		for i, rest := range blocks {
			block, _, _ := strings.Cut(rest, "\n```\n")
			checked++
			formatted, err := format.Source([]byte(block))
			require.NoError(t, err, "%s, Go block %d", page, i+1)
			require.Equal(t, string(formatted), block, "%s, Go block %d is not formatted", page, i+1)
		}
	}
	require.NotZero(t, checked)
}

// TestTourNamesPackages: the stops of the README's tour are folders or files of the tree.
func TestTourNamesPackages(t *testing.T) {
	_, tour, ok := strings.Cut(read(t, "README.md"), "\n## A tour of the source\n")
	require.True(t, ok)
	tour, _, _ = strings.Cut(tour, "\n## ")
	stops := regexp.MustCompile("(?m)^\\d\\. \\*\\*`([^`]+)`\\*\\*").FindAllStringSubmatch(tour, -1)
	require.Len(t, stops, 6, "a tour in six stops")
	for _, stop := range stops {
		if !exists(stop[1]) {
			t.Errorf("the tour stops at %s, which is not there", stop[1])
		}
	}
}

var (
	required   = regexp.MustCompile(`(?m)^\t([a-z][^ \t]+) v[^ \n]+$`)             // not "// indirect"
	dependency = regexp.MustCompile("(?m)^\\| `([a-z0-9.-]+\\.[a-z]+/[^`]+)` \\|") // a row of DESIGN.md's table
)

// TestDependenciesAreExplained: DESIGN.md says of each module that go.mod requires why it is there, and of no other.
func TestDependenciesAreExplained(t *testing.T) {
	var wanted, explained []string
	for _, m := range required.FindAllStringSubmatch(read(t, "go.mod"), -1) {
		wanted = append(wanted, m[1])
	}
	for _, m := range dependency.FindAllStringSubmatch(read(t, "DESIGN.md"), -1) {
		explained = append(explained, m[1])
	}
	require.NotEmpty(t, wanted)
	require.ElementsMatch(t, wanted, explained, "go.mod and the table of dependencies in DESIGN.md")
}
