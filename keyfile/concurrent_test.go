package keyfile

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/fsx"
	"github.com/stretchr/testify/require"
)

const (
	childFile = "COFFER_TEST_KEYFILE" // set: this process is a child that adds keys to it
	childKeys = 15
	children  = 3
)

func TestMain(m *testing.M) {
	if path := os.Getenv(childFile); path != "" {
		if err := addKeys(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func addKeys(path string) error {
	f, err := Open(path, alice, nil)
	if err != nil {
		return err
	}
	defer f.Close()
	for range childKeys {
		id, err := f.AddKey(128, strconv.Itoa(os.Getpid()))
		if err != nil {
			return err
		}
		fmt.Println(id)
	}
	return nil
}

// Processes that add keys at the same time lose none.
func TestProcessesAddKeys(t *testing.T) {
	path := filepath.Join(t.TempDir(), "k.cof")
	f, err := Create(path, CreateOptions{Admin: alice, Iterations: MinIterations})
	require.NoError(t, err)
	defer f.Close()
	var wg sync.WaitGroup
	outputs := make([]string, children)
	for i := range children {
		wg.Go(func() {
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), childFile+"="+path)
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Errorf("child: %v: %s", err, out)
			}
			outputs[i] = string(out)
		})
	}
	wg.Wait()
	g, err := Open(path, alice, nil)
	require.NoError(t, err)
	defer g.Close()
	require.Len(t, g.Keys(), 1+children*childKeys)
	require.Equal(t, uint64(1+children*childKeys), g.Info().Generation)
	for _, k := range g.Keys()[1:] {
		found := 0
		for _, out := range outputs {
			found += strings.Count(out, k.ID.String())
		}
		require.Equal(t, 1, found, "each key belongs to one child")
	}
}

// Several opens, and several goroutines on one open, change the file at once;
// run with -race.
func TestGoroutinesChange(t *testing.T) {
	m := newMem()
	newFile(t, m, testPath)
	const opens, each = 4, 8
	var wg sync.WaitGroup
	for i := range opens {
		f := mustOpen(t, m, testPath, alice)
		for j := range 2 {
			wg.Go(func() {
				for n := range each {
					if err := changeABit(f, fmt.Sprint("admin ", i, j, n)); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
	}
	wg.Wait()
	g := mustOpen(t, m, testPath, alice)
	in := g.Info()
	require.Len(t, in.Keys, 1+opens*2*each)
	require.Len(t, in.Admins, 1+opens*2*each)
	require.Equal(t, uint64(1+2*opens*2*each), in.Generation)
	_, err := Verify(testPath, alice, quickOptions(m))
	require.NoError(t, err)
}

func changeABit(f *File, admin string) error {
	id, err := f.AddKey(128, "")
	if err != nil {
		return err
	}
	k, err := f.Key(id)
	if err != nil {
		return err
	}
	k.Destroy()
	_ = f.Keys()
	_ = f.Info()
	return f.AddAdmin(Credentials{admin, bob.Password})
}

// Somebody else holds the lock: waiting ends with "in use", and nothing is changed.
func TestLockedFile(t *testing.T) {
	m, f, good := victim(t)
	g, err := fsx.OpenLocked(m, testPath, os.O_RDWR, 0, fsx.Exclusive)
	require.NoError(t, err)
	f.opts.LockWait = -1
	_, err = f.AddKey(128, "")
	require.ErrorIs(t, err, ErrInUse)
	require.NotEmpty(t, fault.HintOf(err))
	require.Equal(t, good, readBytes(t, m, testPath))
	mustOpen(t, m, testPath, bob) // reading needs no lock
	f.opts.LockWait = 10 * time.Second
	time.AfterFunc(20*time.Millisecond, func() { _ = g.Close() })
	_, err = f.AddKey(128, "")
	require.NoError(t, err, "it waits")
}

// Two opens of one file merge: each change is redone on what is there.
func TestMerge(t *testing.T) {
	m, a, _ := victim(t)
	b := mustOpen(t, m, testPath, bob)
	fromA, err := a.AddKey(128, "from a")
	require.NoError(t, err)
	require.NoError(t, b.SetDescription("from b"))
	require.NoError(t, b.SetDefault(fromA), "a key that b learnt of just then")
	require.NoError(t, a.SetJournal(fromA))
	require.Equal(t, "from b", a.Info().Description)
	require.Equal(t, fromA, a.Default())
	require.ErrorIs(t, b.DeleteKey(fromA), fault.State)
	require.NoError(t, b.DeleteKey(a.Keys()[0].ID))
	require.NotEqual(t, dek.ID{}, b.Journal())
	require.ErrorIs(t, a.SetJournal(a.Keys()[0].ID), ErrUnknownKey, "deleted meanwhile")
}
