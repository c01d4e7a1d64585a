package keyfile

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"syscall"
	"testing"

	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/fsx"
	"github.com/stretchr/testify/require"
)

// changes are all that a File can do to a disk.
var changes = map[string]func(f *File) error{
	"add key":         func(f *File) error { return second(f.AddKey(192, "new")) },
	"delete key":      func(f *File) error { return f.DeleteKey(f.Keys()[1].ID) },
	"set default":     func(f *File) error { return f.SetDefault(f.Keys()[2].ID) },
	"set journal":     func(f *File) error { return f.SetJournal(f.Keys()[2].ID) },
	"set description": func(f *File) error { return f.SetDescription("another") },
	"add admin":       func(f *File) error { return f.AddAdmin(carol) },
	"delete admin":    func(f *File) error { return second(f.DeleteAdmin("bob")) },
	"change password": func(f *File) error { return f.ChangePassword("bob", carol.Password) },
}

const imagesPerCut = 12

// eachCut runs do on a fresh copy of base, cut after k operations, for every k
// until do runs to its end, and hands check what a power cut then leaves.
func eachCut(t *testing.T, base *fsx.Mem, do func(m *fsx.Mem) error, check func(img *fsx.Mem, done bool)) {
	t.Helper()
	const seed = 7
	for k := 0; ; k++ {
		m := base.Clone()
		m.CutAfter(k)
		err := do(m)
		if err != nil {
			require.ErrorIs(t, err, fsx.ErrPowerCut)
		}
		for i := range imagesPerCut {
			rng := rand.New(rand.NewPCG(seed, uint64(k)<<16|uint64(i)))
			check(m.Crash(rng), err == nil)
		}
		if err == nil {
			require.Greater(t, k, 3, "no cut was in the middle")
			return
		}
		require.Less(t, k, 1000)
	}
}

// At every cut in every change there is the old file or the new one, whole, and
// the new one once the change has returned.
func TestCrashInEveryChange(t *testing.T) {
	base, f, _ := victim(t)
	before := f.Info().Generation
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			seen := map[uint64]int{}
			eachCut(t, base, func(m *fsx.Mem) error {
				g, err := Open(testPath, alice, quickOptions(m))
				if err != nil {
					return err
				}
				defer g.Close()
				return change(g)
			}, func(img *fsx.Mem, done bool) {
				r, err := Verify(testPath, alice, quickOptions(img))
				require.NoError(t, err)
				require.True(t, r.Generation == before || r.Generation == before+1)
				require.False(t, done && r.Generation == before, "acknowledged and lost")
				seen[r.Generation]++
				g := mustOpen(t, img, testPath, alice)
				require.NoError(t, g.SetDescription("life goes on"))
				names, err := img.ReadDir("/")
				require.NoError(t, err)
				require.Equal(t, []string{testPath[1:]}, names, "no temporary file stays for ever")
			})
			require.Len(t, seen, 2, "both outcomes are possible: %v", seen)
		})
	}
}

func TestCrashInCreateAndBackup(t *testing.T) {
	base, _, _ := victim(t)
	whole := func(path string) func(img *fsx.Mem, done bool) {
		return func(img *fsx.Mem, done bool) {
			_, err := Verify(path, alice, quickOptions(img))
			if !done {
				if _, missing := img.Stat(path); missing != nil {
					require.ErrorIs(t, err, fs.ErrNotExist)
					return
				}
			}
			require.NoError(t, err)
		}
	}
	eachCut(t, base, func(m *fsx.Mem) error {
		f, err := Create("/new.cof", CreateOptions{Admin: alice, FS: m, derive: quick})
		if err == nil {
			_ = f.Close()
		}
		return err
	}, whole("/new.cof"))
	eachCut(t, base, func(m *fsx.Mem) error {
		f, err := Open(testPath, alice, quickOptions(m))
		if err != nil {
			return err
		}
		defer f.Close()
		return f.Backup("/copy.cof")
	}, whole("/copy.cof"))
}

// A change that meets an error of the disk leaves the old file, except where
// the directory's sync failed after the rename: the error says so.
func TestErrorsOfTheDisk(t *testing.T) {
	for kind, unknown := range map[fsx.OpKind]bool{fsx.OpWrite: false, fsx.OpSync: false, fsx.OpRename: false, fsx.OpCreate: false, fsx.OpRead: false, fsx.OpSyncDir: true} {
		t.Run(fmt.Sprint(kind), func(t *testing.T) {
			m, f, good := victim(t)
			m.Inject(fsx.Fault{Kind: kind, Nth: 1, Err: syscall.EIO, Once: true})
			_, err := f.AddKey(128, "")
			require.ErrorIs(t, err, syscall.EIO)
			require.Len(t, f.Keys(), 3)
			if unknown {
				require.ErrorIs(t, err, fault.OutcomeUnknown)
			} else {
				require.Equal(t, good, readBytes(t, m, testPath))
			}
			_, err = f.AddKey(128, "")
			require.NoError(t, err, "the next one works")
			mustOpen(t, m, testPath, bob)
		})
	}
	t.Run("full disk", func(t *testing.T) {
		m, f, good := victim(t)
		m.SetCapacity(1)
		_, err := f.AddKey(128, "")
		require.ErrorIs(t, err, syscall.ENOSPC)
		require.Equal(t, good, readBytes(t, m, testPath))
		_, err = Create("/new.cof", CreateOptions{Admin: alice, FS: m, derive: quick})
		require.ErrorIs(t, err, syscall.ENOSPC)
		require.ErrorIs(t, f.Backup("/copy.cof"), syscall.ENOSPC)
		names, err := m.ReadDir("/")
		require.NoError(t, err)
		require.Len(t, names, 1)
	})
}
