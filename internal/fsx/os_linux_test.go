package fsx

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/cofferdb/coffer/internal/fault"
)

const childEnv = "COFFER_FSX_TEST_CHILD"

// TestMain is also the child process of the tests below: it takes a lock, says
// so, and holds it until its input ends or it is killed.
func TestMain(m *testing.M) {
	what, name, isChild := strings.Cut(os.Getenv(childEnv), ":")
	if !isChild {
		os.Exit(m.Run())
	}
	if err := childLock(what, name); err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
	fmt.Println("locked")
	_, _ = io.Copy(io.Discard, os.Stdin)
}

func childLock(what, name string) error {
	f, err := OS().Open(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	posix := func(kind int16, start, n int64) error {
		return f.(*osFile).control(func(fd uintptr) error {
			return unix.FcntlFlock(fd, unix.F_SETLK, &unix.Flock_t{Type: kind, Start: start, Len: n})
		})
	}
	switch what {
	case "flock":
		return f.Lock(Exclusive)
	case "posix-shared": // what a reader of SQLite holds
		return posix(unix.F_RDLCK, sqliteLockStart+2, 510)
	case "posix-reserved": // what a writer of SQLite holds before it commits
		return posix(unix.F_WRLCK, sqliteLockStart+1, 1)
	case "ofd":
		_, err := LockSQLite(f)
		return err
	}
	return fmt.Errorf("no such child %q", what)
}

// child starts a process that holds a lock; stop kills it with SIGKILL.
func child(t *testing.T, what, name string) (said string, stop func()) {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	c := exec.Command(self)
	c.Env = append(os.Environ(), childEnv+"="+what+":"+name)
	in, err := c.StdinPipe()
	require.NoError(t, err)
	out, err := c.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, c.Start())
	stop = func() {
		_ = c.Process.Kill()
		_ = c.Wait()
		_ = in.Close()
	}
	t.Cleanup(stop)
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	return strings.TrimSpace(line), stop
}

func TestLockDiesWithItsProcess(t *testing.T) {
	name := filepath.Join(t.TempDir(), "a")
	f := put(t, OS(), name, "x")
	said, kill := child(t, "flock", name)
	require.Equal(t, "locked", said)
	require.ErrorIs(t, f.Lock(Exclusive), fault.InUse)
	require.ErrorIs(t, f.Lock(Shared), fault.InUse)
	kill()
	require.NoError(t, f.Lock(Exclusive))
	said, _ = child(t, "flock", name)
	require.Contains(t, said, "locked:", "and the other way round")
	require.Contains(t, said, "error")
}

// Starting children again and again must not make a closed file look locked.
func TestCloseUnlocksThoughAChildIsBeingStarted(t *testing.T) {
	name := filepath.Join(t.TempDir(), "a")
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 30 {
			_ = exec.Command("true").Run()
		}
	}()
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		f, err := OpenLocked(OS(), name, os.O_RDWR|os.O_CREATE, 0o600, Exclusive)
		require.NoError(t, err)
		require.NoError(t, f.Close())
	}
}

func TestLockSQLiteAgainstProcesses(t *testing.T) {
	for _, what := range []string{"posix-shared", "posix-reserved", "ofd"} {
		t.Run(what, func(t *testing.T) {
			name := filepath.Join(t.TempDir(), "a.db")
			f := put(t, OS(), name, "x")
			said, kill := child(t, what, name)
			require.Equal(t, "locked", said)
			_, err := LockSQLite(f)
			require.ErrorIs(t, err, fault.InUse)
			kill()
			unlock, err := LockSQLite(f)
			require.NoError(t, err)
			// Another descriptor of this process is closed: a POSIX lock would go.
			require.NoError(t, open(t, OS(), name, os.O_RDONLY).Close())
			said, _ = child(t, what, name)
			require.Contains(t, said, "error")
			require.NoError(t, unlock())
			said, _ = child(t, what, name)
			require.Equal(t, "locked", said)
		})
	}
}

