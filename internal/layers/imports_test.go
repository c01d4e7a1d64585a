package layers

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// layers is design §2, top first. A package imports only packages of later rows: siblings in a row do not know each
// other. One line differs from the design's picture: internal/seal stands above dek, because it takes a dek.Key, so
// that raw key bytes never cross a package border (DESIGN.md, "seal takes keys, not bytes").
var layers = [][]string{
	{"cmd/coffer", "internal/crashtest/cmd", "internal/killtest/cmd", "internal/sqlitetest/cmd", "internal/layers", "internal/tabletest", "examples"},
	{"bench", "internal/crashtest", "internal/killtest", "internal/sqlitetest", "internal/formattest", "internal/kmiptest", "internal/pgtest"},
	{"sqlitevfs", "pebblefs", "nbd", "control", "internal/plainfile", "internal/nbdclient", "internal/sqlitetree"},
	{"internal/localsock"},
	{"kmip", "kms"},
	{"element/retable"},
	{"element"},
	{"blockstore"},
	{"journal"},
	{"keyfile"},
	{"internal/seal"},
	{"dek"},
	{"fips"},
	{"internal/crc32c", "internal/ff1"},
	{"internal/aes"},
	{"internal/fsx"},
	{"internal/secmem"},
	{"internal/guid", "internal/splice"},
	{"internal/fault"},
	{"internal/tune"},
}

// rank returns the package's row; packages below a listed one belong to its row.
func rank(rel string) (int, bool) {
	for dir := rel; dir != "."; dir = parent(dir) {
		for row, names := range layers {
			if slices.Contains(names, dir) {
				return row, true
			}
		}
	}
	return 0, false
}

func parent(dir string) string {
	if i := strings.LastIndexByte(dir, '/'); i >= 0 {
		return dir[:i]
	}
	return "."
}

// within reports whether a package lies in dir or below it.
func within(importPath, dir string) bool {
	return importPath == dir || strings.HasPrefix(importPath, dir+"/")
}

func TestImportsPointDownward(t *testing.T) {
	for _, on := range platforms {
		t.Run(on.String(), func(t *testing.T) {
			t.Parallel()
			checked := 0
			for _, p := range ours(list(t, on)) {
				from, known := rank(p.rel())
				if !known {
					t.Errorf("%s has no layer: give it a row in internal/layers and in DESIGN.md", p.rel())
					continue
				}
				for _, path := range p.Imports {
					rel, inside := strings.CutPrefix(path, module+"/")
					if !inside || within(rel, p.rel()) {
						continue
					}
					to, _ := rank(rel)
					checked++
					if to <= from {
						t.Errorf("%s imports %s: imports point downward only (design §2)", p.rel(), rel)
					}
				}
			}
			t.Logf("%d imports checked", checked)
		})
	}
}

// ban forbids packages to others, directly or through anything they import.
type ban struct {
	from   []string // folders of this module; everything below them too
	to     []string // import paths; everything below them too, unless they end in "$"
	direct bool     // only the package's own imports count
	reason string
}

// engine is what an embedding program links: it must stay small and silent.
var engine = []string{"blockstore", "journal", "element", "dek", "keyfile", "internal/seal", "fips", "internal/crc32c", "internal/ff1", "internal/aes",
	"internal/fsx", "internal/secmem", "internal/guid", "internal/fault", "internal/tune"}

var library = append([]string{"kmip", "kms", "sqlitevfs", "pebblefs", "nbd", "control", "bench", "internal/plainfile", "internal/localsock"}, engine...)

