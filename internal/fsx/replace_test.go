package fsx

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/internal/fault"
)

func writeString(s string) func(File) error {
	return func(f File) error {
		_, err := f.WriteAt([]byte(s), 0)
		return err
	}
}

func text(t *testing.T, fsys FS, name string) string {
	t.Helper()
	f := open(t, fsys, name, os.O_RDONLY)
	defer func() { require.NoError(t, f.Close()) }()
	return string(content(t, f))
}

func names(t *testing.T, fsys FS, dir string) []string {
	t.Helper()
	got, err := fsys.ReadDir(dir)
	require.NoError(t, err)
	return got
}

func TestReplaceAndCreate(t *testing.T) {
	onBoth(t, func(t *testing.T, fsys FS, dir string) {
		name := filepath.Join(dir, "a")
		require.NoError(t, Replace(fsys, name, 0o640, writeString("first")))
		info, err := fsys.Stat(name)
		require.NoError(t, err)
		require.EqualValues(t, 0o640, info.Mode().Perm())
		require.NoError(t, Replace(fsys, name, 0o600, writeString("second, longer")))
		require.NoError(t, Replace(fsys, name, 0o600, writeString("3rd")))
		require.Equal(t, "3rd", text(t, fsys, name))
		info, err = fsys.Stat(name)
		require.NoError(t, err)
		require.EqualValues(t, 0o640, info.Mode().Perm(), "the mode is kept")

		require.ErrorIs(t, Create(fsys, name, 0o600, writeString("x")), fs.ErrExist)
		require.Equal(t, "3rd", text(t, fsys, name))
		other := filepath.Join(dir, "b")
		require.NoError(t, Create(fsys, other, 0o600, writeString("new")))
		require.Equal(t, "new", text(t, fsys, other))
		require.Equal(t, []string{"a", "b"}, names(t, fsys, dir))
		require.Error(t, Replace(fsys, filepath.Join(dir, "no", "a"), 0o600, writeString("x")))
	})
}

func TestCreateLosesTheRace(t *testing.T) {
	onBoth(t, func(t *testing.T, fsys FS, dir string) {
		name := filepath.Join(dir, "a")
		err := Create(fsys, name, 0o600, func(File) error {
			put(t, fsys, name, "theirs")
			return nil
		})
		require.ErrorIs(t, err, fs.ErrExist)
		require.Equal(t, "theirs", text(t, fsys, name))
		require.Equal(t, []string{"a"}, names(t, fsys, dir))
	})
}

func TestReplaceFailing(t *testing.T) {
	onBoth(t, func(t *testing.T, fsys FS, dir string) {
		name := filepath.Join(dir, "a")
		put(t, fsys, name, "old")
		boom := errors.New("boom")
		err := Replace(fsys, name, 0o600, func(f File) error {
			require.Equal(t, dir, filepath.Dir(f.Name()))
			require.NoError(t, writeString("half")(f))
			return boom
		})
		require.ErrorIs(t, err, boom)
		require.Equal(t, "old", text(t, fsys, name))
		require.Equal(t, []string{"a"}, names(t, fsys, dir))
	})
}

func TestReplaceTakesAwayWhatTheDeadLeft(t *testing.T) {
	onBoth(t, func(t *testing.T, fsys FS, dir string) {
		name := filepath.Join(dir, "a")
		stale := put(t, fsys, filepath.Join(dir, ".a.tmp0"), "left over")
		require.NoError(t, stale.Close())
		live := put(t, fsys, filepath.Join(dir, ".a.tmp1"), "at work")
		require.NoError(t, live.Lock(Exclusive))
		require.NoError(t, Replace(fsys, name, 0o600, func(f File) error {
			// A second one, while the first is at work.
			return errors.Join(writeString("outer")(f), Replace(fsys, name, 0o600, writeString("inner")))
		}))
		require.Equal(t, "outer", text(t, fsys, name))
		require.Equal(t, []string{".a.tmp1", "a"}, names(t, fsys, dir))
	})
}

func TestPromote(t *testing.T) {
	onBoth(t, func(t *testing.T, fsys FS, dir string) {
		sub := filepath.Join(dir, "sub")
		require.NoError(t, fsys.Mkdir(sub, 0o700))
		name, prepared := filepath.Join(dir, "a"), filepath.Join(sub, "b")
		put(t, fsys, name, "old")
		put(t, fsys, prepared, "new")
		require.NoError(t, Promote(fsys, prepared, name))
		require.Equal(t, "new", text(t, fsys, name))
		require.Empty(t, names(t, fsys, sub))
		require.ErrorIs(t, Promote(fsys, prepared, name), fs.ErrNotExist)
		require.Equal(t, "new", text(t, fsys, name))
	})
}