// The program of SQLite itself, where it is installed.
func TestLockSQLiteAgainstSQLite(t *testing.T) {
	program, err := exec.LookPath("sqlite3")
	if err != nil {
		t.Skip("sqlite3 is not installed")
	}
	name := filepath.Join(t.TempDir(), "a.db")
	run := func(sql string) (string, error) {
		out, err := exec.Command(program, "-batch", name, sql).CombinedOutput()
		return string(out), err
	}
	_, err = run("create table t(x); insert into t values (1)")
	require.NoError(t, err)
	f := open(t, OS(), name, os.O_RDWR)
	unlock, err := LockSQLite(f)
	require.NoError(t, err)
	out, err := run("select * from t")
	require.Error(t, err)
	require.Contains(t, out, "locked")
	require.NoError(t, unlock())
	out, err = run("select * from t")
	require.NoError(t, err, out)

	for _, begin := range []string{
		"begin; select * from t;", "begin immediate;", "pragma journal_mode=wal; select * from t;"} {
		c := exec.Command(program, "-batch", name)
		in, err := c.StdinPipe()
		require.NoError(t, err)
		stdout, err := c.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, c.Start())
		_, err = io.WriteString(in, begin+"\n.print ready\n")
		require.NoError(t, err)
		for lines := bufio.NewScanner(stdout); lines.Scan() && lines.Text() != "ready"; {
		}
		_, err = LockSQLite(f)
		require.ErrorIs(t, err, fault.InUse, begin)
		require.NoError(t, in.Close())
		_, _ = io.Copy(io.Discard, stdout)
		_ = c.Wait()
	}
	unlock, err = LockSQLite(f)
	require.NoError(t, err)
	require.NoError(t, unlock())
}

func TestLockSQLiteNeedsWriting(t *testing.T) {
	name := filepath.Join(t.TempDir(), "a.db")
	put(t, OS(), name, "x")
	_, err := LockSQLite(open(t, OS(), name, os.O_RDONLY))
	require.ErrorIs(t, err, unix.EBADF)
	_, err = LockSQLite(struct{ File }{})
	require.ErrorIs(t, err, fault.Unsupported)

	m := NewMem(1)
	f, g := put(t, m, "/a", "x"), open(t, m, "/a", os.O_RDWR)
	unlock, err := LockSQLite(f)
	require.NoError(t, err)
	_, err = LockSQLite(g)
	require.ErrorIs(t, err, fault.InUse)
	require.NoError(t, unlock())
	_, err = LockSQLite(g)
	require.NoError(t, err)
	require.NoError(t, g.Close())
	_, err = LockSQLite(f)
	require.NoError(t, err)
}

func TestAllocateReserves(t *testing.T) {
	f := put(t, OS(), filepath.Join(t.TempDir(), "a"), "x")
	require.NoError(t, f.Allocate(0, 1<<20))
	var s unix.Stat_t
	require.NoError(t, unix.Stat(f.Name(), &s))
	require.EqualValues(t, 1<<20, s.Size)
	require.GreaterOrEqual(t, s.Blocks*512, int64(1<<20))
}

func TestFallbacksOfLinux(t *testing.T) {
	dir := t.TempDir()
	f, err := anonymousFile(dir)
	require.NoError(t, err)
	info, err := f.Stat()
	require.NoError(t, err)
	require.Zero(t, info.Sys().(*unixStat).Nlink)
	require.NoError(t, f.Close())
	_, err = anonymousFile(filepath.Join(dir, "none"))
	require.ErrorIs(t, err, unix.ENOENT)
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	put(t, OS(), a, "A")
	put(t, OS(), b, "B")
	require.ErrorIs(t, moveByLink(a, b), os.ErrExist)
	require.NoError(t, moveByLink(a, filepath.Join(dir, "c")))
	require.Equal(t, []string{"b", "c"}, names(t, OS(), dir))
	require.NoError(t, syncDir("/proc"), "a file system whose directories cannot be synced")
}

func TestOwnerModeAndLinks(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	put(t, OS(), a, "x")
	put(t, OS(), b, "x")
	require.NoError(t, os.Chmod(a, 0o2640))
	if os.Geteuid() == 0 {
		require.NoError(t, os.Chown(a, 1234, 2345))
	}
	require.NoError(t, CopyOwnerMode(a, b))
	var s, want unix.Stat_t
	require.NoError(t, unix.Stat(a, &want))
	require.NoError(t, unix.Stat(b, &s))
	require.Equal(t, []uint32{want.Mode, want.Uid, want.Gid}, []uint32{s.Mode, s.Uid, s.Gid})
	require.NoError(t, Replace(OS(), a, 0o600, writeString("new")))
	require.NoError(t, unix.Stat(a, &s))
	require.Equal(t, []uint32{want.Mode, want.Uid, want.Gid}, []uint32{s.Mode, s.Uid, s.Gid})
	require.Error(t, CopyOwnerMode(a, filepath.Join(dir, "none")))
	require.Error(t, CopyOwnerMode(filepath.Join(dir, "none"), a))

	n, err := HardLinks(a)
	require.NoError(t, err)
	require.EqualValues(t, 1, n)
	require.NoError(t, os.Link(a, filepath.Join(dir, "c")))
	n, err = HardLinks(a)
	require.NoError(t, err)
	require.EqualValues(t, 2, n)
	_, err = HardLinks(filepath.Join(dir, "none"))
	require.ErrorIs(t, err, os.ErrNotExist)
}