var bans = []ban{
	{from: engine, to: []string{"net$", "net/http", "net/rpc", "net/smtp", "net/textproto", "net/mail"},
		reason: "the engine never reaches a network (design §2); net/url and net/netip only parse"},
	{from: engine, to: []string{"crypto/tls", "crypto/x509"},
		reason: "TLS belongs to the key servers' clients, kmip and kms; an embedding program links none of it"},
	{from: engine, to: []string{"github.com/aws", "github.com/Azure", "github.com/AzureAD", "cloud.google.com", "google.golang.org"},
		reason: "no cloud SDK below kms: an embedding program downloads and links none"},
	{from: engine, to: []string{"os/exec", "plugin", "os/signal", "flag", "expvar"},
		reason: "an engine inside another program starts no process and takes over none of its flags, signals or pages"},
	{from: engine, to: []string{"encoding/gob", "encoding/xml"},
		reason: "formats are written out byte by byte, not by reflection; that a key refuses gob is checked in its tests"},
	{from: []string{"dek", "keyfile", "internal/seal", "internal/guid", "internal/secmem", "element"},
		to: []string{"math/rand"}, direct: true,
		reason: "keys, nonces, salts and IDs come from crypto/rand; internal/fsx uses math/rand to crash, nothing else"},
	{from: library, to: []string{module + "/cmd", module + "/bench", module + "/internal/crashtest", module + "/internal/killtest"},
		reason: "programs and harnesses are nobody's library"},
	{from: library, to: []string{"github.com/spf13", "github.com/schollz", "golang.org/x/term"},
		reason: "flags, progress bars and terminals belong to the command"},
	{from: append([]string{"cmd"}, library...), to: []string{"github.com/stretchr", "github.com/rogpeppe", "testing"},
		reason: "only tests import what is for tests"},
	{from: append([]string{"cmd"}, library...), to: []string{"unsafe"}, direct: true,
		reason: "explicit little-endian calls, no struct casts (house style 9); the exceptions below talk to the kernel"},
}

// exceptions name the imports a ban would forbid and that are right all the same.
var exceptions = []struct{ from, to, reason string }{
	{"internal/secmem", "unsafe", "the pages' addresses, for mlock and madvise"},
	{"internal/fsx", "unsafe", "fcntl's lock structure and the like, for the kernel"},
	{"keyfile", "math/rand/v2", "jitter between two attempts at the lock"},
	{"internal/seal", "unsafe", "whether two buffers overlap, as crypto/internal/fips140/alias does"},
	{"internal/aes", "unsafe", "overlap checks and assembler kernels"},
}

// closed are packages whose own imports are not followed: they need what they need for their types alone.
var closed = map[string]string{
	"github.com/klauspost/cpuid/v2":        "registers flags for programs that ask it to, hence flag; nothing here asks",
	"github.com/cockroachdb/pebble/v2":     "a whole database for pebblefs to serve and bench to measure; what it is made of is its own choice",
	"github.com/cockroachdb/pebble/v2/vfs": "the same, of the interface that pebblefs implements",
	"golang.org/x/sys/windows":             "declares structures with net.IP-like fields; calling the system from Go needs it",
}

func excepted(from, to string) bool {
	for _, e := range exceptions {
		if e.from == from && e.to == to {
			return true
		}
	}
	return false
}

func (b ban) forbids(importPath string) bool {
	for _, to := range b.to {
		if exact, ok := strings.CutSuffix(to, "$"); ok && importPath == exact || !ok && within(importPath, to) {
			return true
		}
	}
	return false
}

func TestBans(t *testing.T) {
	for _, on := range platforms {
		t.Run(on.String(), func(t *testing.T) {
			t.Parallel()
			all := list(t, on)
			checked := 0
			for _, p := range ours(all) {
				for _, b := range bans {
					if !slices.ContainsFunc(b.from, func(dir string) bool { return within(p.rel(), dir) }) {
						continue
					}
					checked++
					for _, broken := range b.violations(all, p) {
						t.Error(broken)
					}
				}
			}
			require.NotZero(t, checked, "no package met any ban")
			t.Logf("%d pairs of package and ban checked", checked)
		})
	}
}

// violations says which of the package's imports the ban forbids, and by which way they come.
func (b ban) violations(all map[string]*pkg, p *pkg) []string {
	var found []string
	came := reach(all, p.ImportPath)
	for _, dep := range slices.Sorted(maps.Keys(came)) {
		if dep == p.ImportPath || b.direct && !slices.Contains(p.Imports, dep) {
			continue
		}
		if b.forbids(dep) && !excepted(p.rel(), dep) {
			way := strings.Join(chain(came, dep), " → ")
			found = append(found, fmt.Sprintf("%s must not import %s: %s\n\t%s", p.rel(), dep, b.reason, way))
		}
	}
	return found
}