func TestPromoteNew(t *testing.T) {
	onBoth(t, func(t *testing.T, fsys FS, dir string) {
		name, prepared := filepath.Join(dir, "a"), filepath.Join(dir, "b")
		put(t, fsys, name, "old")
		put(t, fsys, prepared, "new")
		require.ErrorIs(t, PromoteNew(fsys, prepared, name), fs.ErrExist)
		require.Equal(t, "old", text(t, fsys, name))
		require.NoError(t, fsys.Remove(name))
		require.NoError(t, PromoteNew(fsys, prepared, name))
		require.Equal(t, "new", text(t, fsys, name))
		require.Equal(t, []string{"a"}, names(t, fsys, dir))
	})
}

func TestOwn(t *testing.T) {
	onBoth(t, func(t *testing.T, fsys FS, dir string) {
		name := filepath.Join(dir, "a")
		_, err := Own(fsys, name)
		require.ErrorIs(t, err, fs.ErrNotExist)
		f, err := fsys.Open(name, os.O_RDWR|os.O_CREATE, 0o600)
		require.NoError(t, err)
		require.NoError(t, f.Close())
		own, err := Own(fsys, name)
		require.NoError(t, err)
		require.True(t, own)
	})
}

// Every operation of the three helpers fails once, and the power is cut before
// each: the name means the old content or the new one, whole.
func TestReplaceFailsAndCrashesEverywhere(t *testing.T) {
	helpers := map[string]func(*Mem) error{
		"replace": func(m *Mem) error { return Replace(m, "/d/a", 0o600, writeString("the new content")) },
		"create":  func(m *Mem) error { return Create(m, "/d/b", 0o600, writeString("the new content")) },
		"promote": func(m *Mem) error { return Promote(m, "/d/prepared", "/d/a") },
	}
	for name, helper := range helpers {
		t.Run(name, func(t *testing.T) {
			for k := 0; ; k++ {
				m := oldWorld(t)
				m.SetHook(failAt(m.Ops() + k))
				err := helper(m)
				m.SetHook(nil)
				requireOldOrNew(t, m, err == nil)
				if errors.Is(err, fault.OutcomeUnknown) {
					requireOldOrNew(t, m, true)
				} else if err != nil && k > 0 {
					requireNoTemp(t, m)
				}
				for range 20 {
					img := m.Crash(nil)
					requireOldOrNew(t, img, err == nil)
				}
				if err == nil {
					require.Greater(t, k, 2)
					break
				}
			}
			for k := 0; ; k++ {
				m := oldWorld(t)
				m.CutAfter(k)
				err := helper(m)
				for range 50 {
					requireOldOrNew(t, m.Crash(nil), err == nil)
				}
				if err == nil {
					break
				}
				require.ErrorIs(t, err, ErrPowerCut)
			}
		})
	}
}

func oldWorld(t *testing.T) *Mem {
	m := NewMem(7)
	require.NoError(t, m.Mkdir("/d", 0o700))
	require.NoError(t, m.WriteFile("/d/a", []byte("old")))
	require.NoError(t, m.WriteFile("/d/prepared", []byte("the new content")))
	return m
}

func failAt(k int) func(Op) error {
	return func(op Op) error {
		if op.Kind != OpRead && op.Index == k {
			return errors.New("injected")
		}
		return nil
	}
}

func requireOldOrNew(t *testing.T, m *Mem, mustBeNew bool) {
	t.Helper()
	a, err := m.ReadFile("/d/a")
	require.NoError(t, err)
	b, err := m.ReadFile("/d/b") // Create makes this one
	isNew := string(a) == "the new content" || err == nil && string(b) == "the new content"
	require.True(t, isNew || !mustBeNew, "the new content is missing")
	require.Contains(t, []string{"old", "the new content"}, string(a))
	require.Contains(t, []string{"", "the new content"}, string(b))
	if err == nil {
		require.NotEmpty(t, b)
	}
}

func requireNoTemp(t *testing.T, m *Mem) {
	t.Helper()
	for _, name := range m.Files() {
		require.NotContains(t, name, ".tmp")
	}
}
