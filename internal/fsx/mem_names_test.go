package fsx

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// world lists names with the content of each file.
func world(img *Mem) string {
	var s []string
	for _, name := range img.Files() {
		data, _ := img.ReadFile(name)
		s = append(s, name[1:]+"="+string(data))
	}
	return strings.Join(s, " ")
}

// names0 is a file system with the given files, durable.
func names0(t *testing.T, files ...string) *Mem {
	m := NewMem(5)
	for _, f := range files {
		name, data, _ := strings.Cut(f, "=")
		for i, c := range name {
			if c == '/' && i > 0 {
				_ = m.Mkdir(name[:i], 0o700)
			}
		}
		require.NoError(t, m.WriteFile("/"+name, []byte(data)))
	}
	return m
}

func TestCrashOfNames(t *testing.T) {
	create := func(name, data string) func(*Mem) error {
		return func(m *Mem) error {
			f, err := m.Open(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
			if err != nil {
				return err
			}
			if _, err := f.WriteAt([]byte(data), 0); err != nil {
				return err
			}
			return f.Sync()
		}
	}
	remove := func(name string) func(*Mem) error { return func(m *Mem) error { return m.Remove(name) } }
	rename := func(from, to string) func(*Mem) error { return func(m *Mem) error { return m.Rename(from, to) } }
	mkdir := func(name string) func(*Mem) error { return func(m *Mem) error { return m.Mkdir(name, 0o700) } }
	syncDir := func(name string) func(*Mem) error { return func(m *Mem) error { return m.SyncDir(name) } }
	for _, c := range []struct {
		name   string
		before []string
		do     []func(*Mem) error
		want   []string // every outcome, and no other
	}{
		{"create", nil, []func(*Mem) error{create("a", "A")}, []string{"", "a=A"}},
		{"create, synced", nil, []func(*Mem) error{create("a", "A"), syncDir("/")}, []string{"a=A"}},
		{"remove", []string{"a=A"}, []func(*Mem) error{remove("a")}, []string{"", "a=A"}},
		{"remove, synced", []string{"a=A"}, []func(*Mem) error{remove("a"), syncDir("/")}, []string{""}},
		{"rename", []string{"a=A"}, []func(*Mem) error{rename("a", "b")}, []string{"a=A", "b=A"}},
		{"rename, synced", []string{"a=A"}, []func(*Mem) error{rename("a", "b"), syncDir("/")}, []string{"b=A"}},
		{"replace", []string{"a=A", "b=B"}, []func(*Mem) error{rename("a", "b")}, []string{"a=A b=B", "b=A"}},
		{"create and replace", []string{"b=B"}, []func(*Mem) error{create("a", "A"), rename("a", "b")},
			[]string{"b=B", "a=A b=B", "b=A"}},
		{"rename twice", []string{"a=A"}, []func(*Mem) error{rename("a", "b"), rename("b", "c")},
			[]string{"a=A", "b=A", "c=A"}},
		{"recreate", []string{"a=A"}, []func(*Mem) error{remove("a"), create("a", "B")},
			[]string{"a=A", "", "a=B"}},
		{"rotate", []string{"log=1"}, []func(*Mem) error{rename("log", "old"), create("log", "2")},
			[]string{"log=1", "old=1", "log=2 old=1"}},
		{"swap", []string{"a=A", "b=B"}, []func(*Mem) error{rename("a", "t"), rename("b", "a"), rename("t", "b")},
			[]string{"a=A b=B", "b=B t=A", "a=B t=A", "a=B b=A"}},
		{"two removed", []string{"a=A", "b=B"}, []func(*Mem) error{remove("a"), remove("b")},
			[]string{"a=A b=B", "a=A", "b=B", ""}},
		{"in a new directory", nil, []func(*Mem) error{mkdir("d"), create("d/a", "A"), syncDir("d")},
			[]string{"", "d/a=A"}},
		{"in a new directory, synced", nil,
			[]func(*Mem) error{mkdir("d"), syncDir("/"), create("d/a", "A"), syncDir("d")}, []string{"d/a=A"}},
		{"between directories", []string{"d/a=A", "e/x=X"}, []func(*Mem) error{rename("d/a", "e/a")},
			[]string{"d/a=A e/x=X", "e/a=A e/x=X"}},
		{"between directories, new one synced", []string{"d/a=A", "e/x=X"},
			[]func(*Mem) error{rename("d/a", "e/a"), syncDir("e")}, []string{"e/a=A e/x=X"}},
		{"between directories, old one synced", []string{"d/a=A", "e/x=X"},
			[]func(*Mem) error{rename("d/a", "e/a"), syncDir("d")}, []string{"e/a=A e/x=X"}},
		{"into a new directory", []string{"a=A"}, []func(*Mem) error{mkdir("d"), rename("a", "d/a")},
			[]string{"a=A", "d/a=A"}},
		{"out of a removed directory", []string{"d/a=A"}, []func(*Mem) error{rename("d/a", "a"), remove("d")},
			[]string{"d/a=A", "a=A"}},
		{"directory made anew", []string{"d/a=A"}, []func(*Mem) error{rename("d/a", "a"), remove("d"), mkdir("d")},
			[]string{"d/a=A", "a=A"}},
		{"directory replaced", []string{"d/a=A", "e/b=B"},
			[]func(*Mem) error{rename("d/a", "a"), rename("e", "d")},
			[]string{"d/a=A e/b=B", "a=A e/b=B", "a=A d/b=B"}},
		{"other directory synced", []string{"d/x=X"}, []func(*Mem) error{create("a", "A"), create("d/b", "B"), syncDir("d")},
			[]string{"d/b=B d/x=X", "a=A d/b=B d/x=X"}},
		{"chain over directories, last synced", []string{"p/a=A", "q/x=X", "r/x=X"},
			[]func(*Mem) error{rename("p/a", "q/a"), rename("q/a", "r/a"), syncDir("r"), create("p/a", "2")},
			[]string{"q/x=X r/a=A r/x=X", "p/a=2 q/x=X r/a=A r/x=X"}},
		{"directory renamed", []string{"d/a=A"}, []func(*Mem) error{rename("d", "e"), create("e/b", "B"), syncDir("e")},
			[]string{"d/a=A d/b=B", "e/a=A e/b=B"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := names0(t, c.before...)
			for i, do := range c.do {
				require.NoError(t, do(m), "step %d", i)
			}
			requireExactly(t, tally(m, world), c.want...)
			requireExactly(t, tally(m.Kill(), world), c.want...) // the same after the process died
		})
	}
}

func TestNameWithoutContentAndContentWithoutName(t *testing.T) {
	m := NewMem(1)
	write(t, open(t, m, "/a", os.O_RDWR|os.O_CREATE), 0, bytesOf('n', 2*sectorSize))
	require.NoError(t, m.SyncDir("/"))
	seen := tally(m, func(img *Mem) string { return letters(t, img, "/a") })
	for _, want := range []string{"", "nn", "0n", "n0", "00", "xx"} {
		require.NotZero(t, seen[want], "%q: %v", want, seen)
	}
	require.Zero(t, seen["gone"])
}

func TestFailedSyncDirSettlesNothing(t *testing.T) {
	m := names0(t, "a=A")
	require.NoError(t, m.Rename("/a", "/b"))
	m.Inject(Fault{Kind: OpSyncDir, Once: true})
	require.Error(t, m.SyncDir("/"))
	requireExactly(t, tally(m, world), "a=A", "b=A")
	require.NoError(t, m.SyncDir("/"))
	requireExactly(t, tally(m, world), "b=A")
}

func TestDirectoriesThatCannotMove(t *testing.T) {
	m := names0(t, "d/a=A", "e/f/a=A", "e/g/a=A", "x=X")
	require.Error(t, m.Rename("/d", "/e/d"))
	require.Error(t, m.Rename("/d", "/d/d"))
	require.Error(t, m.Rename("/e/f", "/e/g"), "not empty")
	require.Error(t, m.Rename("/d", "/x"))
	require.Error(t, m.Rename("/x", "/d"))
	require.Error(t, m.Rename("/", "/y"))
	require.Error(t, m.Rename("/x", "/"))
	require.Error(t, m.Remove("/"))
	require.Error(t, m.Mkdir("/", 0o700))
	require.Error(t, m.Mkdir("/x/y", 0o700))
	require.Equal(t, "d/a=A e/f/a=A e/g/a=A x=X", world(m))
}

// Random changes of names: a file that nobody removed or replaced is found
// under one name after a crash, one that it had since it was last durable for
// certain; and what was synced is what is found.
func TestRandomNames(t *testing.T) {
	for seed := range uint64(150) {
		rng := rand.New(rand.NewPCG(seed, 2))
		m := NewMem(seed)
		for _, d := range []string{"/p", "/q"} {
			require.NoError(t, m.Mkdir(d, 0o700))
		}
		require.NoError(t, m.SyncDir("/"))
		safe := map[string]bool{} // content of files that must be found
		for i := range 4 {
			data := fmt.Sprint("file", i)
			require.NoError(t, m.WriteFile(fmt.Sprintf("/p/%d", i), []byte(data)))
			safe[data] = true
		}
		for step := range 60 {
			randomChange(t, rng, m, step, safe)
			img := m.Crash(rng)
			found := map[string]string{}
			for _, name := range img.Files() {
				data, err := img.ReadFile(name)
				require.NoError(t, err)
				require.Empty(t, found[string(data)], "seed %d step %d: %q has two names", seed, step, data)
				found[string(data)] = name
			}
			for data := range safe {
				require.NotEmpty(t, found[data], "seed %d step %d: %q is lost: %s", seed, step, data, world(img))
			}
			if rng.IntN(20) == 0 {
				for _, d := range []string{"/", "/p", "/q"} {
					require.NoError(t, m.SyncDir(d))
				}
				require.Equal(t, world(m), world(m.Crash(rng)))
			}
		}
	}
}

func randomChange(t *testing.T, rng *rand.Rand, m *Mem, step int, safe map[string]bool) {
	place := func() string { return path.Join([]string{"/", "/p", "/q"}[rng.IntN(3)], fmt.Sprint(rng.IntN(4))) }
	a, b := place(), place()
	atRisk := func(name string) {
		if data, err := m.ReadFile(name); err == nil {
			delete(safe, string(data))
		}
	}
	switch rng.IntN(8) {
	case 0:
		atRisk(a)
		_ = m.Remove(a)
	case 1:
		if f, err := m.Open(a, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600); err == nil {
			write(t, f, 0, fmt.Append(nil, "made", step))
			require.NoError(t, f.Sync())
		}
	case 2:
		require.NoError(t, m.SyncDir(path.Dir(a)))
	case 3:
		if a != b && rng.IntN(3) == 0 {
			if _, err := m.Stat(a); err == nil {
				atRisk(b)
				require.NoError(t, m.Rename(a, b))
			}
		}
	default:
		_ = m.RenameNoReplace(a, b)
	}
}