// reach returns every package that one imports, directly or not, and by which package each was first met.
func reach(all map[string]*pkg, from string) map[string]string {
	came := map[string]string{from: ""}
	for queue := []string{from}; len(queue) > 0; queue = queue[1:] {
		p := all[queue[0]]
		if p == nil || closed[queue[0]] != "" {
			continue
		}
		for _, next := range p.Imports {
			if _, seen := came[next]; !seen {
				came[next] = queue[0]
				queue = append(queue, next)
			}
		}
	}
	return came
}

// chain says how a package came to be reached, so that a failure says where to look.
func chain(came map[string]string, to string) []string {
	var path []string
	for at := to; at != ""; at = came[at] {
		path = append(path, at)
	}
	slices.Reverse(path)
	return path
}

// TestEngineModules holds the engine to the modules that DESIGN.md lists for it.
func TestEngineModules(t *testing.T) {
	allowed := []string{module, "golang.org/x", "github.com/klauspost/cpuid/v2"}
	for _, on := range platforms {
		t.Run(on.String(), func(t *testing.T) {
			t.Parallel()
			all := list(t, on)
			checked := 0
			for _, p := range ours(all) {
				if !slices.ContainsFunc(engine, func(dir string) bool { return within(p.rel(), dir) }) {
					continue
				}
				checked++
				came := reach(all, p.ImportPath)
				for dep := range came {
					d := all[dep]
					if d == nil || d.Standard || d.Module == nil { // nil: "C", or the standard library's own vendor folder
						continue
					}
					ok := slices.ContainsFunc(allowed, func(m string) bool { return within(d.Module.Path, m) })
					if !ok {
						t.Errorf("%s needs the module %s: the engine uses the standard library, golang.org/x and cpuid only\n\t%s",
							p.rel(), d.Module.Path, strings.Join(chain(came, dep), " → "))
					}
				}
			}
			require.NotZero(t, checked, "no package of the engine was checked")
		})
	}
}

// TestRulesBite shows that the tables would notice: a rule that can fail nothing proves nothing.
func TestRulesBite(t *testing.T) {
	for _, c := range []struct {
		importPath string
		banned     bool
	}{
		{"net", true}, {"net/http", true}, {"net/http/httptest", true}, {"net/netip", false}, {"net/url", false},
		{"crypto/tls", true}, {"crypto/tlsx", false}, {"github.com/aws/aws-sdk-go-v2/service/kms", true}, {"log/slog", false},
		{"math/rand/v2", true}, {"crypto/rand", false}, {module + "/cmd/coffer", true}, {module + "/dek", false},
	} {
		got := slices.ContainsFunc(bans, func(b ban) bool { return b.forbids(c.importPath) })
		require.Equal(t, c.banned, got, c.importPath)
	}
	bad := &pkg{ImportPath: module + "/dek", Imports: []string{"net/http"}}
	all := map[string]*pkg{bad.ImportPath: bad, "net/http": {Imports: []string{"io", "net"}}, "net": {}}
	found := bans[0].violations(all, bad)
	require.Len(t, found, 2)
	require.Contains(t, found[0], "dek → net/http → net")
	require.Empty(t, bans[0].violations(map[string]*pkg{bad.ImportPath: {Imports: []string{"golang.org/x/sys/windows"}}, "golang.org/x/sys/windows": {Imports: []string{"net"}}}, bad))
	for _, pair := range [][2]string{{"blockstore", "journal"}, {"journal", "internal/seal"}, {"keyfile", "dek"},
		{"cmd/coffer", "blockstore"}, {"dek", "internal/secmem"}, {"internal/fsx", "internal/fault"}} {
		above, _ := rank(pair[0])
		below, ok := rank(pair[1])
		require.True(t, ok && above < below, fmt.Sprint(pair))
	}
}
